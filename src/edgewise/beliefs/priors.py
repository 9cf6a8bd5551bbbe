"""Priors of Beta beliefs: fixed, or learned by category; and success rates known before the run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from edgewise.arrays import NOISE, Counts, Flags, Floats, Rows, as_array, require_sequence
from edgewise.distributions import Beta
from edgewise.errors import ConfigError
from edgewise.parts import Part
from edgewise.pool import PromptPool
from edgewise.registry import Registry


class Prior(Part, ABC):
    """Pseudo-counts of successes and failures for every prompt."""

    static = False
    """Whether `counts` never changes."""
    by_code = False
    """Whether prompts of one category share a prior; otherwise all prompts share one."""

    @abstractmethod
    def shared(self) -> Beta:
        """Prior of each category code, (C + 1,), if `by_code`; of all prompts, (1,), otherwise."""

    def counts(self, rows: Rows) -> tuple[Floats, Floats]:
        """(alpha0, beta0), each (n,) and positive."""
        shared = self.shared()
        code = self.pool.category_index(rows) if self.by_code else np.zeros(len(rows), np.int64)
        return shared.alpha[code], shared.beta[code]

    def learn(
        self, rows: Rows, successes: Counts, trials: Counts, predicted: Floats, first: Flags, weight: Floats | float
    ) -> None:
        """Learn from rollouts: mean predicted before them, prompts never observed before, weight of late results, (n,) each."""


priors: Registry[Prior] = Registry("prior")


@priors.register("fixed")
class FixedPrior(Prior):
    """One Beta(alpha0, beta0) for all prompts (MoPPS, arXiv 2507.04632; Beta(1, 1) without prior knowledge).

    Example:
        >>> FixedPrior(PromptPool(range(2)), 1.0, 3.0).shared().mean().tolist()
        [0.25]
    """

    static = True

    def __init__(self, pool: PromptPool, alpha: float = 1.0, beta: float = 1.0):
        super().__init__(pool)
        if not (0 < alpha < np.inf and 0 < beta < np.inf):
            raise ConfigError(f"a Beta prior needs positive finite counts, got ({alpha}, {beta})")
        self.alpha, self.beta = float(alpha), float(beta)

    def shared(self) -> Beta:
        return Beta(np.array([self.alpha]), np.array([self.beta]))

    def counts(self, rows: Rows) -> tuple[Floats, Floats]:
        return np.full(len(rows), self.alpha), np.full(len(rows), self.beta)


@priors.register("category")
class CategoryPrior(Prior):
    """A Beta prior for each category whose mean and strength are learned online, drift included (ours).

    Mean: a recursive average of innovations (observed minus predicted rate), weighted by how many independent rollouts a
    group is worth, shrunk towards the mean over all categories. Innovations, not raw rates: a selector that prefers some
    prompts of a category would bias the raw average, while a calibrated prediction makes innovations unbiased.

    Strength: from the spread of first visits. With intra-class correlation r, groups of k rollouts around mean m have
    variance m(1-m)(1/k + (1-1/k) r) (beta-binomial); a Beta prior with that r has strength 1/r - 1.

    What a step shows takes effect with `advance`, so that the order of observations within a step does not matter.

    Args:
        pool: the prompts.
        retention: share of the evidence about a mean that survives a policy step, in (0, 1). The policy drifts; so must
            the prior. Evidence about the strength has the square root.
        shrinkage: rollouts that the average over categories counts for in each, > 0.

    Example:
        >>> CategoryPrior(PromptPool(range(2), ["a", "b"])).shared().mean().tolist()
        [0.5, 0.5, 0.5]
    """

    by_code = True
    # By category: own mean; rollouts behind it; spread of first visits beyond chance; what that would be at r = 1; and of
    # the present step the rollouts, innovations, spread and its scale.
    by_category: ClassVar[Mapping[str, float]] = {
        "own": 0.5,
        "weight": 0.0,
        "excess": 0.0,
        "scale": 0.0,
        "new_weight": 0.0,
        "new_innovation": 0.0,
        "new_excess": 0.0,
        "new_scale": 0.0,
    }

    def __init__(self, pool: PromptPool, *, retention: float = float(np.exp(-1.0 / 20.0)), shrinkage: float = 8.0):
        super().__init__(pool)
        if not 0 < retention < 1 or not 0 < shrinkage < np.inf:
            raise ConfigError(
                f"retention must lie in (0, 1) and shrinkage be positive and finite, got {retention} and {shrinkage}"
            )
        self.retention, self.shrinkage = float(retention), float(shrinkage)
        size = len(pool.category_names) + 1
        self.own, self.weight, self.excess, self.scale = np.full(size, 0.5), *np.zeros((3, size))
        self.new_weight, self.new_innovation, self.new_excess, self.new_scale = np.zeros((4, size))

    def shared(self) -> Beta:
        mean, strength = self._table()
        return Beta(mean * strength, (1.0 - mean) * strength)

    def learn(
        self, rows: Rows, successes: Counts, trials: Counts, predicted: Floats, first: Flags, weight: Floats | float
    ) -> None:
        code, size = self.pool.category_index(rows), len(self.own)
        mean, strength = self._table()
        rate = successes / trials
        independent = weight * trials / (1.0 + (trials - 1.0) / (1.0 + strength[code]))
        self.new_weight = self.new_weight + np.bincount(code, independent, size)
        self.new_innovation = self.new_innovation + np.bincount(code, independent * (rate - predicted), size)
        fresh = first & (trials > 1)
        c, k, m = code[fresh], trials[fresh], mean[code[fresh]]
        within = m * (1.0 - m)
        self.new_excess = self.new_excess + np.bincount(c, (rate[fresh] - m) ** 2 - within / k, size)
        self.new_scale = self.new_scale + np.bincount(c, within * (1.0 - 1.0 / k), size)

    def advance(self, steps: int = 1) -> None:
        if steps:
            mean, _ = self._table()
            # The recursion starts from the shrunken mean: a category's first data moves it from where the others are.
            gain = self.new_innovation / (self.weight + self.shrinkage + self.new_weight)
            self.own = np.where(self.new_weight > 0, np.clip(mean + gain, 0.01, 0.99), self.own)
            self.weight = (self.weight + self.new_weight) * self.retention**steps
            # How prompts differ inside a category changes more slowly than how good the policy is.
            slow = np.sqrt(self.retention) ** steps
            self.excess = (self.excess + self.new_excess) * slow
            self.scale = (self.scale + self.new_scale) * slow
            self.new_weight, self.new_innovation, self.new_excess, self.new_scale = np.zeros((4, len(self.own)))
        super().advance(steps)

    def metrics(self) -> dict[str, float]:
        mean, strength = self._table()
        return {"prior_strength": float(strength.mean()), "prior_mean": float(mean.mean())}

    def _table(self) -> tuple[Floats, Floats]:
        """(mean, strength) by category, each shrunk towards the average over categories."""
        overall = (self.own @ self.weight + 0.5 * self.shrinkage) / (self.weight.sum() + self.shrinkage)
        mean = (self.own * self.weight + overall * self.shrinkage) / (self.weight + self.shrinkage)
        # Before any data r = 1/3, which is Beta(1, 1). A scale of 1.5 is about eight groups around a mean of 0.5.
        usual = (self.excess.sum() + 1.0) / (self.scale.sum() + 3.0)
        correlation = (self.excess + 1.5 * usual) / (self.scale + 1.5)
        return mean, 1.0 / np.clip(correlation, 0.02, 0.8) - 1.0


class KnownRates(Part):
    """Success rates known before the run, worth `strength` rollouts each; they follow the ids.

    Args:
        pool: the prompts.
        rates: success rate of each prompt in [0, 1], (pool,); NaN where unknown; None: the pool's priors.
        strength: rollouts that a known rate is worth, >= 0; None: the pool's `prior_strength`.

    Example:
        >>> known = KnownRates(PromptPool(range(2)), [0.25, float("nan")], strength=8)
        >>> [counts.tolist() for counts in known.counts(np.arange(2))]
        [[2.0, 0.0], [6.0, 0.0]]
    """

    by_row: ClassVar[Mapping[str, float]] = {"given": np.nan}

    def __init__(self, pool: PromptPool, rates: npt.ArrayLike | None = None, strength: float | None = None):
        super().__init__(pool)
        self.given = None if rates is None else numbers_by_row("known_rates", rates, pool, 0.0, 1.0)
        self.strength = pool.prior_strength if strength is None else float(strength)
        if not 0 <= self.strength < np.inf:
            raise ConfigError(f"strength must be a finite number of rollouts >= 0, got {strength}")

    @property
    def rates(self) -> Floats | None:
        """Known rates, (pool,), NaN where unknown; None if there are none."""
        return self.given if self.given is not None else self.pool.priors

    def counts(self, rows: Rows) -> tuple[Floats, Floats]:
        """Pseudo-counts of successes and failures, (n,) each; 0 where the rate is unknown."""
        if self.rates is None:
            return np.zeros(len(rows)), np.zeros(len(rows))
        rates = self.rates[rows]
        weight = np.where(np.isnan(rates), 0.0, self.strength)
        rates = np.nan_to_num(rates, nan=0.5)
        return weight * rates, weight * (1.0 - rates)

    def metrics(self) -> dict[str, float]:
        return {} if self.rates is None else {"unknown": float(np.isnan(self.rates).mean())}


def numbers_by_row(name: str, values: npt.ArrayLike, pool: PromptPool, low: float, high: float) -> Floats:
    """An option with one number in [low, high] a prompt, NaN where unknown, as float64 (pool,)."""
    require_sequence(name, values, ConfigError)
    try:
        array = np.array(as_array(values), np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} must be numbers by row: {error}") from error
    if array.shape != (len(pool),):
        raise ConfigError(f"{name} must have shape ({len(pool)},), one number a prompt by row, got {array.shape}")
    noise = NOISE * max(high - low, 0.0)
    bad = np.flatnonzero(~np.isnan(array) & ~((array >= low - noise) & (array <= high + noise)))
    if bad.size:
        raise ConfigError(
            f"{name} must lie in [{low:g}, {high:g}], got {array[bad[0]]} for row {bad[0]} ({bad.size} such values)"
        )
    return np.clip(array, low, high)
