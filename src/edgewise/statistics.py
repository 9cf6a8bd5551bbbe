"""Estimators and intervals: pass@k, means, shares, medians with infinite values, ratios, rank correlation, calibration.

Every number with an interval in tables, pages and studies comes from here. NaN stands for "unknown" and is never averaged
away: an estimate that rests on an unknown value is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edgewise.arrays import whole_number
from edgewise.errors import ConfigError, RewardError

Floats = npt.NDArray[np.float64]
LEVEL = 0.95
"""Nominal coverage of every interval."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the limits of its interval; NaN where unknown.

    Attributes:
        estimate: mean or median.
        low, high: limits; NaN where there are too few values for an interval.
        coverage: probability that an interval made like this one holds the true value, in (0, 1); NaN without an interval.
    """

    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    coverage: float = math.nan


@dataclass(frozen=True)
class Curve:
    """Estimates with the limits of their intervals, each of shape (columns,)."""

    mean: Floats
    low: Floats
    high: Floats


def pass_at_k(correct: npt.ArrayLike, total: npt.ArrayLike, k: int) -> Floats:
    """Probability that at least one of k rollouts is correct: 1 - C(n-c, k) / C(n, k), unbiased (Chen et al. 2021, eq. 1).

    Args:
        correct: correct rollouts c of each problem, any shape.
        total: rollouts n of each problem, same shape or a scalar, n >= k.
        k: number of rollouts in a draw, at least 1.

    Returns:
        One estimate a problem in [0, 1], in the broadcast shape.

    Raises:
        RewardError: counts that are not whole numbers in 0 <= c <= n, shapes that do not fit, a k that is no whole number, or n < k.

    Example:
        >>> pass_at_k([0, 1, 4], 4, k=2).tolist()
        [0.0, 0.5, 1.0]
    """
    k = whole_number("k of pass@k", k, 1, RewardError)
    try:
        c, n = np.broadcast_arrays(np.asarray(correct), np.asarray(total))
    except ValueError as error:
        raise RewardError(f"correct and total must be arrays of one shape, or total one number: {error}") from error
    if c.size and (c.dtype.kind not in "iub" or n.dtype.kind not in "iu"):
        raise RewardError("pass@k counts rollouts: correct and total must be whole numbers")
    if c.size and ((c < 0) | (c > n)).any():
        raise RewardError("correct must lie between 0 and total")
    if n.size and (n < k).any():
        raise RewardError(f"pass@{k} needs at least {k} rollouts a problem, got {int(n.min())}")
    # C(n-c, k) / C(n, k) = prod_{j<k} (n-c-j) / (n-j); a factor of 0 ends the product where n-c < k.
    c, n = c.astype(np.float64), n.astype(np.float64)
    missed = np.ones(c.shape)
    for j in range(k):
        missed *= np.maximum(n - c - j, 0.0) / (n - j)
    return 1.0 - missed


def pass_table(trials: int, ks: Sequence[int]) -> Floats:
    """Unbiased pass@k of a problem by its number of successes: (trials + 1, len(ks)), row c for c successes."""
    if not ks or any(not 1 <= k <= trials for k in ks):
        raise ConfigError(f"every k must lie between 1 and samples ({trials}), got {', '.join(map(str, ks))}")
    return np.stack([pass_at_k(np.arange(trials + 1), trials, k) for k in ks], axis=1)


def pass_curve(successes: npt.ArrayLike, trials: int, ks: Sequence[int], level: float = LEVEL) -> Curve:
    """Mean pass@k over problems for every k, with `share_curve`'s intervals over problems.

    Args:
        successes: correct rollouts of each problem, (problems,), 0..trials.
        trials: rollouts of each problem.
        ks: values of k, each 1..trials; the columns of the result.
        level: coverage of the interval, in (0, 1).

    Raises:
        ConfigError: a k outside 1..trials, or a level outside (0, 1).
        RewardError: no problems, or counts outside 0..trials.

    Example:
        >>> curve = pass_curve([0, 1, 2, 4], trials=4, ks=(1, 4))
        >>> curve.mean.tolist()
        [0.4375, 0.75]
    """
    return share_curve(_estimates(successes, trials, ks), level)


def pass_gain(
    before: npt.ArrayLike, after: npt.ArrayLike, trials: int, ks: Sequence[int], level: float = LEVEL
) -> Curve:
    """Mean of pass@k(after) - pass@k(before) over the same problems, in pairs, in [-1, 1]; arguments as for `pass_curve`."""
    first, second = _estimates(before, trials, ks), _estimates(after, trials, ks)
    if first.shape != second.shape:
        raise RewardError(f"a gain needs the same problems before and after, got {len(first)} and {len(second)}")
    return gain_curve(second - first, level)


def share_curve(values: npt.ArrayLike, level: float = LEVEL) -> Curve:
    """Means of independent values in [0, 1] with intervals inside [0, 1]: values (n, columns).

    Wilson's score interval, with the variance of a share, mu (1 - mu) / n, scaled by the observed variance relative to it.
    The scale is drawn towards 1 with the weight of a quarter of a value, so that n equal values keep an interval: with no
    problem solved of n, the upper limit is about 4 / n. Coverage in simulation: 0.92 to 1 for n from 2 on where values spread
    or are all or nothing, where the percentile bootstrap covers 0.75 with 3 values and 0 with equal ones. It covers less, 0.6
    to 0.9 with 7 to 20 values, where nearly all are close to one end and a few, seldom drawn, are far away: pass@16 of problems
    of which nearly all are solved. Values that were not drawn widen no interval.
    """
    if not 0 < level < 1:
        raise ConfigError(f"the level of an interval lies in (0, 1), got {level}")
    x = np.asarray(values, np.float64)
    n = len(x)
    mean = x.mean(axis=0)
    if n == 1:
        return Curve(mean, np.zeros_like(mean), np.ones_like(mean))
    spread = mean * (1.0 - mean)
    flat = spread <= 0.0
    scale = np.where(flat, 1.0, np.minimum(x.var(axis=0, ddof=1) / np.where(flat, 1.0, spread), 1.0))
    scale = ((n - 1) * scale + PRIOR_WEIGHT) / (n - 1 + PRIOR_WEIGHT)
    c = t_quantile(n - 1, level) ** 2 * scale / n
    middle = (mean + c / 2) / (1 + c)
    half = np.sqrt(c * spread + c * c / 4) / (1 + c)
    return Curve(mean, np.clip(middle - half, 0.0, mean), np.clip(middle + half, mean, 1.0))


def gain_curve(values: npt.ArrayLike, level: float = LEVEL) -> Curve:
    """Means of independent differences of shares, in [-1, 1], with `share_curve`'s intervals: values (n, columns)."""
    found = share_curve((np.asarray(values, np.float64) + 1.0) / 2.0, level)
    return Curve(*(2.0 * part - 1.0 for part in (found.mean, found.low, found.high)))


