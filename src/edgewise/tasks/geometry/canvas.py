"""Rasterisation of figures: lines, arcs and labels in grey levels, identical on every platform and version of Pillow.

A pixel's darkness is its distance to the nearest stroke, computed with + - * / and square roots only, which IEEE 754 rounds
alike everywhere. Glyphs are strokes on a grid of 3 x 5 points. One unit is a pixel of the small picture; larger renderings of the
same figure scale every stroke.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

CELL = 10
"""Units of a side of a cell. A label fills one cell: with patches of this size, a label is one patch."""
CELLS = 6
SIDE = CELL * CELLS
"""Units of a side of a picture."""

Point = tuple[float, float]
Segment = tuple[Point, Point]

_BOX = ((0, 0), (2, 0), (2, 4), (0, 4), (0, 0))
GLYPHS: dict[str, tuple[tuple[Point, ...], ...]] = {
    "0": (_BOX,),
    "1": (((0, 0), (0, 4)),),
    "2": (((0, 0), (2, 0), (2, 2), (0, 2), (0, 4), (2, 4)),),
    "3": (((0, 0), (2, 0), (2, 4), (0, 4)), ((0, 2), (2, 2))),
    "4": (((0, 0), (0, 2), (2, 2)), ((2, 0), (2, 4))),
    "5": (((2, 0), (0, 0), (0, 2), (2, 2), (2, 4), (0, 4)),),
    "6": (((2, 0), (0, 0), (0, 4), (2, 4), (2, 2), (0, 2)),),
    "7": (((0, 0), (2, 0), (2, 4)),),
    "8": (_BOX, ((0, 2), (2, 2))),
    "9": (((2, 2), (0, 2), (0, 0), (2, 0), (2, 4), (0, 4)),),
    "x": (((0, 1), (2, 4)), ((2, 1), (0, 4))),
    "O": (((0, 1), (1, 0), (2, 1), (2, 3), (1, 4), (0, 3), (0, 1)),),
}


@dataclass(frozen=True)
class Label:
    """A text of up to three characters in the cell of this column and row, from 0 at the upper left."""

    column: int
    row: int
    text: str


@dataclass
class Figure:
    """Strokes and labels, in units from the upper left corner."""

    segments: list[Segment] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)

    def path(self, *points: Point, closed: bool = False) -> None:
        """Add a polygon's sides, or those of an open path."""
        ends = [*points[1:], points[0]] if closed else points[1:]
        self.segments += zip(points, ends, strict=False)

    def label(self, column: int, row: int, text: object) -> None:
        self.labels.append(Label(column, row, str(text)))

    def mirrored(self, across: bool, down: bool) -> Figure:
        """The figure mirrored left to right and upside down; its labels stay upright."""

        def turn(point: Point) -> Point:
            return SIDE - point[0] if across else point[0], SIDE - point[1] if down else point[1]

        last = CELLS - 1
        labels = [
            Label(last - one.column if across else one.column, last - one.row if down else one.row, one.text)
            for one in self.labels
        ]
        return Figure([(turn(begin), turn(end)) for begin, end in self.segments], labels)


def render(figure: Figure, scale: int = 1) -> npt.NDArray[np.uint8]:
    """The picture, (60 * scale, 60 * scale), 0 for black and 255 for white.

    Args:
        figure: strokes and labels.
        scale: pixels a unit, 1..20.
    """
    size = SIDE * scale
    ink = np.zeros((size, size))
    for segment in figure.segments:
        _draw(ink, segment, scale)
    for label in figure.labels:
        _write(ink, label, scale)
    return (255.0 - np.floor(255.0 * ink + 0.5)).astype(np.uint8)


def arc(vertex: Point, one: Point, other: Point, radius: float = 6.0) -> list[Segment]:
    """The mark of the angle at a vertex between two points: a chord of four pieces."""
    ways = []
    for point in (one, other):
        dx, dy = point[0] - vertex[0], point[1] - vertex[1]
        length = (dx * dx + dy * dy) ** 0.5
        ways.append((dx / length, dy / length))
    points = []
    for step in range(5):
        share = step / 4
        dx = ways[0][0] * (1 - share) + ways[1][0] * share
        dy = ways[0][1] * (1 - share) + ways[1][1] * share
        length = max((dx * dx + dy * dy) ** 0.5, 0.2)
        points.append((vertex[0] + radius * dx / length, vertex[1] + radius * dy / length))
    return list(itertools.pairwise(points))


def _draw(ink: npt.NDArray[np.float64], segment: Segment, scale: int) -> None:
    """Darken the pixels near a segment; strokes are one unit wide."""
    # Coordinates on a grid of 1/16 unit: rounding of sines and cosines must not reach the pixels.
    (x1, y1), (x2, y2) = ((round(16 * x) * scale / 16, round(16 * y) * scale / 16) for x, y in segment)
    reach = scale + 1
    left, right = (int(value) for value in (max(min(x1, x2) - reach, 0), max(x1, x2) + reach + 1))
    top, bottom = (int(value) for value in (max(min(y1, y2) - reach, 0), max(y1, y2) + reach + 1))
    part = ink[top:bottom, left:right]
    if not part.size:
        return
    x = np.arange(left, left + part.shape[1])[None, :] + 0.5
    y = np.arange(top, top + part.shape[0])[:, None] + 0.5
    dx, dy = x2 - x1, y2 - y1
    square = dx * dx + dy * dy
    along = np.clip(((x - x1) * dx + (y - y1) * dy) / square, 0.0, 1.0) if square else np.zeros(part.shape)
    distance = np.sqrt((x - x1 - along * dx) ** 2 + (y - y1 - along * dy) ** 2)
    np.maximum(part, np.clip(scale / 2 + 0.5 - distance, 0.0, 1.0), out=part)


def _write(ink: npt.NDArray[np.float64], label: Label, scale: int) -> None:
    """Put a label with a margin of one unit, centred in its cell, over what is drawn there."""
    box = _box(label.text, scale)
    height, width = box.shape
    x, y = label.column * CELL + (CELL - width // scale + 2) // 2 - 1, label.row * CELL + 1
    left, top = max(x, 0) * scale, max(y, 0) * scale
    part = ink[top : y * scale + height, left : x * scale + width]
    part[...] = box[top - y * scale :, left - x * scale :][: part.shape[0], : part.shape[1]]


@lru_cache(maxsize=1024)
def _box(text: str, scale: int) -> npt.NDArray[np.float64]:
    """The ink of a text, 3 x 5 points a glyph, with a margin of one unit."""
    widths = [int(max(x for stroke in GLYPHS[character] for x, _ in stroke)) + 1 for character in text]
    ink = np.zeros((7 * scale, (sum(widths) + len(widths) + 1) * scale))
    at = 1.5
    for character, width in zip(text, widths, strict=True):
        for stroke in GLYPHS[character]:
            for (x1, y1), (x2, y2) in itertools.pairwise(stroke):
                _draw(ink, ((at + x1, 1.5 + y1), (at + x2, 1.5 + y2)), scale)
        at += width + 1
    ink.setflags(write=False)
    return ink
