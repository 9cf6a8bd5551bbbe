"""Runs paired by seed: what the methods of a comparison differ in, from the views of their runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgewise.statistics import mean_interval

FEWEST = 3
"""Seeds from which a difference has an interval."""


def method_and_seed(name: str) -> tuple[str, str] | None:
    """The two parts of a name such as `edge/seed_0`; None for other names."""
    found = re.fullmatch(r"(.+?)[/_-]?seed[_-]?(\d+)", name)
    return (found[1].rstrip("/"), found[2]) if found and found[1] else None


def paired(views: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Differences of each method from the baseline over the seeds that both have.

    Each comparison is paired by itself: runs named `PLACE/METHOD/seed_N` with those of the same place. The baseline is `uniform`, or the first method. Runs are compared up to the last step that both have, by the groups with a
    gradient and by the success rate of the second half.

    Returns:
        Baseline and rows: method, seeds, and of each measure the mean difference with a 95% Student interval (from three
        seeds on); None where no two methods share a seed.
    """
    runs: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for view in views:
        parts = method_and_seed(view["name"])
        if parts is not None and view["groups"]:
            place, _, method = parts[0].rpartition("/")
            runs.setdefault((place, method), {})[parts[1]] = view
    methods = [method for _, method in runs]
    base = "uniform" if "uniform" in methods else next(iter(methods), "")
    rows = []
    for (place, method), own in runs.items():
        others = runs.get((place, base), {})
        seeds = [seed for seed in own if seed in others]
        if method == base or not seeds:
            continue
        row: dict[str, Any] = {"method": f"{place}/{method}" if place else method, "seeds": len(seeds)}
        for measure in ("effective", "success"):
            row[measure] = _difference([_later(own[seed], others[seed], measure) for seed in seeds])
        rows.append(row)
    return {"baseline": base, "rows": rows} if rows else None


def _later(view: dict[str, Any], other: dict[str, Any], measure: str) -> float:
    """Difference of a curve's mean over the second half of the steps that both runs have."""
    end = min(view["curves"]["step"][-1], other["curves"]["step"][-1])
    means = []
    for curves in (view["curves"], other["curves"]):
        values = [
            v for x, v in zip(curves["step"], curves[measure], strict=True) if end / 2 <= x <= end and v is not None
        ]
        means.append(np.mean(values) if values else np.nan)
    return float(means[0] - means[1])


def _difference(values: Sequence[float]) -> dict[str, float | None]:
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return dict.fromkeys(("estimate", "low", "high"))
    found = mean_interval(known) if len(known) >= FEWEST else None
    return {
        "estimate": round(float(np.mean(known)), 4),
        "low": None if found is None else round(found.low, 4),
        "high": None if found is None else round(found.high, 4),
    }
