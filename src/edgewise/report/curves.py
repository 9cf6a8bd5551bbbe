"""Curves over the run, one colour a method: accuracy, use of the rollouts, quality of the predictions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgewise.experiments.folders import Line, pooled
from edgewise.experiments.summary import Spread
from edgewise.experiments.target import SMOOTH
from edgewise.report.load import Comparison
from edgewise.report.plots import Figure, axes, dashed, jsonable, level, note, of, styles
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
    figure = _curves(comparison, bands, unit, "accuracy on held-out problems")
    target = comparison.summary.target
    if math.isfinite(target):
        figure["layout"]["shapes"] = [level(y=target)]
        # Where the fewest curves run: on the left over steps, on the right over rollouts.
        place = {"x": 0.01} if against == "step" else {"x": 0.99, "xanchor": "right"}
        figure["layout"]["annotations"] = [note(f"target {target:.3f}", y=target, **place)]
        key = "steps_to_target" if against == "step" else "rollouts_to_target"
        for method in comparison.methods:
            figure["data"] += _reached(comparison, method, comparison.measure(method, key), target, unit)
    return figure


def effective_ratio(comparison: Comparison) -> Figure:
    return _curves(
        comparison, _metric(comparison, "effective_ratio"), "training step", "informative groups / all groups", (0, 1)
    )


TRAINING = {
    "reward": ("Reward", "Mean over the rollouts of a step."),
    "length": ("Length", "Tokens of a completion, mean."),
    "surprisal": ("Surprisal", "Nats a sampled token: an estimate of the policy's entropy."),
    "kl": ("KL divergence", "From the reference model, nats a token."),
    "grad_norm": ("Gradient norm", "Before it is cut."),
}
"""Measures of training that a page shows where a run recorded them: heading and text."""


def recorded(comparison: Comparison) -> list[str]:
    """Those of `TRAINING` that some run recorded."""
    found = {
        key for runs in comparison.runs.values() for run in runs for line in run.metrics[-1:] for key in line.values
    }
    return [key for key in TRAINING if key in found]


def training(comparison: Comparison, key: str) -> Figure:
    """A measure of training over the steps."""
    return _curves(
        comparison, _metric(comparison, key, (-math.inf, math.inf)), "training step", TRAINING[key][0].lower()
    )


def success_rate(comparison: Comparison) -> Figure:
    """Of the prompts that were rolled out: near 0.5 is the edge."""
    figure = _curves(
        comparison, _metric(comparison, "success_rate"), "training step", "success rate of rolled-out prompts", (0, 1)
    )
    figure["layout"]["shapes"] = [level(y=0.5)]
    return figure


def calibrated(comparison: Comparison, probe: bool) -> Figure:
    """Observed against predicted success rate in ten bins, all seeds and the last three quarters of the run together."""
    look = styles(comparison.methods)
    traces: list[dict[str, Any]] = []
    for method, runs in comparison.runs.items():
        lines = [line for run in runs for line in run.late(evals=probe)]
        predicted, successes, trials = pooled(line.predictions("probe" if probe else None) for line in lines)
        if not len(predicted):
            continue
        bins = calibration(predicted, successes, trials)
        full = bins["trials"] > 0
        share = bins["trials"][full] / bins["trials"].sum()
        colour, dash = look[method]
        traces.append(
            of(method)
            | {
                "x": jsonable(bins["predicted"][full]),
                "y": jsonable(bins["observed"][full]),
                "customdata": [int(count) for count in bins["trials"][full]],
                "mode": "lines+markers",
                "line": {"color": colour, "dash": dash, "width": 1.5},
                "marker": {
                    "color": colour,
                    "size": jsonable(5 + 18 * np.sqrt(share)),
                    "opacity": 0.8,
                    "line": {"width": 0},
                },
                "hovertemplate": "predicted %{x:.2f}, observed %{y:.2f}<br>%{customdata:,} rollouts",
            }
        )
    layout = axes("predicted success rate", "observed success rate", (0, 1))
    layout["xaxis"]["range"] = layout["yaxis"]["range"] = [-0.03, 1.03]
    layout["shapes"] = [{"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1, "line": dashed()}]
    layout["annotations"] = [note("perfect", x=0.93, y=0.98, xref="x", xanchor="right")]
    return {"data": traces, "layout": layout}


def correlation(comparison: Comparison, probe: bool) -> Figure:
    """Spearman correlation of predicted and observed success rate over the run."""
    bands = {}
    for method, runs in comparison.runs.items():
        curves = [_correlations(run.evals if probe else run.metrics, "probe" if probe else None) for run in runs]
        curves = [curve for curve in curves if np.isfinite(curve[1]).any()]
        bands[method] = over_steps(curves, (-1, 1), 1 if probe else window(comparison))
    figure = _curves(comparison, bands, "training step", "Spearman correlation")
    figure["layout"]["shapes"] = [level(y=0)]
    return figure


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
    seeds, areas, means = [], [], []
    crowded = len(comparison.methods) > CROWD
    for method in comparison.methods:
        band = bands.get(method)
        if band is None or not len(band.x):
            continue
        colour, dash = look[method]
        own = of(method)
        if len(band.seeds) > 1 and not crowded:
            joined = [(np.append(own, np.nan), np.append(values, np.nan)) for own, values in band.seeds]
            seeds.append(
                own
                | {
                    "x": jsonable(np.concatenate([own for own, _ in joined])),
                    "y": jsonable(np.concatenate([values for _, values in joined])),
                    "mode": "lines",
                    "line": {"color": f"{colour}/0.3", "width": 1},
                    "hoverinfo": "skip",
                }
            )
        sure = np.isfinite(band.low)
        if sure.any():
            areas.append(
                own
                | {
                    "x": jsonable(np.concatenate([band.x[sure], band.x[sure][::-1]])),
                    "y": jsonable(np.concatenate([band.low[sure], band.high[sure][::-1]])),
                    "mode": "lines",
                    "fill": "toself",
                    "fillcolor": f"{colour}/{0.06 if crowded else 0.14}",
                    "line": {"width": 0},
                    "hoverinfo": "skip",
                }
            )
        spans = [
            f" ({low:.3f} to {high:.3f})" if math.isfinite(low) else ""
            for low, high in zip(band.low, band.high, strict=True)
        ]
        means.append(
            own
            | {
                "x": jsonable(band.x),
                "y": jsonable(band.mean),
                "customdata": spans,
                "mode": "lines",
                "line": {"color": colour, "dash": dash, "width": 2.5},
                "hovertemplate": "%{y:.3f}%{customdata}",
            }
        )
    layout = axes(x, y, limits)
    layout["hovermode"] = "closest" if "rollouts" in x else "x unified"
    return {"data": [*seeds, *areas, *means], "layout": layout}


def _reached(comparison: Comparison, method: str, reach: Spread, target: float, unit: str) -> list[dict[str, Any]]:
    """A mark on the target line at the median over seeds; none where most seeds did not reach it."""
    if not math.isfinite(reach.median):
        return []
    mark = {"color": styles(comparison.methods)[method][0], "size": 11, "symbol": "diamond"}
    return [
        of(method)
        | {
            "x": [round(reach.median, 2)],
            "y": [round(target, 5)],
            "mode": "markers",
            "marker": mark | {"line": {"color": "var(--card)", "width": 1.5}},
            "hovertemplate": f"target reached at %{{x:,.0f}} {unit.split(' (')[0].removeprefix('training ')}",
            "cliponaxis": False,
        }
    ]
