"""The pictures, as plotly figures in plain dictionaries.

Colours are names of the style sheet's variables, optionally with an opacity (`var(--edge)/0.2`): the page resolves them,
so that every picture follows light and dark. Plotly reads a little HTML in names and labels; `label` takes its meaning away.
"""

from __future__ import annotations

import html
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.report.colours import styles
from edgewise.report.load import Comparison, Line, Run, Spread, pooled, title
from edgewise.report.series import Band, Curve, over_rollouts, over_steps, trailing
from edgewise.statistics import calibration, spearman

Floats = npt.NDArray[np.float64]
Figure = dict[str, Any]
"""{"data": traces, "layout": layout}."""
EVALUATIONS = 3
"""Accuracy is averaged over this many evaluations in a row, as in the rule for reaching the target."""

CROWD = 6
"""With more methods than this, single seeds are left out and bands are fainter."""


def label(text: str) -> str:
    return html.escape(text, quote=False)


def accuracy(comparison: Comparison, against: str) -> Figure:
    """Held-out accuracy against "step" or "rollouts", with the target and where each method reached it."""
    bands = {}
    for method, runs in comparison.runs.items():
        curves = []
        for run in runs:
            steps, values = run.column("accuracy", evals=True)
            x = steps if against == "step" else run.column("rollouts", evals=True)[1]
            curves.append((x, trailing(values, EVALUATIONS)))
        curves = [curve for curve in curves if len(curve[0])]
        bands[method] = over_steps(curves) if against == "step" else over_rollouts(curves)
    unit = "training step" if against == "step" else "rollouts (cumulative)"
    figure = _curves(comparison, bands, unit, "accuracy on held-out problems")
    target = comparison.target()
    if target.known:
        figure["layout"]["shapes"] = [_line(y=target.mean)]
        # Where the fewest curves run: on the left over steps, on the right over rollouts.
        place = {"x": 0.01} if against == "step" else {"x": 0.99, "xanchor": "right"}
        figure["layout"]["annotations"] = [_note(f"target {target.mean:.3f}", y=target.mean, **place)]
        key = "steps_to_target" if against == "step" else "rollouts_to_target"
        for method in comparison.methods:
            figure["data"] += _reached(comparison, method, comparison.measure(method, key), target.mean, unit)
    return figure


def effective_ratio(comparison: Comparison) -> Figure:
    return _curves(
        comparison, _metric(comparison, "effective_ratio"), "training step", "informative groups / all groups", (0, 1)
    )


def success_rate(comparison: Comparison) -> Figure:
    """Of the prompts that were rolled out: near 0.5 is the edge."""
    figure = _curves(
        comparison, _metric(comparison, "success_rate"), "training step", "success rate of rolled-out prompts", (0, 1)
    )
    figure["layout"]["shapes"] = [_line(y=0.5)]
    return figure


