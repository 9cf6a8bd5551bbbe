"""MoPPS's belief: one Beta posterior a prompt, discounted towards a prior (arXiv 2507.04632)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.beliefs.base import Belief, Counts, Floats
from edgewise.beliefs.priors import FixedPrior, Prior
from edgewise.beliefs.registry import beliefs
from edgewise.beliefs.seen import SeenTable, without
from edgewise.beliefs.window import Alike, Drawn, Near, WindowIndex, aim, closest
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
        self._index: WindowIndex | None = None
        self._unseen: np.ndarray | None = None

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

    def spread(self, rows: Rows) -> Floats:
        alpha, beta = self.posterior(rows)
        total = alpha + beta
        return np.sqrt(alpha * beta / (total + 1.0)) / total

    def draw(self, rows: Rows, rng: np.random.Generator) -> Floats:
        return rng.beta(*self.posterior(rows))

    def closest(self, n: int, target: float, exclude: Rows, rng: np.random.Generator) -> Rows | None:
        """Work follows the number of prompts chosen where posteriors change only by observation, of prompts seen elsewhere."""
        kinds = self.prior.kinds()
        if kinds is None or not 0 < target < 1:
            return None
        left = self._unseen_sizes()
        barred = exclude[self._seen.slots(exclude) < 0]
        left = left - np.bincount(self.prior.kind(barred), minlength=len(left))
        near = self._near_seen(n, target, exclude, rng), Alike(*kinds, left, n, target, rng)
        seen, fresh = closest(near, n)
        counts = np.bincount(fresh, minlength=len(left))
        found = [
            self._seen.pick_unseen(self.prior.members(int(kind)), int(counts[kind]), int(left[kind]), exclude, rng)
            for kind in np.flatnonzero(counts)
        ]
        return np.concatenate([seen, *found]).astype(np.int64)

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
        if self._index is not None:
            self._index.touch(rows)
        if self._unseen is not None:
            self._unseen -= np.bincount(self.prior.kind(rows[new]), minlength=len(self._unseen))
        self.prior.observe(rows, successes, trials, predicted, new)

    def advance(self) -> None:
        self.step += 1
        self.prior.advance()

    def grow(self) -> None:
        self._seen.grow(len(self.pool))
        self.prior.grow()
        self._unseen = None

    def state_dict(self) -> dict[str, Any]:
        index = self._index
        return {
            "step": self.step,
            "seen": self._seen.state_dict(int(index.starts[-1]) if index is not None else 0),
            "index": index.state_dict() if index is not None else {},
            "prior": self.prior.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        self._seen.load_state_dict(state["seen"], remap)
        self.prior.load_state_dict(state["prior"], remap)
        self.step = int(state["step"])
        self._index = self._unseen = None
        if state["index"] and remap is None:
            self._index = WindowIndex.restored(self._seen, self._evidence, state["index"])

    def metrics(self) -> dict[str, float]:
        """`seen` prompts; of those, the share believed to be mastered (mean >= 0.9) and hopeless (mean <= 0.1)."""
        values = {"seen": float(self.seen), **self.prior.metrics()}
        if self.seen:
            # Evenly spaced: a share needs no more, and metrics are asked for at every step.
            mean = self.mean(self._seen.rows[:: -(-self.seen // 4096)].astype(np.int64))
            values |= {"seen_mastered": float((mean >= 0.9).mean()), "seen_hopeless": float((mean <= 0.1).mean())}
        return values

    def _evidence(self, slots: Any) -> tuple[Floats, Floats]:
        """Posterior by slot where nothing fades and the prior is one for all."""
        alpha, beta = self.prior.counts(self._seen.rows[slots])
        return alpha + self._seen["a"][slots], beta + self._seen["b"][slots]

    def _near_seen(self, n: int, target: float, exclude: Rows, rng: np.random.Generator) -> Near:
        if self.ageing < 1.0 or not self.prior.steady or len(self._seen) <= 4 * aim(n):
            rows = without(np.sort(self._seen.rows), exclude)
            return Drawn(rows, np.abs(self.draw(rows, rng) - target))
        if self._index is None or self._index.target != target:
            self._index = WindowIndex(self._seen, self._evidence, target)
        return self._index.near(n, exclude, rng)

    def _unseen_sizes(self) -> np.ndarray:
        """Unseen prompts of each kind."""
        if self._unseen is None:
            sizes = self.prior.sizes()
            self._unseen = sizes - np.bincount(self.prior.kind(self._seen.rows), minlength=len(sizes))
        return self._unseen

    def _fade(self, slots: np.ndarray) -> Floats:
        if self.ageing == 1.0:
            return np.ones(len(slots))
        return self.ageing ** (self.step - self._seen["step"][slots]).astype(np.float64)
