"""BOTS's belief: pass rates of a weak and a strong model anchor every prompt (arXiv 2510.26374)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Counts, Floats, Rows
from edgewise.beliefs.base import Belief, beliefs
from edgewise.beliefs.priors import KnownRates, numbers_by_row
from edgewise.checkpoint import require_numbers
from edgewise.distributions import Beta
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.seen import OpenGroups


@beliefs.register("anchored")
class AnchoredBelief(Belief):
    """Success rate ~ Beta(1 + a, 1 + b): evidence from a prompt's own rollouts and, for all others, from the batch.

    BOTS's generalised update, for policy step t and every prompt (f: failures, s~ and f~: implicit evidence):

        alpha <- retention alpha + (1 - retention) alpha0 + (1 - balance) s + balance s~
        beta  <- retention beta  + (1 - retention) beta0  + (1 - balance) f + balance f~

    Where the step rolled a prompt out, s~ = s and f~ = f: it counts its rollouts in full (published code). Everywhere else
    s = f = 0, s~ = rollouts p~ and f~ = rollouts (1 - p~), with p~ = clip(weak + c (strong - weak), 0, 1), where the
    policy's ability c between the anchors is a running average over steps of

        (mean pass rate of the batch - mean weak rate) / (mean strong rate - mean weak rate).

    Implicit evidence is one sum over past steps, the same for all prompts but for their anchors, so a step costs the batch
    and not the pool: it is evaluated at the (faded) average of c, which is exact unless clip cuts some of the averaged
    steps and not others. A prompt's own steps are taken out of it. The pool's priors are pseudo-counts on top. A late result
    counts retention ** age of its rollouts.

    Args:
        pool: the prompts.
        weak: pass rate of each prompt under the weaker anchor, (pool,) in [0, 1]; NaN where unknown: no implicit evidence.
        strong: likewise under the stronger anchor.
        retention: 1 - lambda in [0, 1], share of the evidence that survives a policy step; 0.9 in the published settings.
        balance: rho in [0, 1]; 0.1 in the published settings.
        rollouts: rollouts that implicit evidence stands for before it is weighted by rho, > 0; the group size, 16 there.
        ability_retention: share of c that a step keeps, in [0, 1).

    Example:
        >>> belief = AnchoredBelief(PromptPool(range(2)), weak=[0.1, 0.3], strong=[0.5, 0.7])
        >>> belief.observe(np.array([0]), np.array([8]), np.array([8]))
        >>> belief.advance()
        >>> round(belief.ability, 2)
        2.25
    """

    saved = ("_steps", "_abilities")
    by_row: ClassVar[Mapping[str, float]] = {"weak": np.nan, "strong": np.nan}

    def __init__(
        self,
        pool: PromptPool,
        weak: npt.ArrayLike,
        strong: npt.ArrayLike,
        *,
        retention: float = 0.9,
        balance: float = 0.1,
        rollouts: float = 16.0,
        ability_retention: float = 0.9,
    ):
        super().__init__(pool)
        self.weak = numbers_by_row("weak", weak, pool, 0.0, 1.0)
        self.strong = numbers_by_row("strong", strong, pool, 0.0, 1.0)
        for name, share in (("retention", retention), ("balance", balance)):
            if not 0 <= share <= 1:
                raise ConfigError(f"{name} must lie in [0, 1], got {share}")
        if not 0 < rollouts < np.inf or not 0 <= ability_retention < 1:
            raise ConfigError(
                f"expected rollouts > 0 and ability_retention in [0, 1), got {rollouts} and {ability_retention}"
            )
        self.retention, self.balance = float(retention), float(balance)
        self.rollouts, self.ability_retention = float(rollouts), float(ability_retention)
        self.ability: float | None = None
        # Faded sums over past steps: 1 and c.
        self._steps, self._abilities = 0.0, 0.0
        # a, b: explicit minus implicit evidence of a prompt's own steps, as of `step`.
        self.seen = self.add("seen", OpenGroups(pool, {"a": np.float32, "b": np.float32, "step": np.int32}))
        self.known = self.add("known", KnownRates(pool))

    def distribution(self, rows: Rows) -> Beta:
        rate, pseudo = self._implicit(rows, self._abilities / self._steps if self._steps > 0 else 0.0)
        weight = pseudo * self._steps
        a, b = weight * rate, weight * (1.0 - rate)
        seen, slots = self.seen, self.seen.slots(rows)
        fade = self.retention ** (self.now - seen.at("step", slots)).astype(np.float64)
        a, b = a + seen.at("a", slots) * fade, b + seen.at("b", slots) * fade
        successes, failures = self.known.counts(rows)
        s, k = seen.at("successes", slots), seen.at("trials", slots)
        return Beta(1.0 + (np.maximum(a, 0.0) + successes + s), 1.0 + (np.maximum(b, 0.0) + failures + (k - s)))

    def observe(self, rows: Rows, successes: Counts, trials: Counts, age: Counts | None = None) -> None:
        """A prompt's own rollouts count at once; what they imply for others counts from the next `advance`."""
        weight = 1.0 if age is None else self.retention ** age.astype(np.float64)
        self.seen.add_group(rows, weight * successes, weight * trials, self.now)

    def advance(self, steps: int = 1) -> None:
        super().advance(steps)
        if not steps:
            return
        self._steps *= self.retention
        self._abilities *= self.retention
        slots = self.seen.open()
        if len(slots):
            self._learn(slots, self.now - steps + 1)
            self.seen.close()
        self._steps *= self.retention ** (steps - 1)
        self._abilities *= self.retention ** (steps - 1)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "ability": self.ability}

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        super().restore(state, remap)
        self.ability = None if state["ability"] is None else float(state["ability"])
        require_numbers("ability", 0.0 if self.ability is None else self.ability)

    def metrics(self) -> dict[str, float]:
        own = {"seen": float(len(self.seen))} | ({} if self.ability is None else {"ability": self.ability})
        return {**super().metrics(), **own}

    def _learn(self, slots: np.ndarray, step: int) -> None:
        """Take in the groups of the step before `step`."""
        seen = self.seen
        slots = slots[np.argsort(seen.rows[slots])]
        rows = seen.rows[slots].astype(np.int64)
        s, k = seen["successes"][slots].astype(np.float64), seen["trials"][slots].astype(np.float64)
        self._locate(rows, s / k)
        if self.ability is None:
            rate, pseudo = np.zeros(len(rows)), np.zeros(len(rows))
        else:
            rate, pseudo = self._implicit(rows, self.ability)
            self._steps += 1.0
            self._abilities += self.ability
        fade = self.retention ** (step - seen["step"][slots]).astype(np.float64)
        seen["a"][slots] = seen["a"][slots] * fade + s - pseudo * rate
        seen["b"][slots] = seen["b"][slots] * fade + (k - s) - pseudo * (1.0 - rate)
        seen["step"][slots] = step

    def _locate(self, rows: Rows, rates: Floats) -> None:
        """Update the policy's ability between the anchors from a batch; skipped where the anchors agree on it."""
        known = ~np.isnan(self.weak[rows] + self.strong[rows])
        if not known.any():
            return
        weak, strong = self.weak[rows][known].mean(), self.strong[rows][known].mean()
        if abs(strong - weak) < 0.01:
            return
        now = float((rates[known].mean() - weak) / (strong - weak))
        kept = self.ability_retention
        self.ability = now if self.ability is None else kept * self.ability + (1.0 - kept) * now

    def _implicit(self, rows: Rows, ability: float) -> tuple[Floats, Floats]:
        """Rate between the anchors at `ability`, and the implicit rollouts of one step, (n,) each."""
        weak, strong = self.weak[rows], self.strong[rows]
        rate = np.clip(weak + ability * (strong - weak), 0.0, 1.0)
        unknown = np.isnan(rate)
        return np.where(unknown, 0.5, rate), np.where(unknown, 0.0, self.balance * self.rollouts)