def calibrated(comparison: Comparison, probe: bool) -> Figure:
    """Observed against predicted success rate in ten bins, all seeds and the last three quarters of the run together."""
    look = styles(comparison.methods)
    traces: list[dict[str, Any]] = []
    for method, runs in comparison.runs.items():
        lines = [line for run in runs for line in run.late(evals=probe)]
        predicted, successes, trials = pooled(line.forecast("probe" if probe else None) for line in lines)
        if not len(predicted):
            continue
        bins = calibration(predicted, successes, trials)
        full = bins["trials"] > 0
        share = bins["trials"][full] / bins["trials"].sum()
        colour, dash = look[method]
        traces.append(
            _of(method)
            | {
                "x": _list(bins["predicted"][full]),
                "y": _list(bins["observed"][full]),
                "customdata": [int(count) for count in bins["trials"][full]],
                "mode": "lines+markers",
                "line": {"color": colour, "dash": dash, "width": 1.5},
                "marker": {
                    "color": colour,
                    "size": _list(5 + 18 * np.sqrt(share)),
                    "opacity": 0.8,
                    "line": {"width": 0},
                },
                "hovertemplate": "predicted %{x:.2f}, observed %{y:.2f}<br>%{customdata:,} rollouts",
            }
        )
    layout = _layout("predicted success rate", "observed success rate", (0, 1))
    layout["xaxis"]["range"] = layout["yaxis"]["range"] = [-0.03, 1.03]
    layout["shapes"] = [{"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1, "line": _dashed()}]
    layout["annotations"] = [_note("perfect", x=0.93, y=0.98, xref="x", xanchor="right")]
    return {"data": traces, "layout": layout}


def correlation(comparison: Comparison, probe: bool) -> Figure:
    """Spearman correlation of predicted and observed success rate over the run."""
    bands = {}
    for method, runs in comparison.runs.items():
        curves = [_correlations(run.evals if probe else run.metrics, "probe" if probe else None) for run in runs]
        curves = [curve for curve in curves if np.isfinite(curve[1]).any()]
        bands[method] = over_steps(curves, (-1, 1), 1 if probe else window(comparison))
    figure = _curves(comparison, bands, "training step", "Spearman correlation")
    figure["layout"]["shapes"] = [_line(y=0)]
    return figure


def believed(comparison: Comparison, method: str) -> Figure | None:
    """Heat map: share of the pool by believed success rate over the run, mean over seeds; with the probe's truth."""
    steps, table = _matrix(comparison.runs.get(method, []), lambda line: line.array("believed"))
    if not table.size:
        return None
    bins = table.shape[1]
    centres = (np.arange(bins) + 0.5) / bins
    # A few bins that hold nearly everything would leave the rest black.
    top = float(np.quantile(table[table > 0], 0.98)) if (table > 0).any() else 1.0
    layout = _layout("training step", "believed success rate", (0, 1))
    layout["showlegend"] = True
    layout["legend"] = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"}
    data = [
        _heat(
            steps, _list(centres), table.T, top, "share of the pool", ".0%", "believed %{y:.2f} at step %{x}: %{z:.1%}"
        ),
        _overlay(steps, table @ centres / np.maximum(table.sum(axis=1), 1e-12), "mean belief", "solid"),
    ]
    probes = [_probe_rate(run) for run in comparison.runs[method]]
    truth = over_steps([curve for curve in probes if np.isfinite(curve[1]).any()])
    if len(truth.x):
        data.append(_overlay(truth.x, truth.mean, "observed on the probe", "dot"))
    return {"data": data, "layout": layout}


def picked(comparison: Comparison, method: str) -> Figure | None:
    """Heat map: share of the rolled-out groups by category over the run, all seeds together."""
    lines = [line for run in comparison.runs.get(method, []) for line in run.metrics]
    names = comparison.categories
    last = int(max((line.step for line in lines), default=0))
    width = max(1, math.ceil(last / 40))
    counts = np.zeros((len(names), math.ceil(last / width)))
    place = {name: row for row, name in enumerate(names)}
    for line in lines:
        rows = [place[name] for name in line.strings("categories") if name in place]
        np.add.at(counts, (rows, int(max(line.step - 1, 0)) // width), 1)
    if not counts.sum():
        return None
    with np.errstate(invalid="ignore"):
        share = counts / counts.sum(axis=0)
    middle = np.arange(share.shape[1]) * width + (width + 1) / 2
    top = float(np.nanmax(share))
    return _categories(names, middle, share, top, "share of groups", ".0%", "%{y} around step %{x}: %{z:.1%} of groups")


def category_belief(comparison: Comparison, method: str) -> Figure | None:
    return _by_category(comparison, method, "believed_by_category", "believed")


def category_accuracy(comparison: Comparison, method: str) -> Figure | None:
    return _by_category(comparison, method, "by_category", "accuracy")


def window(comparison: Comparison) -> int:
    """Steps averaged in curves of noisy per-step numbers: a twentieth of the longest run, at least 5."""
    longest = max((len(run.metrics) for runs in comparison.runs.values() for run in runs), default=0)
    return max(5, longest // 20)


def _by_category(comparison: Comparison, method: str, key: str, what: str) -> Figure | None:
    names = comparison.categories

    def row(line: Line) -> Floats:
        found = line.mapping(key)
        return np.array([found.get(name, math.nan) for name in names]) if found else np.empty(0)

    steps, table = _matrix(comparison.runs.get(method, []), row)
    if not table.size:
        return None
    return _categories(names, steps, table.T, 1.0, what, ".1f", f"%{{y}} at step %{{x}}: {what} %{{z:.2f}}")


def _metric(comparison: Comparison, key: str) -> dict[str, Band]:
    size = window(comparison)
    return {m: over_steps([run.column(key) for run in runs], window=size) for m, runs in comparison.runs.items()}


def _correlations(lines: list[Line], key: str | None) -> Curve:
    steps, values = [], []
    for line in lines:
        predicted, successes, trials = line.forecast(key)
        steps.append(line.step)
        values.append(spearman(predicted, successes / trials))
    return np.array(steps), np.array(values)


def _probe_rate(run: Run) -> Curve:
    rates = []
    for line in run.evals:
        _, successes, trials = line.forecast("probe")
        rates.append(successes.sum() / trials.sum() if trials.sum() else math.nan)
    return np.array([line.step for line in run.evals]), np.array(rates)


def _matrix(runs: list[Run], row: Any) -> tuple[Floats, Floats]:
    """(steps,), (steps, n): `row` of every evaluation, mean over the seeds that have it."""
    found: dict[float, list[Floats]] = {}
    for run in runs:
        for line in run.evals:
            values = row(line)
            if len(values):
                found.setdefault(line.step, []).append(values)
    steps = sorted(found)
    width = min((len(values) for rows in found.values() for values in rows), default=0)
    return np.array(steps), np.array([np.mean([v[:width] for v in found[step]], axis=0) for step in steps])


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
        of = _of(method)
        if len(band.seeds) > 1 and not crowded:
            joined = [(np.append(own, np.nan), np.append(values, np.nan)) for own, values in band.seeds]
            seeds.append(
                of
                | {
                    "x": _list(np.concatenate([own for own, _ in joined])),
                    "y": _list(np.concatenate([values for _, values in joined])),
                    "mode": "lines",
                    "line": {"color": f"{colour}/0.3", "width": 1},
                    "hoverinfo": "skip",
                }
            )
        sure = np.isfinite(band.low)
        if sure.any():
            areas.append(
                of
                | {
                    "x": _list(np.concatenate([band.x[sure], band.x[sure][::-1]])),
                    "y": _list(np.concatenate([band.low[sure], band.high[sure][::-1]])),
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
            of
            | {
                "x": _list(band.x),
                "y": _list(band.mean),
                "customdata": spans,
                "mode": "lines",
                "line": {"color": colour, "dash": dash, "width": 2.5},
                "hovertemplate": "%{y:.3f}%{customdata}",
            }
        )
    layout = _layout(x, y, limits)
    layout["hovermode"] = "closest" if "rollouts" in x else "x unified"
    return {"data": [*seeds, *areas, *means], "layout": layout}


def _reached(comparison: Comparison, method: str, reach: Spread, target: float, unit: str) -> list[dict[str, Any]]:
    """A mark on the target line where the seeds reached it on average: only if all of them did."""
    if not reach.known:
        return []
    mark = {"color": styles(comparison.methods)[method][0], "size": 11, "symbol": "diamond"}
    return [
        _of(method)
        | {
            "x": [round(reach.mean, 2)],
            "y": [round(target, 5)],
            "mode": "markers",
            "marker": mark | {"line": {"color": "var(--card)", "width": 1.5}},
            "hovertemplate": f"target reached at %{{x:,.0f}} {unit.split(' (')[0].removeprefix('training ')}",
            "cliponaxis": False,
        }
    ]


def _categories(names: list[str], x: Floats, z: Floats, top: float, what: str, ticks: str, hover: str) -> Figure:
    layout = _layout("training step", "category")
    rows, stride = [*map(label, names)], math.ceil(len(names) / 24)
    short = [label(name if len(name) <= 24 else name[:23] + "…") for name in names]
    # Always categories, even where the names look like numbers or dates.
    layout["yaxis"] |= {"type": "category", "autorange": "reversed", "showgrid": False}
    layout["yaxis"] |= {"tickvals": rows[::stride], "ticktext": short[::stride]}
    trace = _heat(x, rows, z, top, what, ticks, hover)
    return {"data": [trace], "layout": layout}


def _heat(x: Floats, y: list[Any], z: Floats, top: float, what: str, ticks: str, hover: str) -> dict[str, Any]:
    return {
        "type": "heatmap",
        "x": _list(x),
        "y": y,
        "z": [_list(row) for row in z],
        "zmin": 0,
        "zmax": round(top, 4),
        "colorscale": [[i / 5, f"var(--heat-{i})"] for i in range(6)],
        "colorbar": {
            "title": {"text": what, "side": "right", "font": {"size": 12, "color": "var(--muted)"}},
            "thickness": 10,
            "tickformat": ticks,
            "outlinewidth": 0,
            "len": 1,
        },
        "name": "",
        "hovertemplate": hover,
        "hoverongaps": False,
        "showlegend": False,
    }


def _overlay(x: Floats, y: Floats, name: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": _list(x),
        "y": _list(y),
        "name": name,
        "mode": "lines",
        "line": {"color": "var(--mark)", "width": 2, "dash": dash},
        "hovertemplate": f"{name} %{{y:.2f}}<extra></extra>",
    }


def _of(method: str) -> dict[str, Any]:
    return {"type": "scatter", "name": label(title(method)), "legendgroup": method, "showlegend": False}


def _layout(x: str, y: str, limits: tuple[float, float] | None = None) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": y}, "rangemode": "normal"}
    if limits is not None:
        axis["range"] = [*limits]
    return {"xaxis": {"title": {"text": x}}, "yaxis": axis}


def _line(y: float) -> dict[str, Any]:
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": _dashed(), "layer": "below"}


def _dashed() -> dict[str, Any]:
    return {"color": "var(--muted)", "width": 1.2, "dash": "6px,4px"}


def _note(text: str, y: float, x: float, xref: str = "paper", xanchor: str = "left") -> dict[str, Any]:
    place = {"x": x, "y": y, "xref": xref, "xanchor": xanchor, "yanchor": "bottom"}
    return place | {"text": text, "showarrow": False, "font": {"color": "var(--muted)", "size": 11}}


def _list(values: Floats) -> list[float | None]:
    """For JSON: short, and null for NaN."""
    return [round(value, 4) if math.isfinite(value) else None for value in values.tolist()]
