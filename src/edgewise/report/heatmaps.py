"""Heat maps of one method over its run: beliefs, selected categories, accuracy by category."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from edgewise.experiments.folders import Floats, Line, Run
from edgewise.report.load import Comparison
from edgewise.report.plots import Figure, jsonable
from edgewise.report.series import Curve, over_steps


def predicted(comparison: Comparison, method: str) -> Figure | None:
    """Heat map: share of the pool by predicted success rate over the run, mean over seeds; with the probe's truth."""
    steps, table = _matrix(comparison.runs.get(method, []), lambda line: line.array("believed"))
    if not table.size:
        return None
    bins = table.shape[1]
    centres = (np.arange(bins) + 0.5) / bins
    # A few bins that hold nearly everything would leave the rest black.
    top = float(np.quantile(table[table > 0], 0.98)) if (table > 0).any() else 1.0
    lines = [_overlay(steps, table @ centres / np.maximum(table.sum(axis=1), 1e-12), "mean prediction", "solid")]
    probes = [_probe_rate(run) for run in comparison.runs[method]]
    truth = over_steps([curve for curve in probes if np.isfinite(curve[1]).any()])
    if len(truth.x):
        lines.append(_overlay(truth.x, truth.mean, "observed on the probe", "dot"))
    return _heat(steps, table.T, top, "share of the pool", "predicted success rate", percents=True) | {"lines": lines}


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
    return _heat(middle, share, top, "share of groups", "category", names, percents=True)


def category_belief(comparison: Comparison, method: str) -> Figure | None:
    return _by_category(comparison, method, "believed_by_category", "predicted")


def category_accuracy(comparison: Comparison, method: str) -> Figure | None:
    return _by_category(comparison, method, "by_category", "accuracy")


def _by_category(comparison: Comparison, method: str, key: str, what: str) -> Figure | None:
    names = comparison.categories

    def row(line: Line) -> Floats:
        found = line.mapping(key)
        return np.array([found.get(name, math.nan) for name in names]) if found else np.empty(0)

    steps, table = _matrix(comparison.runs.get(method, []), row)
    if not table.size:
        return None
    return _heat(steps, table.T, 1.0, what, "category", names)


def _probe_rate(run: Run) -> Curve:
    rates = []
    for line in run.evals:
        _, successes, trials = line.predictions("probe")
        rates.append(successes.sum() / trials.sum() if trials.sum() else math.nan)
    return np.array([line.step for line in run.evals]), np.array(rates)


def _matrix(runs: list[Run], row: Callable[[Line], Floats]) -> tuple[Floats, Floats]:
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


def _heat(
    x: Floats, z: Floats, top: float, what: str, y: str, rows: list[str] | None = None, percents: bool = False
) -> Figure:
    """A heat map of z, (rows, steps), from 0 to `top`; `rows` are names from above, None: equal parts of [0, 1] from below."""
    table = [jsonable(row, 3) for row in z]
    return {
        "x": jsonable(x, 6),
        "y": y,
        "z": table,
        "rows": rows,
        "top": round(top, 4),
        "what": what,
        "percents": percents,
    }


def _overlay(x: Floats, y: Floats, name: str, dash: str) -> dict[str, Any]:
    return {"x": jsonable(x, 6), "y": jsonable(y), "name": name, "dash": dash}
