"""pass@k for many k at once with bootstrap intervals over problems, from the success counts of each problem.

Needs numpy only: counts may come from any model and any program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.errors import ConfigError, RewardError
from edgewise.statistics import pass_at_k

Counts = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
DRAWS = 2000
LEVEL = 0.95
BLOCK = 250
"""Resamples held in memory at once."""


@dataclass(frozen=True)
class Interval:
    """Means over problems with the limits of their interval, each of shape (columns,)."""

    mean: Reals
    low: Reals
    high: Reals


def pass_table(trials: int, ks: Sequence[int]) -> Reals:
    """Unbiased pass@k of a problem by its number of successes: (trials + 1, len(ks)), row c for c successes."""
    _check(trials, ks)
    return np.stack([pass_at_k(np.arange(trials + 1), trials, k) for k in ks], axis=1)


def pass_curve(
    successes: Any, trials: int, ks: Sequence[int], draws: int = DRAWS, level: float = LEVEL, seed: int = 0
) -> Interval:
    """Mean pass@k over problems, for every k.

    Args:
        successes: correct rollouts of each problem, (problems,), 0..trials.
        trials: rollouts of each problem.
        ks: values of k, each 1..trials.
        draws: bootstrap resamples of the problems.
        level: of the interval, in (0, 1).
        seed: of the resamples.

    Returns:
        columns in the order of `ks`.

    Raises:
        ConfigError: a k outside 1..trials, or a level or number of draws that makes no interval.
        RewardError: no problems, or counts outside 0..trials.
    """
    return bootstrap(_estimates(successes, trials, ks), draws, level, seed)


def pass_gain(
    before: Any, after: Any, trials: int, ks: Sequence[int], draws: int = DRAWS, level: float = LEVEL, seed: int = 0
) -> Interval:
    """Mean of pass@k(after) - pass@k(before) over the same problems, resampled in pairs; arguments as for `pass_curve`."""
    first, second = _estimates(before, trials, ks), _estimates(after, trials, ks)
    if first.shape != second.shape:
        raise RewardError(f"a gain needs the same problems before and after, got {len(first)} and {len(second)}")
    return bootstrap(second - first, draws, level, seed)


def bootstrap(values: Reals, draws: int = DRAWS, level: float = LEVEL, seed: int = 0) -> Interval:
    """Percentile interval of the mean of each column, rows resampled with replacement: values (rows, columns)."""
    if not 0 < level < 1 or draws < 2:
        raise ConfigError(f"an interval needs a level in (0, 1) and at least 2 draws, got {level} and {draws}")
    rng = np.random.default_rng(seed)
    rows = len(values)
    means = np.empty((draws, values.shape[1]))
    for begin in range(0, draws, BLOCK):
        size = min(BLOCK, draws - begin)
        # How often each row is drawn, then one matrix product for the means of all columns: (size, rows).
        drawn = rng.integers(rows, size=(size, rows)) + rows * np.arange(size)[:, None]
        often = np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows)
        means[begin : begin + size] = often @ values / rows
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return Interval(values.mean(axis=0), low, high)


def _estimates(successes: Any, trials: int, ks: Sequence[int]) -> Reals:
    """pass@k of each problem: (problems, len(ks))."""
    table = pass_table(trials, ks)
    counts = np.asarray(successes)
    if counts.ndim != 1 or not counts.size or counts.dtype.kind not in "iu":
        raise RewardError(
            f"pass@k needs the successes of at least one problem as whole numbers (problems,), got {counts}"
        )
    if counts.min() < 0 or counts.max() > trials:
        raise RewardError(f"successes must lie between 0 and {trials}, got {counts.min()} to {counts.max()}")
    return table[counts]


def _check(trials: int, ks: Sequence[int]) -> None:
    if not ks or any(not 1 <= k <= trials for k in ks):
        raise ConfigError(f"every k must lie between 1 and samples ({trials}), got {', '.join(map(str, ks))}")
