"""Target accuracy of a comparison, and the steps and rollouts until a run reaches it.

The rule, fixed before the runs: accuracy is smoothed over three evaluations in a row. The target of a seed is its accuracy
before training, which all methods of the seed share, plus 80% of the mean gain of uniform's runs over all seeds (mean of the
last three evaluations minus accuracy before training). So it does not come from the run that is compared: a run's own final
accuracy as its target is reached by construction, and by an identical twin in half of the seeds. 80%, because at 100% half of
uniform's own runs miss it, and half of the ratios are infinite; `python -m edgewise.experiments.placebo` measures both.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SMOOTH = 3
"""Evaluations in a row that accuracy is averaged over."""
SHARE = 0.8
"""Share of uniform's mean gain that is the target."""
RULE = (
    f"accuracy is smoothed over {SMOOTH} evaluations in a row; the target of a seed is its accuracy before training plus"
    f" {SHARE:.0%} of uniform's mean gain over all seeds, up to the mean of its last {SMOOTH} evaluations; a method has reached it"
    " where its smoothed accuracy first does, interpolated between evaluations; an average stands at the middle one"
)


def final(accuracy: npt.ArrayLike) -> float:
    """Mean of the last three evaluations, (evaluations,); NaN if there is none."""
    last = np.asarray(accuracy, np.float64)[-SMOOTH:]
    return float(last.mean()) if len(last) else math.nan


def wanted_gain(before: npt.ArrayLike, after: npt.ArrayLike) -> float:
    """Gain in accuracy that is the target, from uniform's accuracy before training and at the end, (seeds,) each.

    NaN: that run is missing. NaN is returned where no run is there, and where uniform did not gain.
    """
    gains = np.asarray(after, np.float64) - np.asarray(before, np.float64)
    gains = gains[~np.isnan(gains)]
    gain = SHARE * float(gains.mean()) if len(gains) else math.nan
    return gain if gain > 0 else math.nan


def reach(accuracy: npt.ArrayLike, target: float) -> float:
    """Position, in evaluations from 0, at which the smoothed accuracy first reaches the target; infinite if it does not.

    An average stands at the middle of its three evaluations: at the last one, every wait would be an evaluation longer, and
    ratios nearer to 1. A position between two averages is interpolated.

    Example:
        >>> reach([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], target=0.25)
        2.5
    """
    values = np.asarray(accuracy, np.float64)
    if math.isnan(target) or len(values) < SMOOTH:
        return math.nan
    smooth = np.convolve(values, np.full(SMOOTH, 1 / SMOOTH), "valid")
    above = np.flatnonzero(smooth >= target - 1e-12)
    if not above.size:
        return math.inf
    first = int(above[0])
    if first == 0:
        return float(SMOOTH // 2)
    share = (target - smooth[first - 1]) / (smooth[first] - smooth[first - 1])
    return first + SMOOTH // 2 - 1 + float(share)


def at(position: float, column: npt.ArrayLike) -> float:
    """A column's value at a position of `reach`: steps or rollouts, (evaluations,)."""
    values = np.asarray(column, np.float64)
    if not math.isfinite(position):
        return position
    return float(np.interp(position, np.arange(len(values)), values))
