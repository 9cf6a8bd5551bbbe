"""MoPPS's belief: one Beta posterior a prompt, discounted towards a prior (arXiv 2507.04632)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.beliefs.base import Belief, Counts, Floats
from edgewise.beliefs.priors import FixedPrior, Prior
from edgewise.beliefs.registry import beliefs
from edgewise.beliefs.seen import SeenTable
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool, Rows


@beliefs.register("beta")
class BetaBelief(Belief):
    """Success rate of prompt i ~ Beta(alpha0_i + a_i, beta0_i + b_i), with evidence a, b from its own rollouts.

    A step that observes s successes in k rollouts does a <- discount a + s, b <- discount b + (k - s), which is MoPPS's
    alpha <- discount alpha + (1 - discount) alpha0 + s for any prior. Evidence of every seen prompt, observed or not,
    also fades by `ageing` each policy step; it is applied when a prompt is next touched, so no step visits the pool.

    Args:
        pool: the prompts.
        prior: where prompts start and fade to; Beta(1, 1) if not given.
        discount: MoPPS's lambda in [0, 1], once for each step in which a prompt is observed.
        ageing: share of the evidence that survives a policy step, in (0, 1]; 1 is MoPPS.
    """

    def __init__(self, pool: PromptPool, prior: Prior | None = None, discount: float = 1.0, ageing: float = 1.0):
        super().__init__(pool)
        if not 0 <= discount <= 1:
            raise ConfigError(f"discount must lie in [0, 1], got {discount}")
        if not 0 < ageing <= 1:
            raise ConfigError(f"ageing must lie in (0, 1], got {ageing}")
        self.prior = prior if prior is not None else FixedPrior(pool)
        self.discount, self.ageing = float(discount), float(ageing)
        self.step = 0
        # float32 counts whole rollouts exactly up to 2**24 and keeps 10M prompts at 20 bytes each.
        self._seen = SeenTable(len(pool), {"a": np.float32, "b": np.float32, "step": np.int32})

    @property
    def seen(self) -> int:
        """Number of prompts observed at least once."""
        return len(self._seen)

    def posterior(self, rows: Rows) -> tuple[Floats, Floats]:
        """(alpha, beta) of each prompt, (n,) each."""
        alpha, beta = self.prior.counts(rows)
        if len(self._seen):
            slots = self._seen.slots(rows)
            known = slots >= 0
            slots = slots[known]
            fade = self._fade(slots)
            alpha[known] += self._seen["a"][slots] * fade
            beta[known] += self._seen["b"][slots] * fade
        return alpha, beta

    def mean(self, rows: Rows) -> Floats:
        alpha, beta = self.posterior(rows)
        return alpha / (alpha + beta)

    def draw(self, rows: Rows, rng: np.random.Generator) -> Floats:
        return rng.beta(*self.posterior(rows))

    def observe(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        predicted = self.mean(rows)
        slots, new = self._seen.insert(rows)
        a, b, step = self._seen["a"], self._seen["b"], self._seen["step"]
        keep = self._fade(slots)
        # Partial results of one step are one observation: lambda applies once.
        keep[~new & (step[slots] != self.step)] *= self.discount
        a[slots] = a[slots] * keep + successes
        b[slots] = b[slots] * keep + (trials - successes)
        step[slots] = self.step
        self.prior.observe(rows, successes, trials, predicted, new)

    def advance(self) -> None:
        self.step += 1
        self.prior.advance()

    def grow(self) -> None:
        self._seen.grow(len(self.pool))
        self.prior.grow()

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "seen": self._seen.state_dict(), "prior": self.prior.state_dict()}

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        self._seen.load_state_dict(state["seen"], remap)
        self.prior.load_state_dict(state["prior"], remap)
        self.step = int(state["step"])

    def metrics(self) -> dict[str, float]:
        return {"seen": float(self.seen), **self.prior.metrics()}

    def _fade(self, slots: np.ndarray) -> Floats:
        if self.ageing == 1.0:
            return np.ones(len(slots))
        return self.ageing ** (self.step - self._seen["step"][slots]).astype(np.float64)
