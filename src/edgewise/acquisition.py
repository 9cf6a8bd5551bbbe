"""What a prompt with a given success rate is worth; the selector picks the highest worth."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from edgewise.errors import ConfigError
from edgewise.registry import Registry

Floats = npt.NDArray[np.float64]


class Acquisition(ABC):
    """Worth of success rates: higher is better, equal worth is broken at random.

    `peak` is the rate with the highest worth where worth depends on the distance to it alone, strictly falling; else None.
    """

    peak: float | None = None

    @abstractmethod
    def worth(self, rates: Floats) -> Floats:
        """Worth of success rates (n,) in [0, 1], any real numbers (n,)."""


acquisitions: Registry[Acquisition] = Registry("acquisition")


@acquisitions.register("closest")
class Closest(Acquisition):
    """MoPPS's Top-B: the smallest (rate - target)^2 (arXiv 2507.04632)."""

    def __init__(self, target: float = 0.5):
        self.target = self.peak = _share("target", target)

    def worth(self, rates: Floats) -> Floats:
        return -((rates - self.target) ** 2)


@acquisitions.register("band")
class Band(Acquisition):
    """MoPPS's threshold selection: every rate in [low, high] is worth the same, others less by their distance to it."""

    def __init__(self, low: float = 0.3, high: float = 0.7):
        self.low, self.high = _share("low", low), _share("high", high)
        if self.low > self.high:
            raise ConfigError(f"a band needs low <= high, got [{low}, {high}]")

    def worth(self, rates: Floats) -> Floats:
        return -np.maximum(np.maximum(self.low - rates, rates - self.high), 0.0)


@acquisitions.register("learnability")
class Learnability(Acquisition):
    """p (1 - p), the variance of one reward (LILO; Rutherford et al. 2024)."""

    peak = 0.5

    def worth(self, rates: Floats) -> Floats:
        return rates * (1.0 - rates)


def informative(rates: Floats, rollouts: int | npt.NDArray[np.int64]) -> Floats:
    """P(informative) = 1 - p^k - (1 - p)^k of success rates p and k rollouts, broadcast."""
    return 1.0 - rates**rollouts - (1.0 - rates) ** rollouts


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


@acquisitions.register("informative")
class Informativeness(Acquisition):
    """P(informative) = 1 - p^k - (1 - p)^k for groups of k rollouts: a flat top around 0.5."""

    peak = 0.5

    def __init__(self, rollouts: int = 8):
        if rollouts < 2:
            raise ConfigError(f"a group of {rollouts} rollouts is never informative: rollouts must be at least 2")
        self.rollouts = int(rollouts)

    def worth(self, rates: Floats) -> Floats:
        return 1.0 - _power(rates, self.rollouts) - _power(1.0 - rates, self.rollouts)


class BeliefAcquisition(Acquisition):
    """Worth that depends on how sure the belief is: judged on its mean and spread instead of on one rate or draw."""

    @abstractmethod
    def believed(self, mean: Floats, spread: Floats) -> Floats:
        """Worth of success rates believed with this mean and standard deviation, (n,) each in [0, 1], any numbers (n,)."""

    def worth(self, rates: Floats) -> Floats:
        """Worth of rates known for certain."""
        return self.believed(rates, np.zeros_like(rates))


@acquisitions.register("information")
class InformationGain(BeliefAcquisition):
    """Expected fall of the belief's entropy, in nats, by a group of k rollouts.

    The mutual information of the success rate and the successes, for the Beta distribution with the belief's mean and
    spread: H(s) - E[H(s | p)], s beta-binomial.
    """

    def __init__(self, rollouts: int = 8):
        if int(rollouts) != rollouts or rollouts < 1:
            raise ConfigError(f"rollouts must be a whole number >= 1, got {rollouts}")
        self.rollouts = int(rollouts)

    def believed(self, mean: Floats, spread: Floats) -> Floats:
        k, share = self.rollouts, np.clip(mean, 1e-6, 1.0 - 1e-6)
        # A spread beyond what [0, 1] allows counts as the widest, none as a million rollouts seen.
        total = np.clip(share * (1.0 - share) / np.maximum(spread, 1e-9) ** 2 - 1.0, 1e-3, 1e6)
        a, b = share * total, (1.0 - share) * total
        right, wrong, both = ([np.zeros_like(a)] for _ in range(3))
        for j in range(k):
            for sums, start in ((right, a), (wrong, b), (both, total)):
                sums.append(sums[-1] + np.log(start + j))
        gain = k * (share * _digamma(a + 1.0) + (1.0 - share) * _digamma(b + 1.0) - _digamma(total + 1.0))
        for s in range(k + 1):
            # Log-probability of one order of s successes; the number of orders cancels between the two entropies.
            order = right[s] + wrong[k - s] - both[k]
            gain -= math.comb(k, s) * np.exp(order) * order
        return np.maximum(gain, 0.0)


def optimistic(acquisition: Acquisition, mean: Floats, spread: Floats, width: float = 1.0) -> Floats:
    """Upper confidence: the highest worth of any rate within `width` spreads of the mean, (n,)."""
    steps = [acquisition.worth(np.clip(mean + z * spread, 0.0, 1.0)) for z in np.linspace(-width, width, 9)]
    return np.max(steps, axis=0)


def top(worth: Floats, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Indices of the n highest worths, ties at the border drawn uniformly; (n,) in no particular order."""
    if n >= len(worth):
        return np.arange(len(worth), dtype=np.int64)
    if n == 0:
        return np.empty(0, np.int64)
    border = np.partition(worth, len(worth) - n)[len(worth) - n]
    above = np.flatnonzero(worth > border)
    level = np.flatnonzero(worth == border)
    return np.concatenate([above, rng.choice(level, n - len(above), replace=False)])


def capped(
    worth: Floats, n: int, categories: npt.NDArray[np.integer], cap: float, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Like `top`, but no category takes more than ceil(cap n) places while others have prompts left.

    Places that the cap leaves empty go to the best of the rest. Equal worth is broken at random.

    Args:
        worth: (m,).
        n: how many, at most m.
        categories: category code of each, (m,); any equal numbers are one category.
        cap: share of the n places, in (0, 1].
        rng: breaks ties.
    """
    order = np.lexsort((rng.random(len(worth)), -worth))
    # Rank inside the category: position in a stable sort by category, less where the category starts.
    codes = categories[order]
    sorted_ = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[sorted_], codes)
    rank = np.empty(len(order), np.int64)
    rank[sorted_] = np.arange(len(order))
    within = rank - starts < math.ceil(cap * n)
    return np.concatenate([order[within], order[~within]])[:n]


def _digamma(x: Floats) -> Floats:
    """Derivative of log gamma for x >= 1, to 1e-9: eight steps up, then Stirling's series."""
    result = np.zeros_like(x)
    for j in range(8):
        result -= 1.0 / (x + j)
    y = x + 8.0
    square = 1.0 / y**2
    return result + np.log(y) - 0.5 / y - square * (1 / 12 - square * (1 / 120 - square / 252))


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is a success rate and must lie in [0, 1], got {value}")
    return float(value)
