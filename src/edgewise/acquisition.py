"""Acquisition: the value of selecting a prompt, given its success rate or a distribution of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Floats, Rows, whole_number
from edgewise.distributions import Distribution, digamma
from edgewise.errors import ConfigError
from edgewise.registry import Registry


class Acquisition(ABC):
    """Value of success rates: higher is better, ties are broken at random.

    Example:
        >>> class Hardest(Acquisition):
        ...     def value(self, rates):
        ...         return 1.0 - rates
        >>> Hardest().value(np.array([0.25]))
        array([0.75])
    """

    peak: float | None = None
    """The rate of the highest value, where the value depends on the distance to it alone and strictly falls; else None."""
    positive = False
    """Whether no value is below 0, so that prompts can be drawn in proportion to it."""
    highest: float = np.inf
    """Bound that no value exceeds, where there is one: proportional draws then need not value every prompt."""
    certain = True
    """Whether a known success rate has a value; False where only what is unknown about it counts."""
    rollouts: int | None = None
    """Rollouts of a group that the value depends on, where it does."""

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in vars(self).items() if isinstance(value, (int, float)))
        return f"{type(self).__name__}({options})"

    @abstractmethod
    def value(self, rates: Floats) -> Floats:
        """Value of known success rates in [0, 1], any real numbers of the same shape."""

    def of(self, distribution: Distribution, rows: Rows | None = None) -> Floats:
        """Value of prompts whose success rates have this distribution, (n,): that of the mean unless overridden.

        Args:
            distribution: of n success rates.
            rows: the prompts; None for prompts never observed.
        """
        return self.value(distribution.mean())


acquisitions: Registry[Acquisition] = Registry("acquisition")


def list_acquisitions() -> list[str]:
    """Names of all registered acquisitions, those of installed packages included."""
    return acquisitions.names()


@acquisitions.register("closest")
class Closest(Acquisition):
    """MoPPS's Top-B: -(rate - target)^2 (arXiv 2507.04632).

    Example:
        >>> Closest(0.5).value(np.array([0.5, 1.0])).tolist()
        [-0.0, -0.25]
    """

    def __init__(self, target: float = 0.5):
        self.target = self.peak = _share("target", target)

    def value(self, rates: Floats) -> Floats:
        return -((rates - self.target) ** 2)


@acquisitions.register("band")
class Band(Acquisition):
    """MoPPS's threshold selection: 0 for every rate in [low, high], less for others by their distance to it.

    Example:
        >>> Band(0.25, 0.75).value(np.array([0.5, 1.0])).tolist()
        [-0.0, -0.25]
    """

    def __init__(self, low: float = 0.3, high: float = 0.7):
        self.low, self.high = _share("low", low), _share("high", high)
        if self.low > self.high:
            raise ConfigError(f"a band needs low <= high, got [{low}, {high}]")

    def value(self, rates: Floats) -> Floats:
        return -np.maximum(np.maximum(self.low - rates, rates - self.high), 0.0)


@acquisitions.register("learnability")
class Learnability(Acquisition):
    """p (1 - p), the variance of one reward (LILO; Rutherford et al. 2024).

    Example:
        >>> Learnability().value(np.array([0.5])).tolist()
        [0.25]
    """

    peak = 0.5
    positive = True
    highest = 1.0

    def value(self, rates: Floats) -> Floats:
        return rates * (1.0 - rates)


def p_informative(rates: Floats, rollouts: int | npt.NDArray[np.number]) -> Floats:
    """P(informative) = 1 - p^k - (1 - p)^k of success rates p and k rollouts, broadcast; p (1 - p) where k = 1.

    A group of one rollout never differs; the variance of its reward is the limit of P(informative) for small groups, but
    for a constant: P(informative) of two rollouts is 2 p (1 - p).
    """
    values = 1.0 - rates**rollouts - (1.0 - rates) ** rollouts
    single = np.asarray(rollouts) <= 1
    return np.where(single, rates * (1.0 - rates), values) if single.any() else values


@acquisitions.register("p_informative")
class PInformative(Acquisition):
    """P(informative) = 1 - p^k - (1 - p)^k of a group of k rollouts, its expectation under a belief; p (1 - p) for k = 1.

    Args:
        rollouts: k, >= 1.

    Example:
        >>> PInformative(rollouts=2).value(np.array([0.5])).tolist()
        [0.5]
    """

    peak = 0.5
    positive = True
    highest = 1.0

    rollouts: int

    def __init__(self, rollouts: int = 8):
        self.rollouts = whole_number("rollouts", rollouts, 1, ConfigError)

    def value(self, rates: Floats) -> Floats:
        if self.rollouts == 1:
            return rates * (1.0 - rates)
        return 1.0 - _power(rates, self.rollouts) - _power(1.0 - rates, self.rollouts)

    def of(self, distribution: Distribution, rows: Rows | None = None) -> Floats:
        return distribution.expect(self.value)


@acquisitions.register("information")
class InformationGain(Acquisition):
    """Expected fall of the belief's entropy, in nats, by a group of k rollouts.

    The mutual information of the success rate and the successes, for the Beta distribution with the belief's mean and
    standard deviation: H(s) - E[H(s | p)], s beta-binomial. 0 for a rate known for certain.

    Args:
        rollouts: k, 1 to 1,024: work grows with it.

    Example:
        >>> from edgewise.distributions import Beta
        >>> uniform = Beta(np.ones(1), np.ones(1))
        >>> InformationGain(rollouts=1).of(uniform).round(3).tolist()
        [0.193]
    """

    positive = True
    certain = False
    rollouts: int

    def __init__(self, rollouts: int = 8):
        self.rollouts = whole_number("rollouts", rollouts, 1, ConfigError, below=1025)

    def value(self, rates: Floats) -> Floats:
        return np.zeros_like(rates)

    def of(self, distribution: Distribution, rows: Rows | None = None) -> Floats:
        return self.gain(distribution.mean(), distribution.std())

    def gain(self, mean: Floats, std: Floats) -> Floats:
        """Value of beliefs with this mean and standard deviation, (n,) each."""
        k, share = self.rollouts, np.clip(mean, 1e-6, 1.0 - 1e-6)
        # A deviation beyond what [0, 1] allows counts as the widest, none as a million rollouts seen.
        total = np.clip(share * (1.0 - share) / np.maximum(std, 1e-9) ** 2 - 1.0, 1e-3, 1e6)
        a, b = share * total, (1.0 - share) * total
        right, wrong, both = ([np.zeros_like(a)] for _ in range(3))
        for j in range(k):
            for sums, start in ((right, a), (wrong, b), (both, total)):
                sums.append(sums[-1] + np.log(start + j))
        gain = k * (share * digamma(a + 1.0) + (1.0 - share) * digamma(b + 1.0) - digamma(total + 1.0))
        for s in range(k + 1):
            # Log-probability of one order of s successes; the number of orders cancels between the two entropies.
            order = right[s] + wrong[k - s] - both[k]
            gain -= math.comb(k, s) * np.exp(order) * order
        return np.maximum(gain, 0.0)


def optimistic(acquisition: Acquisition, mean: Floats, std: Floats, width: float = 1.0) -> Floats:
    """Upper confidence bound: the highest value of any rate within `width` deviations of the mean, (n,)."""
    steps = [acquisition.value(np.clip(mean + z * std, 0.0, 1.0)) for z in np.linspace(-width, width, 9)]
    return np.max(steps, axis=0)


def top(value: Floats, n: int, rng: np.random.Generator) -> Rows:
    """Indices of the n highest values, ties at the border drawn uniformly; (n,) in no particular order."""
    if n >= len(value):
        return np.arange(len(value), dtype=np.int64)
    if n == 0:
        return np.empty(0, np.int64)
    border = np.partition(value, len(value) - n)[len(value) - n]
    above = np.flatnonzero(value > border)
    level = np.flatnonzero(value == border)
    return np.concatenate([above, rng.choice(level, n - len(above), replace=False)])


def _power(x: Floats, k: int) -> Floats:
    """x^k for k >= 1 by squaring: many times as fast as the general power of a pool of rates."""
    result = None
    while k:
        if k & 1:
            result = x if result is None else result * x
        k >>= 1
        if k:
            x = x * x
    assert result is not None
    return result


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is a success rate and must lie in [0, 1], got {value}")
    return float(value)
