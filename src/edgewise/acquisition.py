"""What a prompt with a given success rate is worth; the selector picks the highest worth."""

from __future__ import annotations

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


@acquisitions.register("informative")
class Informativeness(Acquisition):
    """P(informative) = 1 - p^k - (1 - p)^k for groups of k rollouts: a flat top around 0.5."""

    peak = 0.5

    def __init__(self, rollouts: int = 8):
        if rollouts < 2:
            raise ConfigError(f"a group of {rollouts} rollouts is never informative: rollouts must be at least 2")
        self.rollouts = int(rollouts)

    def worth(self, rates: Floats) -> Floats:
        return 1.0 - rates**self.rollouts - (1.0 - rates) ** self.rollouts


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


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is a success rate and must lie in [0, 1], got {value}")
    return float(value)
