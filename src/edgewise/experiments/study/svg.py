"""Small multiples of lines with bands as SVG text: pictures for Markdown that need no browser to make.

Written by hand because that is all there is to draw: no axes but these, no dependency. Colours follow the reader's scheme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from typing import Any

LIGHT = ("#4b5563", "#00795c", "#2563c9", "#c2570c", "#a83280", "#8a6d00", "#6a4bc4", "#0c7f99")
DARK = ("#a3acb9", "#35cfa4", "#74a9ff", "#f59552", "#f08fcb", "#e0bf3f", "#b39dff", "#5fd0e8")
DASHES = ("", "6 3", "2 3", "8 3 2 3")
WIDTH, HEIGHT, GAP = 300, 230, 26
LEFT, TOP, BOTTOM = 56, 34, 42


@dataclass(frozen=True)
class Line:
    """Points of one series: x and y of equal length (None: a gap), and limits of its band (both empty: none)."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


@dataclass(frozen=True)
class Panel:
    """One picture: y from `bottom` to `top`, x in its own units, on a logarithmic axis (base 2) if `doubling`."""

    title: str
    x_title: str
    lines: Sequence[Line]
    ticks: Sequence[float] | Mapping[float, str] = field(default_factory=tuple)
    """Marked values of x; a mapping gives their words."""
    doubling: bool = False
    top: float = 1.0
    bottom: float = 0.0
    shaded: tuple[float, float] | None = None
    """A stretch of x behind the lines."""
    shaded_name: str = ""
    """Written at the top of the stretch."""


def panels(rows: Sequence[Panel], y_title: str) -> str:
    """Panels side by side, with one legend below: the names of all lines, in the order in which they first come."""
    names = list(dict.fromkeys(line.name for panel in rows for line in panel.lines))
    width = LEFT + len(rows) * (WIDTH + GAP)
    legend = _legend(names, width, TOP + HEIGHT + BOTTOM)
    height = TOP + HEIGHT + BOTTOM + legend[1]
    parts = [_text(14, TOP + HEIGHT / 2, y_title, "middle", f'transform="rotate(-90 14 {TOP + HEIGHT / 2})"')]
    for index, panel in enumerate(rows):
        parts.append(_panel(panel, LEFT + index * (WIDTH + GAP), names, index == 0))
    return _page(width, height, [*parts, legend[0]], y_title)


def _panel(panel: Panel, left: float, names: Sequence[str], numbered: bool) -> str:
    xs = [*(x for line in panel.lines for x in line.x), *panel.ticks]
    low, high = min(xs), max(xs)

    def across(x: float) -> float:
        a, b, c = (math.log2(v) if panel.doubling else v for v in (low, high, x))
        return left + 8 + (WIDTH - 16) * ((c - a) / (b - a) if b > a else 0.5)

    def up(y: float) -> float:
        return TOP + HEIGHT * (panel.top - min(max(y, panel.bottom), panel.top)) / (panel.top - panel.bottom)

    parts = [_text(left, TOP - 14, panel.title, "start", 'class="title"')]
    if panel.shaded:
        a, b = (across(min(max(x, low), high)) for x in panel.shaded)
        parts.append(f'<rect class="shade" x="{a:.1f}" y="{TOP}" width="{b - a:.1f}" height="{HEIGHT}"/>')
        parts.append(_text((a + b) / 2, TOP + 16, panel.shaded_name, "middle") if panel.shaded_name else "")
    for share in (0, 0.25, 0.5, 0.75, 1):
        value = panel.bottom + share * (panel.top - panel.bottom)
        y = up(value)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{left + WIDTH}"/>')
        if numbered:
            parts.append(_text(left - 6, y + 4, f"{value:g}", "end"))
    words = panel.ticks if isinstance(panel.ticks, Mapping) else {x: f"{x:g}" for x in panel.ticks}
    parts += [_text(across(x), TOP + HEIGHT + 17, word, "middle") for x, word in words.items()]
    parts.append(_text(left + WIDTH / 2, TOP + HEIGHT + 34, panel.x_title, "middle"))
    for line in panel.lines:
        parts.append(_drawn(line, names.index(line.name), across, up))
    return "".join(parts)


def _drawn(line: Line, number: int, across: Callable[[float], float], up: Callable[[float], float]) -> str:
    where = f'class="c{number % len(LIGHT)}"'
    parts = []
    for band in _stretches(zip(line.x, line.low, line.high, strict=bool(line.low))):
        if len(band) > 1:
            edge = [f"{across(x):.1f} {up(b):.1f}" for x, _, b in band]
            edge += [f"{across(x):.1f} {up(a):.1f}" for x, a, _ in reversed(band)]
            parts.append(
                f'<path {where} d="M{"L".join(edge)}Z" stroke="none" fill="currentColor" fill-opacity="0.13"/>'
            )
    pieces = [[(across(x), up(y)) for x, y in piece] for piece in _stretches(zip(line.x, line.y, strict=True))]
    if pieces:
        path = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in piece) for piece in pieces)
        parts.append(
            f'<path {where} d="{path}" fill="none" stroke="currentColor" stroke-width="2"'
            f' stroke-dasharray="{_dash(number)}" stroke-linejoin="round"><title>{escape(line.name)}</title></path>'
        )
        parts += [
            f'<circle {where} cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="currentColor"/>'
            for piece in pieces
            for x, y in piece
        ]
    return "".join(parts)


def _dash(number: int) -> str:
    """Dashes of a line: with its colour they are no other's of the first 32."""
    return DASHES[(number // 2 + number // len(LIGHT)) % len(DASHES)]


def _stretches(points: Iterable[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    """Points in a row that are all known."""
    return [list(group) for known, group in groupby(points, key=lambda point: None not in point) if known]


def _legend(names: Sequence[str], width: float, top: float) -> tuple[str, float]:
    """The legend and its height."""
    parts, x, y = [], float(LEFT), top + 14
    for number, name in enumerate(names):
        size = 44 + 7.2 * len(name)
        if x + size > width and x > LEFT:
            x, y = float(LEFT), y + 20
        parts.append(
            f'<path class="c{number % len(LIGHT)}" d="M{x:.0f} {y - 4:.0f}h24" stroke="currentColor" stroke-width="2.5"'
            f' stroke-dasharray="{_dash(number)}"/>' + _text(x + 30, y, name, "start")
        )
        x += size
    return "".join(parts), y - top + 12


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'


def _page(width: float, height: float, parts: Sequence[str], title: str) -> str:
    light = "".join(f".c{i}{{color:{colour}}}" for i, colour in enumerate(LIGHT))
    dark = "".join(f".c{i}{{color:{colour}}}" for i, colour in enumerate(DARK))
    style = (
        "text{font:12px system-ui,sans-serif;fill:#3b4350}.title{font-weight:600;font-size:13px}"
        f".grid{{stroke:#d9dde3;stroke-width:1}}.shade{{fill:#00795c;opacity:.07}}.page{{fill:#fff}}{light}"
        "@media(prefers-color-scheme:dark){text{fill:#c9d0da}.grid{stroke:#323945}.page{fill:#0e1116}"
        f".shade{{fill:#35cfa4}}{dark}}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
        f' role="img"><title>{escape(title)}</title><style>{style}</style>'
        f'<rect class="page" width="100%" height="100%"/>{"".join(parts)}</svg>\n'
    )