PRIOR_WEIGHT = 0.25
"""Weight, in values, of the variance of a share in the intervals of few or equal values."""


@lru_cache(maxsize=1024)
def t_quantile(df: int, confidence: float = LEVEL) -> float:
    """The t with P(|T| < t) = confidence, for Student's t with `df` degrees of freedom, to 1e-7.

    By bisection of the finite series of the distribution function (Abramowitz and Stegun 26.7.3 and 26.7.4).

    Raises:
        ConfigError: `df` is not a whole number >= 1, or `confidence` lies outside (0, 1).

    Example:
        >>> round(t_quantile(4), 3)
        2.776
    """
    if int(df) != df or df < 1:
        raise ConfigError(f"degrees of freedom are a whole number >= 1, got {df}")
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence must lie in (0, 1), got {confidence}")
    low, high = 0.0, math.pi / 2  # of the angle arctan(t / sqrt(df))
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _central(middle, int(df)) < confidence else (low, middle)
    return math.sqrt(df) * math.tan(low)


def mean_interval(
    values: npt.ArrayLike, limits: tuple[float, float] = (-math.inf, math.inf), level: float = LEVEL
) -> Interval:
    """Mean of independent values with its Student-t interval, cut to the range that a mean can have.

    Args:
        values: one a run, (n,); NaN: unknown.
        limits: smallest and largest possible mean; cutting never lowers the coverage.
        level: coverage, in (0, 1).

    Returns:
        All NaN if a value is unknown or there is none; no interval for one value.

    Example:
        >>> mean_interval([0.9, 1.0, 0.95], limits=(0.0, 1.0)).high
        1.0
    """
    x = np.asarray(values, np.float64)
    if not len(x) or np.isnan(x).any():
        return Interval()
    mean = float(x.mean())
    if len(x) == 1:
        return Interval(mean)
    half = t_quantile(len(x) - 1, level) * float(x.std(ddof=1)) / math.sqrt(len(x))
    return Interval(mean, max(mean - half, limits[0]), min(mean + half, limits[1]), level)


