"""Estimators the whole project shares: unbiased pass@k, rank correlation, calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.errors import RewardError


def pass_at_k(correct: Any, total: Any, k: int) -> npt.NDArray[np.float64]:
    """Probability that at least one of k rollouts is correct: 1 - C(n-c, k) / C(n, k), unbiased (Chen et al. 2021, eq. 1).

    Args:
        correct: correct rollouts c of each problem, any shape.
        total: rollouts n of each problem, same shape or a scalar, n >= k.
        k: 1 <= k.

    Returns:
        One estimate a problem in [0, 1], in the broadcast shape.
    """
    if int(k) != k or k < 1:
        raise RewardError(f"pass@k needs a whole k >= 1, got {k}")
    c, n = np.broadcast_arrays(np.asarray(correct), np.asarray(total))
    if c.size and (c.dtype.kind not in "iub" or n.dtype.kind not in "iu"):
        raise RewardError("pass@k counts rollouts: correct and total must be whole numbers")
    if c.size and ((c < 0) | (c > n)).any():
        raise RewardError("correct must lie between 0 and total")
    if n.size and (n < k).any():
        raise RewardError(f"pass@{k} needs at least {k} rollouts a problem, got {int(n.min())}")
    # C(n-c, k) / C(n, k) = prod_{j<k} (n-c-j) / (n-j); a factor of 0 ends the product where n-c < k.
    c, n = c.astype(np.float64), n.astype(np.float64)
    missed = np.ones(c.shape)
    for j in range(int(k)):
        missed *= np.maximum(n - c - j, 0.0) / (n - j)
    return 1.0 - missed


def spearman(predicted: Any, observed: Any) -> float:
    """Rank correlation with mid-ranks for ties, in [-1, 1]; NaN for fewer than two points or where either is constant."""
    a, b = _pair(predicted, observed)
    if len(a) < 2:
        return float("nan")
    ranks = np.stack([_midranks(a), _midranks(b)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    scale = np.sqrt((ranks**2).sum(axis=1))
    return float((ranks[0] * ranks[1]).sum() / (scale[0] * scale[1])) if scale.all() else float("nan")


def somers_d(predicted: Any, observed: Any) -> float:
    """Pairs ranked right minus pairs ranked wrong, over all pairs whose observations differ, in [-1, 1] (Somers 1962).

    A pair that the prediction ties counts as neither, so telling more pairs apart helps wherever it is right more often than
    wrong. A rank correlation may fall then: its ranks spread further than what is known of them. Work grows with n^2.

    Args:
        predicted, observed: (n,) each. NaN if no two observations differ.
    """
    p, y = _pair(predicted, observed)
    score = pairs = 0
    block = max(1, 2**20 // max(len(p), 1))
    for start in range(0, len(p), block):
        part = slice(start, start + block)
        above = y[part, None] > y  # each pair once, from its higher observation
        score += int((above * np.sign(p[part, None] - p)).sum())
        pairs += int(above.sum())
    return score / pairs if pairs else float("nan")


def calibration(predicted: Any, successes: Any, trials: Any, bins: int = 10) -> dict[str, npt.NDArray[np.float64]]:
    """Reliability by equal-width bins of the prediction: mean prediction, observed rate and trials, shape (bins,).

    Empty bins hold NaN.
    """
    p = np.asarray(predicted, np.float64)
    index = np.minimum((p * bins).astype(np.int64), bins - 1)
    k = np.asarray(trials, np.float64)
    weight = np.bincount(index, k, bins).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return {
            "predicted": np.bincount(index, p * k, bins) / weight,
            "observed": np.bincount(index, np.asarray(successes, np.float64), bins) / weight,
            "trials": weight,
        }


def calibration_error(predicted: Any, successes: Any, trials: Any, bins: int = 10) -> float:
    """Expected calibration error: the mean gap between predicted and observed rate, weighted by trials, in [0, 1]."""
    table = calibration(predicted, successes, trials, bins)
    gap = np.abs(table["predicted"] - table["observed"])
    total = table["trials"].sum()
    return float(np.nansum(gap * table["trials"]) / total) if total else float("nan")


def _pair(predicted: Any, observed: Any) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(predicted, np.float64), np.asarray(observed, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"predicted and observed must be two vectors of one length, got {a.shape} and {b.shape}")
    return a, b


def _midranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
