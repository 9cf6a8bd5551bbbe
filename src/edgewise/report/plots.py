"""Plotly figures as plain dictionaries, and the colour and dash of each method.

Colours are names of the style sheet's variables, optionally with an opacity (`var(--edge)/0.2`): the page resolves them,
so that every picture follows light and dark. Plotly reads a little HTML in names and labels; `label` escapes it.
"""

from __future__ import annotations

import html
import math
from typing import Any

from edgewise.experiments.folders import Floats
from edgewise.report.load import title

Figure = dict[str, Any]
"""{"data": traces, "layout": layout}."""


NAMED = {
    "uniform": ("var(--uniform)", "dot"),
    "placebo": ("var(--uniform)", "longdash"),
    "ds": ("var(--ds)", "dash"),
    "mopps": ("var(--mopps)", "solid"),
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


def label(text: str) -> str:
    return html.escape(text, quote=False)


def of(method: str) -> dict[str, Any]:
    """What every trace of a method has: the page shows and hides by `legendgroup`."""
    return {"type": "scatter", "name": label(title(method)), "legendgroup": method, "showlegend": False}


def axes(x: str, y: str, limits: tuple[float, float] | None = None) -> dict[str, Any]:
    """A layout with titled axes; `limits` are those of y."""
    axis: dict[str, Any] = {"title": {"text": y}, "rangemode": "normal"}
    if limits is not None:
        axis["range"] = [*limits]
    return {"xaxis": {"title": {"text": x}}, "yaxis": axis}


def level(y: float) -> dict[str, Any]:
    """A dashed line across the picture."""
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": dashed(), "layer": "below"}


def dashed() -> dict[str, Any]:
    return {"color": "var(--muted)", "width": 1.2, "dash": "6px,4px"}


def note(text: str, y: float, x: float, xref: str = "paper", xanchor: str = "left") -> dict[str, Any]:
    place = {"x": x, "y": y, "xref": xref, "xanchor": xanchor, "yanchor": "bottom"}
    return place | {"text": text, "showarrow": False, "font": {"color": "var(--muted)", "size": 11}}


def jsonable(values: Floats) -> list[float | None]:
    """For JSON: short, and null for NaN."""
    return [round(value, 4) if math.isfinite(value) else None for value in values.tolist()]
