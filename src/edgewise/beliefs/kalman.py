"""KGPS's belief: a Kalman filter on the logit of each prompt's success rate (arXiv 2607.27610)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.arrays import Counts, Floats, Rows
from edgewise.beliefs.base import WIDEST, Belief, Exchangeable, beliefs
from edgewise.beliefs.priors import KnownRates
from edgewise.distributions import LogitNormal
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.seen import OpenGroups


@beliefs.register("kalman")
class KalmanBelief(Belief):
    """logit p_i is a random walk of its own for each prompt, observed through its groups.

        predict:  v <- v + noise for every policy step
        observe:  z = log((s + 1/2) / (k - s + 1/2)),  R = 1 / (s + 1/2) + 1 / (k - s + 1/2),
                  gain = v / (v + R),  m <- m + gain (z - m),  v <- (1 - gain) v

    z and R are the empirical logit and its variance (Cox 1970), finite at no success and at all successes. The paper could
    not be had when this was written; the observation model is ours, and so is the constant process noise where the
    paper's follows the size of the policy update.

    A prompt never observed is N(0, spread^2) at any time. A known success rate counts as `prior_strength` rollouts observed
    before the run. A late result counts 1 / (1 + noise age) of its rollouts.

    Args:
        pool: the prompts.
        noise: variance that a policy step adds to the logit of a prompt that has been observed, >= 0.
        spread: standard deviation of the logits before any data, > 0.

    Example:
        >>> belief = KalmanBelief(PromptPool(range(2)))
        >>> belief.observe(np.array([0]), np.array([8]), np.array([8]))
        >>> belief.mean(np.arange(2)).round(2).tolist()
        [0.77, 0.5]
    """

    def __init__(self, pool: PromptPool, *, noise: float = 0.05, spread: float = 1.5):
        super().__init__(pool)
        if not 0 <= noise < np.inf:
            raise ConfigError(f"noise is a variance on the logit scale, >= 0, got {noise}")
        if not 0 < spread <= WIDEST:
            raise ConfigError(f"spread is a standard deviation on the logit scale in (0, {WIDEST:g}], got {spread}")
        self.noise, self.spread = float(noise), float(spread)
        # m and v as of `step`; the present step's rollouts wait in successes and trials.
        columns: dict[str, Any] = {"m": np.float64, "v": np.float64, "step": np.int32}
        self.seen = self.add("seen", OpenGroups(pool, columns))
        self.known = self.add("known", KnownRates(pool))

    def distribution(self, rows: Rows) -> LogitNormal:
        mean, variance = self._start(rows)
        slots = self.seen.slots(rows)
        known = slots >= 0
        if known.any():
            mean[known], variance[known] = self._filtered(slots[known])
        return LogitNormal(mean, variance)

    def exchangeable(self) -> Exchangeable | None:
        """Prompts never observed are alike; None where some rates are known beforehand."""
        if self.known.rates is not None:
            return None
        alike = LogitNormal(np.zeros(1), np.full(1, self.spread**2))
        return Exchangeable(alike, self.seen.unseen_sizes(False), False, self.seen)

    def observe(self, rows: Rows, successes: Counts, trials: Counts, age: Counts | None = None) -> None:
        slots, new = self.seen.insert(rows)
        self.seen["m"][slots[new]], self.seen["v"][slots[new]] = self._start(rows[new])
        self.seen["step"][slots[new]] = self.now
        weight = 1.0 if age is None else 1.0 / (1.0 + self.noise * age)
        self.seen.add_rollouts(slots, weight * successes, weight * trials)

    def advance(self, steps: int = 1) -> None:
        slots = self.seen.open()
        if steps and len(slots):
            self.seen["m"][slots], self.seen["v"][slots] = self._filtered(slots)
            self.seen["step"][slots] = self.now
            self.seen.close()
        super().advance(steps)

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), "seen": float(len(self.seen))}

    def _start(self, rows: Rows) -> tuple[Floats, Floats]:
        """Mean and variance of the logits before any rollout, (n,) each."""
        mean, variance = np.zeros(len(rows)), np.full(len(rows), self.spread**2)
        return _updated(mean, variance, *self.known.counts(rows)) if self.known.rates is not None else (mean, variance)

    def _filtered(self, slots: np.ndarray) -> tuple[Floats, Floats]:
        """Mean and variance of the logits now, the present step's groups included, (n,) each."""
        seen = self.seen
        variance = seen["v"][slots] + self.noise * (self.now - seen["step"][slots])
        right = seen["successes"][slots].astype(np.float64)
        return _updated(seen["m"][slots], variance, right, seen["trials"][slots] - right)


def _updated(mean: Floats, variance: Floats, right: Floats, wrong: Floats) -> tuple[Floats, Floats]:
    """Mean and variance after this many right and wrong rollouts, (n,) each; unchanged where there are none."""
    observed = np.log((right + 0.5) / (wrong + 0.5))
    gain = variance / (variance + 1.0 / (right + 0.5) + 1.0 / (wrong + 0.5)) * (right + wrong > 0)
    return mean + gain * (observed - mean), (1.0 - gain) * variance
