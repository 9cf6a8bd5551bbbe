"""Curves over several seeds: mean, 95% Student interval, and the seeds themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgewise.statistics import t_quantile

Floats = npt.NDArray[np.float64]
Curve = tuple[Floats, Floats]
"""(x, y), each (points,); y may hold NaN."""
POINTS = 160
"""Smoothed curves are thinned to about this many points: more cannot be seen, and every one makes the page larger."""
SEEDS = 3
"""Fewest seeds with an interval: Student's of two is twelve standard errors wide, and hides everything else."""


@dataclass(frozen=True)
class Band:
    """x, mean and 95% interval, each (points,). The interval is NaN where fewer than three seeds have a value."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats
    seeds: list[Curve]


def over_steps(curves: list[Curve], limits: tuple[float, float] = (0.0, 1.0), window: int = 1) -> Band:
    """Seeds that share their x: at each one the mean of the seeds that have a value there.

    Args:
        curves: one a seed.
        limits: range of the quantity; the interval is cut to it.
        window: centred moving average over this many points of each seed first.
    """
    if window > 1:
        stride = math.ceil(max((len(x) for x, _ in curves if len(x)), default=1) / POINTS)
        curves = [(x[::stride], smooth(y, window)[::stride]) for x, y in curves]
    x = np.unique(np.concatenate([x for x, _ in curves])) if curves else np.empty(0)
    table = np.full((len(curves), len(x)), np.nan)
    for row, (own, y) in zip(table, curves, strict=True):
        row[np.searchsorted(x, own)] = y
    return _band(x, table, curves, limits)


def over_rollouts(curves: list[Curve]) -> Band:
    """Seeds whose x differ: each interpolated on a common grid, as far as every complete one goes."""
    points = max((len(x) for x, _ in curves), default=0)
    if not points:
        return over_steps([])
    end = min(x[-1] for x, _ in curves if len(x) == points)
    grid = np.linspace(min(x[0] for x, _ in curves), end, points)
    table = np.stack([np.interp(grid, x, y, np.nan, np.nan) for x, y in curves])
    return _band(grid, table, curves, (0.0, 1.0))


def smooth(values: Floats, window: int) -> Floats:
    """Centred moving average of the values that are not NaN; shorter at the ends."""
    return _average(values, (window - 1) // 2, window // 2)


def _average(values: Floats, before: int, after: int) -> Floats:
    known = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    place = np.arange(len(values))
    first, last = np.maximum(place - before, 0), np.minimum(place + after + 1, len(values))
    with np.errstate(invalid="ignore"):
        return (total[last] - total[first]) / (count[last] - count[first])


def _band(x: Floats, table: Floats, seeds: list[Curve], limits: tuple[float, float]) -> Band:
    """`table`: (seeds, points)."""
    count = np.isfinite(table).sum(axis=0)
    filled = np.where(np.isfinite(table), table, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=0) / count
        squares = (np.where(np.isfinite(table), table - mean, 0.0) ** 2).sum(axis=0)
        half = np.sqrt(squares / (count - 1) / count)
    half *= np.array([t_quantile(n - 1) if n >= SEEDS else np.nan for n in count.tolist()])
    return Band(x, mean, np.maximum(mean - half, limits[0]), np.minimum(mean + half, limits[1]), seeds)
