"""Allocation of rollouts to the selected prompts: the same number for all, or a fixed total spent where it adds most."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from edgewise.arrays import Counts, Floats, whole_number
from edgewise.errors import ConfigError
from edgewise.registry import Registry


class Allocation(ABC):
    """Rollouts for a batch.

    Args:
        mean: rollouts a prompt, on average over a batch.
    """

    def __init__(self, mean: int) -> None:
        self.mean = whole_number("rollouts", mean, 1, ConfigError)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rollouts={self.mean})"

    @abstractmethod
    def rollouts(self, predicted: Floats) -> Counts:
        """Rollouts of each prompt, (n,) >= 1, given its predicted success rate (n,) in [0, 1]."""


allocations: Registry[Allocation] = Registry("allocation")


@allocations.register("constant")
class Constant(Allocation):
    """The same number of rollouts for every prompt."""

    def __init__(self, rollouts: int = 8):
        super().__init__(rollouts)

    def rollouts(self, predicted: Floats) -> Counts:
        return np.full(len(predicted), self.mean, np.int64)


class Marginal(Allocation):
    """Base of the rules that spend n times `rollouts` in all, one rollout after the other where it adds most.

    If each further rollout of a prompt adds no more than the one before, this greedy choice maximises the sum of values
    exactly: it is what dynamic programming over the knapsack finds. Ties go to prompts with fewer rollouts.

    Args:
        rollouts: mean rollouts a prompt; the sum over a batch of n is exactly n times this.
        minimum: rollouts that every prompt gets, >= 1; below 2 a group cannot be informative.
        maximum: rollouts that no prompt exceeds.
    """

    def __init__(self, rollouts: int = 8, *, minimum: int = 2, maximum: int = 128):
        super().__init__(rollouts)
        self.minimum = whole_number("minimum", minimum, 1, ConfigError)
        self.maximum = whole_number("maximum", maximum, 1, ConfigError)
        if not self.minimum <= self.mean <= self.maximum:
            raise ConfigError(
                f"rollouts is the mean and must lie between minimum and maximum, got {minimum} <= {rollouts} <= {maximum}"
            )

    @abstractmethod
    def gains(self, predicted: Floats, k: Counts) -> Floats:
        """Value of rollout k + 1 after k, (len(k), n), for success rates (n,); >= 0 and not rising in k."""

    def rollouts(self, predicted: Floats) -> Counts:
        rates = np.asarray(predicted, np.float64)
        if rates.ndim != 1 or not ((rates >= 0) & (rates <= 1)).all():
            raise ConfigError("rollouts are allocated by success rates in [0, 1], one a prompt")
        n = len(rates)
        spare = n * (self.mean - self.minimum)
        # No prompt can get more than everything that is spare.
        levels = np.arange(self.minimum, min(self.maximum, self.minimum + spare), dtype=np.int64)
        counts = np.full(n, self.minimum, np.int64)
        if spare == 0:
            return counts
        gains = self.gains(rates, levels[:, None]).ravel()
        border = np.partition(gains, len(gains) - spare)[len(gains) - spare]
        above = np.flatnonzero(gains > border)
        # Level by level: equal gains give every prompt its next rollout before any prompt its second next.
        level = np.flatnonzero(gains == border)[: spare - len(above)]
        return counts + np.bincount(np.concatenate([above, level]) % n, minlength=n)


@allocations.register("knapsack")
class Knapsack(Marginal):
    """Knapsack RL (arXiv 2509.25849): the value of k rollouts is (1 - p^k - (1 - p)^k) p (1 - p)^2.

    The first factor is P(informative), the second how much a gradient step is expected to gain, which favours hard prompts.
    Rollout k + 1 adds (p^k (1 - p) + (1 - p)^k p) p (1 - p)^2.
    """

    def gains(self, predicted: Floats, k: Counts) -> Floats:
        p, q = predicted, 1.0 - predicted
        return (p**k * q + q**k * p) * p * q**2


@allocations.register("cures")
class CurES(Marginal):
    """CurES (arXiv 2510.01037): rollouts proportional to the standard deviation of a prompt's gradient.

    n_i ~ sigma_i minimises the summed variance sum_i sigma_i^2 / n_i; here in whole numbers. The paper measures sigma_i with
    gradients of some rollouts; with gradients of one length that cancel on average it is sqrt(p (1 - p)), used here.
    Rollout k + 1 takes p (1 - p) (1 / k - 1 / (k + 1)) off the variance.
    """

    def gains(self, predicted: Floats, k: Counts) -> Floats:
        return predicted * (1.0 - predicted) / (k * (k + 1.0))


def make_allocation(name: str, **options: Any) -> Allocation:
    """Build a registered allocation.

    Example:
        >>> make_allocation("knapsack", rollouts=8).rollouts(np.array([0.02, 0.3, 0.95]))
        array([ 8, 14,  2])
    """
    return allocations.make(name, **options)
