"""Pieces that several parts of the page share."""

from __future__ import annotations

import math

from edgewise.report.markup import Html, h


def section(name: str, text: str | None, *children: Html | None) -> Html:
    return h("section", h("h2", name), h("p", text, class_="about") if text else None, *children)


def swatch(colour: str, dash: str) -> Html:
    return h("i", class_=f"swatch {dash}", style=f"--of: {colour}", aria_hidden="true")


def exact(value: float) -> str:
    """The number as it stands in the summary, for readers that are programs."""
    return repr(value) if math.isfinite(value) else ""
