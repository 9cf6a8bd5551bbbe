"""Figures as plain dictionaries for `charts.js`, and the colour and dash of each method.

A figure of curves is {"x", "y", "limits", "show", "series", "levels", "marks"}, one of calibration {"entries"}, a heat map {"z", ...}, one
of the pool {"step", "counts"}. Colours are variables of the style sheet, so every picture follows light and dark.
"""

from __future__ import annotations

import math
from typing import Any

from edgewise.experiments.folders import Floats
from edgewise.report.load import title

Figure = dict[str, Any]
DIGITS = 4
"""Significant digits of a number in a picture: finer than a pixel."""

NAMED = {
    "uniform": ("var(--uniform)", "dot"),
    "placebo": ("var(--uniform)", "longdash"),
    "ds": ("var(--ds)", "dash"),
    "mopps": ("var(--mopps)", "dashdot"),
    "edge": ("var(--edge)", "solid"),
}
OTHERS = 6
"""Colours --other-0 .. --other-5 of the style sheet."""
DASHES = ("solid", "dashdot", "longdash", "dot")


def styles(methods: list[str]) -> dict[str, tuple[str, str]]:
    """(colour, dash) by method."""
    others = [method for method in methods if method not in NAMED]
    rest = {m: (f"var(--other-{i % OTHERS})", DASHES[i // OTHERS % len(DASHES)]) for i, m in enumerate(others)}
    return {method: NAMED.get(method) or rest[method] for method in methods}


def of(method: str, look: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """What every part of a figure that belongs to a method has: the page shows and hides by `method`."""
    colour, dash = look[method]
    return {"name": title(method), "method": method, "of": colour, "dash": dash}


def figure(x: str, y: str, limits: tuple[float, float] | None = None) -> Figure:
    """A figure of curves without any yet; `limits` are those of y."""
    return {"x": x, "y": y, "limits": limits, "series": [], "levels": [], "marks": []}


def jsonable(values: Floats, digits: int = DIGITS) -> list[float | int | None]:
    """For JSON: as short as a picture allows, and null for NaN."""
    return [_short(value, digits) for value in values.tolist()]


def _short(value: float, digits: int) -> float | int | None:
    if not math.isfinite(value):
        return None
    found = value if value == int(value) and abs(value) < 1e15 else float(f"{value:.{digits}g}")
    return int(found) if found == int(found) else found
