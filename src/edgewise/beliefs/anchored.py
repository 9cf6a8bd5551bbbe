"""BOTS's belief: pass rates of a weak and a strong model anchor every prompt (arXiv 2510.26374)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.beliefs.base import Belief, Counts, Floats
from edgewise.beliefs.registry import beliefs
from edgewise.beliefs.seen import SeenTable
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool, Rows


@beliefs.register("anchored")
class AnchoredBelief(Belief):
    """Success rate ~ Beta(1 + a, 1 + b): evidence from a prompt's own rollouts and, for all others, from the batch.

    BOTS's generalised update, for policy step t and every prompt (f: failures, s~ and f~: implicit evidence):

        alpha <- (1 - forgetting) alpha + forgetting alpha0 + (1 - balance) s + balance s~
        beta  <- (1 - forgetting) beta  + forgetting beta0  + (1 - balance) f + balance f~

    Where the step rolled a prompt out, s~ = s and f~ = f: it counts its rollouts in full (published code). Everywhere else
    s = f = 0, s~ = rollouts p~ and f~ = rollouts (1 - p~), with p~ = clip(weak + c (strong - weak), 0, 1), where the
    policy's place c between the anchors is a running average over steps of

        (mean pass rate of the batch - mean weak rate) / (mean strong rate - mean weak rate).

    Implicit evidence is one sum over past steps, the same for all prompts but for their anchors, so a step costs the batch
    and not the pool: it is evaluated at the (faded) average of c, which is exact unless clip cuts some of the averaged
    steps and not others. A prompt's own steps are taken out of it.

    Args:
        pool: the prompts.
        weak: pass rate of each prompt under the weaker anchor, (pool,) in [0, 1]; NaN where unknown: no implicit evidence.
        strong: likewise under the stronger anchor.
        forgetting: lambda in [0, 1]; 0.1 in the published settings.
        balance: rho in [0, 1]; 0.1 in the published settings.
        rollouts: rollouts that implicit evidence stands for before it is weighted by rho, > 0; the group size, 16 there.
        inertia: share of c that a step keeps, in [0, 1).
    """

    def __init__(
        self,
        pool: PromptPool,
        weak: Any,
        strong: Any,
        forgetting: float = 0.1,
        balance: float = 0.1,
        rollouts: float = 16.0,
        inertia: float = 0.9,
    ):
        super().__init__(pool)
        self.weak, self.strong = _anchor(pool, "weak", weak), _anchor(pool, "strong", strong)
        for name, share in (("forgetting", forgetting), ("balance", balance)):
            if not 0 <= share <= 1:
                raise ConfigError(f"{name} must lie in [0, 1], got {share}")
        if not 0 < rollouts < np.inf or not 0 <= inertia < 1:
            raise ConfigError(f"expected rollouts > 0 and inertia in [0, 1), got {rollouts} and {inertia}")
        self.keep, self.balance = 1.0 - float(forgetting), float(balance)
        self.rollouts, self.inertia = float(rollouts), float(inertia)
        self.step = 0
        self.place: float | None = None
        # Faded sums over past steps: 1 and c. This step's sums over prompts with anchors: pass rate, weak, strong, prompts.
        self._steps, self._places = 0.0, 0.0
        # a, b: explicit minus implicit evidence of a prompt's own steps, as of `step`.
        columns: dict[str, Any] = {
            "a": np.float32,
            "b": np.float32,
            "step": np.int32,
            "successes": np.int32,
            "trials": np.int32,
        }
        self._seen = SeenTable(len(pool), columns)
        self._waiting: list[np.ndarray] = []

    @property
    def seen(self) -> int:
        """Number of prompts observed at least once."""
        return len(self._seen)

    def posterior(self, rows: Rows) -> tuple[Floats, Floats]:
        """(alpha, beta) of each prompt, (n,) each, at least 1."""
        rate, worth = self._implied(rows, self._places / self._steps if self._steps > 0 else 0.0)
        weight = worth * self._steps
        a, b = weight * rate, weight * (1.0 - rate)
        slots = self._seen.slots(rows)
        known = slots >= 0
        slots = slots[known]
        if len(slots):
            fade = self.keep ** (self.step - self._seen["step"][slots]).astype(np.float64)
            a[known] += self._seen["a"][slots] * fade
            b[known] += self._seen["b"][slots] * fade
        a, b = np.maximum(a, 0.0), np.maximum(b, 0.0)
        if len(slots):
            s, k = self._seen["successes"][slots], self._seen["trials"][slots]
            a[known] += s
            b[known] += k - s
        return 1.0 + a, 1.0 + b

    def mean(self, rows: Rows) -> Floats:
        alpha, beta = self.posterior(rows)
        return alpha / (alpha + beta)

    def spread(self, rows: Rows) -> Floats:
        alpha, beta = self.posterior(rows)
        total = alpha + beta
        return np.sqrt(alpha * beta / (total + 1.0)) / total

    def draw(self, rows: Rows, rng: np.random.Generator) -> Floats:
        return rng.beta(*self.posterior(rows))

    def observe(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        """A prompt's own rollouts count at once; what they say of others counts from the next `advance`."""
        slots, new = self._seen.insert(rows)
        self._seen["step"][slots[new]] = self.step
        self._waiting.append(slots[self._seen["trials"][slots] == 0])
        self._seen["successes"][slots] += successes
        self._seen["trials"][slots] += trials

    def advance(self) -> None:
        self.step += 1
        self._steps *= self.keep
        self._places *= self.keep
        slots = np.concatenate([np.empty(0, np.int32), *self._waiting])
        self._waiting = []
        if not len(slots):
            return
        seen = self._seen
        slots = slots[np.argsort(seen.rows[slots])]
        rows = seen.rows[slots].astype(np.int64)
        s, k = seen["successes"][slots].astype(np.float64), seen["trials"][slots].astype(np.float64)
        self._locate(rows, s / k)
        if self.place is None:
            rate, worth = np.zeros(len(rows)), np.zeros(len(rows))
        else:
            rate, worth = self._implied(rows, self.place)
            self._steps += 1.0
            self._places += self.place
        fade = self.keep ** (self.step - seen["step"][slots]).astype(np.float64)
        seen["a"][slots] = seen["a"][slots] * fade + s - worth * rate
        seen["b"][slots] = seen["b"][slots] * fade + (k - s) - worth * (1.0 - rate)
        seen["step"][slots] = self.step
        seen["successes"][slots] = seen["trials"][slots] = 0

    def grow(self) -> None:
        """Anchors of new prompts are unknown."""
        self._seen.grow(len(self.pool))
        unknown = np.full(len(self.pool) - len(self.weak), np.nan)
        self.weak, self.strong = np.concatenate([self.weak, unknown]), np.concatenate([self.strong, unknown])

    def state_dict(self) -> dict[str, Any]:
        """The anchors are not in it: they are given when the belief is made."""
        return {
            "step": self.step,
            "place": self.place,
            "steps": self._steps,
            "places": self._places,
            "seen": self._seen.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        self._seen.load_state_dict(state["seen"], remap)
        self.step, self._steps, self._places = int(state["step"]), float(state["steps"]), float(state["places"])
        self.place = None if state["place"] is None else float(state["place"])
        self._waiting = [np.flatnonzero(self._seen["trials"] > 0)]

    def metrics(self) -> dict[str, float]:
        return {"seen": float(self.seen)} | ({} if self.place is None else {"place": self.place})

    def _locate(self, rows: Rows, rates: Floats) -> None:
        """Update the policy's place between the anchors from a batch; skipped where the anchors agree on it."""
        known = ~np.isnan(self.weak[rows] + self.strong[rows])
        if not known.any():
            return
        weak, strong = self.weak[rows][known].mean(), self.strong[rows][known].mean()
        if abs(strong - weak) < 0.01:
            return
        place = float((rates[known].mean() - weak) / (strong - weak))
        self.place = place if self.place is None else self.inertia * self.place + (1.0 - self.inertia) * place

    def _implied(self, rows: Rows, place: float) -> tuple[Floats, Floats]:
        """Rate between the anchors at `place`, and the implicit rollouts of one step, (n,) each."""
        weak, strong = self.weak[rows], self.strong[rows]
        rate = np.clip(weak + place * (strong - weak), 0.0, 1.0)
        unknown = np.isnan(rate)
        return np.where(unknown, 0.5, rate), np.where(unknown, 0.0, self.balance * self.rollouts)


def _anchor(pool: PromptPool, name: str, rates: Any) -> Floats:
    array = np.asarray(rates, np.float64)
    if array.shape != (len(pool),):
        raise ConfigError(f"pass rates of the {name} anchor must have shape ({len(pool)},), got {array.shape}")
    if (array < 0).any() or (array > 1).any() or np.isinf(array).any():
        raise ConfigError(f"pass rates of the {name} anchor must lie in [0, 1] or be NaN")
    return array
