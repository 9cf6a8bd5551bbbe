"""Curves over the run, one colour a method: accuracy, use of the rollouts, quality of the predictions."""

from __future__ import annotations

import math

import numpy as np

from edgewise.experiments.folders import Line, pooled
from edgewise.experiments.target import SMOOTH
from edgewise.report.load import Comparison
from edgewise.report.plots import Figure, figure, jsonable, of, styles
from edgewise.report.series import Band, Curve, over_rollouts, over_steps, smooth
from edgewise.statistics import calibration, spearman

CROWD = 6
"""With more methods than this, single seeds are left out and bands are fainter."""


def accuracy(comparison: Comparison, against: str) -> Figure:
    """Held-out accuracy against "step" or "rollouts", with the target and where each method reached it."""
    bands = {}
    for method, runs in comparison.runs.items():
        curves = []
        for run in runs:
            steps, values = run.column("accuracy", evals=True)
            x = steps if against == "step" else run.column("rollouts", evals=True)[1]
            curves.append((x, smooth(values, SMOOTH)))
        curves = [curve for curve in curves if len(curve[0])]
        bands[method] = over_steps(curves) if against == "step" else over_rollouts(curves)
    unit = "training step" if against == "step" else "rollouts (cumulative)"
    found = _curves(comparison, bands, unit, "accuracy on held-out problems")
    target = comparison.summary.target
    if math.isfinite(target):
        # Where the fewest curves run: on the left over steps, on the right over rollouts.
        found["levels"] = [{"y": round(target, 5), "text": f"target {target:.3f}"}]
        key = "steps_to_target" if against == "step" else "rollouts_to_target"
        look = styles(comparison.methods)
        for method in comparison.methods:
            # At the median over seeds; no mark where most seeds did not reach the target.
            reach = comparison.measure(method, key)
            if math.isfinite(reach.median):
                found["marks"].append(of(method, look) | {"x": round(reach.median, 2), "y": round(target, 5)})
    return found


def effective_ratio(comparison: Comparison) -> Figure:
    return _curves(comparison, _metric(comparison, "effective_ratio"), "training step", "share of groups", (0, 1))


TRAINING = {
    "reward": ("Reward", "Mean over the rollouts of a step.", "reward"),
    "length": ("Length", "Mean of a completion.", "tokens a completion"),
    "surprisal": ("Surprisal", "An estimate of the policy's entropy.", "nats a sampled token"),
    "kl": ("KL divergence", "From the reference model.", "nats a token"),
    "grad_norm": ("Gradient norm", "Before it is cut.", "norm of the gradient"),
}
"""Measures of training that a page shows where a run recorded them: heading, text and unit."""


def recorded(comparison: Comparison) -> list[str]:
    """Those of `TRAINING` that some run recorded."""
    found = {
        key for runs in comparison.runs.values() for run in runs for line in run.metrics[-1:] for key in line.values
    }
    return [key for key in TRAINING if key in found]


def training(comparison: Comparison, key: str) -> Figure:
    """A measure of training over the steps."""
    return _curves(comparison, _metric(comparison, key, (-math.inf, math.inf)), "training step", TRAINING[key][2])


def success_rate(comparison: Comparison) -> Figure:
    """Of the prompts that were rolled out: near 0.5 is the edge."""
    found = _curves(
        comparison, _metric(comparison, "success_rate"), "training step", "success rate of rolled-out prompts", (0, 1)
    )
    found["levels"] = [{"y": 0.5}]
    return found


def calibrated(comparison: Comparison, probe: bool) -> Figure:
    """Observed against predicted success rate in ten bins, all seeds and the last three quarters of the run together."""
    look = styles(comparison.methods)
    entries = []
    for method, runs in comparison.runs.items():
        lines = [line for run in runs for line in run.late(evals=probe)]
        predicted, successes, trials = pooled(line.predictions("probe" if probe else None) for line in lines)
        if not len(predicted):
            continue
        bins = calibration(predicted, successes, trials)
        full = bins["trials"] > 0
        entries.append(
            of(method, look)
            | {
                "predicted": jsonable(bins["predicted"][full]),
                "observed": jsonable(bins["observed"][full]),
                "rollouts": [int(count) for count in bins["trials"][full]],
            }
        )
    return {"entries": entries}


def correlation(comparison: Comparison, probe: bool) -> Figure:
    """Spearman correlation of predicted and observed success rate over the run."""
    bands = {}
    for method, runs in comparison.runs.items():
        curves = [_correlations(run.evals if probe else run.metrics, "probe" if probe else None) for run in runs]
        curves = [curve for curve in curves if np.isfinite(curve[1]).any()]
        bands[method] = over_steps(curves, (-1, 1), 1 if probe else window(comparison))
    found = _curves(comparison, bands, "training step", "Spearman correlation")
    found["levels"] = [{"y": 0}]
    return found


def window(comparison: Comparison) -> int:
    """Steps averaged in curves of noisy per-step numbers: a twentieth of the longest run, at least 5."""
    longest = max((len(run.metrics) for runs in comparison.runs.values() for run in runs), default=0)
    return max(5, longest // 20)


def _metric(comparison: Comparison, key: str, limits: tuple[float, float] = (0.0, 1.0)) -> dict[str, Band]:
    size = window(comparison)
    return {m: over_steps([run.column(key) for run in runs], limits, size) for m, runs in comparison.runs.items()}


def _correlations(lines: list[Line], key: str | None) -> Curve:
    steps, values = [], []
    for line in lines:
        predicted, successes, trials = line.predictions(key)
        steps.append(line.step)
        values.append(spearman(predicted, successes / trials))
    return np.array(steps), np.array(values)


def _curves(
    comparison: Comparison, bands: dict[str, Band], x: str, y: str, limits: tuple[float, float] | None = None
) -> Figure:
    """A line a method: single seeds faint, interval as a band, mean on top."""
    look = styles(comparison.methods)
    found = figure(x, y, limits)
    crowded = len(comparison.methods) > CROWD
    for method in comparison.methods:
        band = bands.get(method)
        if band is None or not len(band.x):
            continue
        line = of(method, look) | {"x": jsonable(band.x, 6), "y": jsonable(band.mean)}
        if np.isfinite(band.low).any():
            line |= {"low": jsonable(band.low), "high": jsonable(band.high)}
        if len(band.seeds) > 1 and not crowded:
            line["seeds"] = [[jsonable(own, 6), jsonable(values, 3)] for own, values in band.seeds]
        found["series"].append(line)
    return found