def share_limits(minus: npt.ArrayLike | None = None) -> tuple[float, float]:
    """Range of a mean share, or of a mean share minus the shares `minus`, (n,): a share of 1 leaves no room for a gain."""
    if minus is None:
        return 0.0, 1.0
    base = float(np.mean(np.asarray(minus, np.float64)))
    return -base, 1.0 - base


FEWEST = 5
"""Values that an interval of a median needs. With five it is their range, which covers the median in 93.75%."""


def median_interval(values: npt.ArrayLike, level: float = LEVEL) -> Interval:
    """Median of independent values with the sign test's interval; valid for any distribution, infinite values included.

    The limits are order statistics x_(l), x_(n+1-l), which hold the median with probability 1 - 2 P(Binomial(n, 1/2) < l):
    the narrowest pair that covers `level`. The median of an even number is that of two values; where these are infinite on
    opposite sides it is unknown.

    Args:
        values: (n,); NaN: unknown.
        level: wanted coverage; the one reached is in the result.

    Returns:
        All NaN if a value is unknown or there is none; no interval for fewer than five values.

    Example:
        >>> median_interval([1.0, 2.0, 3.0, 4.0, float("inf")])
        Interval(estimate=3.0, low=1.0, high=inf, coverage=0.9375)
    """
    x = np.sort(np.asarray(values, np.float64))
    n = len(x)
    if not n or np.isnan(x).any():
        return Interval()
    pair = float(x[(n - 1) // 2]), float(x[n // 2])
    middle = pair[0] if pair[0] == pair[1] else (pair[0] + pair[1]) / 2
    if n < FEWEST:
        return Interval(middle)
    # Of the 2^n equally likely signs, as whole numbers: beyond n = 1,074 their share is no float.
    below = ways = 1
    rank = 0
    while True:
        ways = ways * (n - rank) // (rank + 1)
        if 1 - 2 * ((below + ways) / 2**n) < level:
            break
        below, rank = below + ways, rank + 1
    return Interval(middle, float(x[rank]), float(x[n - 1 - rank]), 1 - 2 * (below / 2**n))


def median_ratio(above: npt.ArrayLike, below: npt.ArrayLike, level: float = LEVEL) -> tuple[Interval, Floats]:
    """Median of above / below over pairs with its interval, and the ratios, (n,).

    Both are waiting times: positive, infinite where the event was not reached. A pair in which neither was reached counts
    as a ratio of 1, so that exchanging the two inverts the result, and two identical methods have a median of 1. Logarithms
    are averaged in the middle of an even number. NaN: a run is missing.

    Example:
        >>> median_ratio([60, 80, 90, 70, np.inf], [30, 80, np.inf, 35, np.inf])[0].estimate
        1.0
    """
    a, b = np.asarray(above, np.float64), np.asarray(below, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(np.isinf(a) & np.isinf(b), 1.0, a / b)
        found = median_interval(np.log(ratios), level)
        # Equal numbers of infinite advantages on both sides: no difference.
        tied = ratios.size and math.isnan(found.estimate) and not np.isnan(ratios).any()
        middle = 0.0 if tied else found.estimate
        middle, low, high = np.exp([middle, found.low, found.high]).tolist()
    return Interval(middle, low, high, found.coverage), ratios


def spearman(predicted: npt.ArrayLike, observed: npt.ArrayLike) -> float:
    """Rank correlation with mid-ranks for ties, in [-1, 1].

    NaN for fewer than two points, where either is constant, and where a value is NaN.

    Example:
        >>> round(spearman([0.1, 0.4, 0.9], [0.0, 0.5, 0.75]), 6)
        1.0
    """
    a, b = _pair(predicted, observed)
    if len(a) < 2 or np.isnan(a).any() or np.isnan(b).any():
        return float("nan")
    ranks = np.stack([_midranks(a), _midranks(b)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    scale = np.sqrt((ranks**2).sum(axis=1))
    return float((ranks[0] * ranks[1]).sum() / (scale[0] * scale[1])) if scale.all() else float("nan")


def somers_d(predicted: npt.ArrayLike, observed: npt.ArrayLike) -> float:
    """Pairs ranked right minus pairs ranked wrong, over all pairs whose observations differ, in [-1, 1] (Somers 1962).

    A pair that the prediction ties counts as neither, so distinguishing more pairs helps wherever it is right more often than
    wrong. A rank correlation may fall then: its ranks spread further than the evidence does. Work grows with n^2.

    Args:
        predicted: (n,).
        observed: (n,).

    Returns:
        NaN if no two observations differ, or where a value is NaN.
    """
    p, y = _pair(predicted, observed)
    if np.isnan(p).any() or np.isnan(y).any():
        return float("nan")
    score = pairs = 0
    block = max(1, 2**20 // max(len(p), 1))
    for start in range(0, len(p), block):
        part = slice(start, start + block)
        above = y[part, None] > y  # each pair once, from its higher observation
        score += int((above & (p[part, None] > p)).sum()) - int((above & (p[part, None] < p)).sum())
        pairs += int(above.sum())
    return score / pairs if pairs else float("nan")


def calibration(
    predicted: npt.ArrayLike, successes: npt.ArrayLike, trials: npt.ArrayLike, bins: int = 10
) -> dict[str, Floats]:
    """Reliability by equal-width bins of the prediction: mean prediction, observed rate and trials, shape (bins,).

    Empty bins hold NaN.

    Raises:
        RewardError: a prediction that is not in [0, 1], or unknown.
    """
    p = np.asarray(predicted, np.float64)
    outside = ~((p >= 0) & (p <= 1))
    if outside.any():
        raise RewardError(f"predicted success rates must lie in [0, 1], got {p[outside][0]:g}")
    index = np.minimum((p * bins).astype(np.int64), bins - 1)
    k = np.asarray(trials, np.float64)
    weight = np.bincount(index, k, bins).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "predicted": np.bincount(index, p * k, bins) / weight,
            "observed": np.bincount(index, np.asarray(successes, np.float64), bins) / weight,
            "trials": weight,
        }


def calibration_error(
    predicted: npt.ArrayLike, successes: npt.ArrayLike, trials: npt.ArrayLike, bins: int = 10
) -> float:
    """Expected calibration error: the mean gap between predicted and observed rate, weighted by trials, in [0, 1]."""
    table = calibration(predicted, successes, trials, bins)
    gap = np.abs(table["predicted"] - table["observed"])
    total = table["trials"].sum()
    return float(np.nansum(gap * table["trials"]) / total) if total else float("nan")


def _pair(predicted: npt.ArrayLike, observed: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(predicted, np.float64), np.asarray(observed, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"predicted and observed must be two vectors of one length, got {a.shape} and {b.shape}")
    return a, b


def _midranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _estimates(successes: npt.ArrayLike, trials: int, ks: Sequence[int]) -> Floats:
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


def _central(angle: float, df: int) -> float:
    """P(|T| < sqrt(df) tan(angle)) of Student's t."""
    sine, cosine = math.sin(angle), math.cos(angle)
    term = cosine if df % 2 else 1.0
    total = 0.0
    for j in range(2 if df % 2 else 1, df, 2):
        total += term
        term *= cosine * cosine * j / (j + 1)
    return 2 / math.pi * (angle + sine * total) if df % 2 else sine * total
