"""Families of problems on lengths: areas, perimeters, similar figures; each draws a problem of `op` facts."""

from __future__ import annotations

import itertools
import math

from edgewise.tasks.geometry.canvas import Point
from edgewise.tasks.geometry.drawn import Chance, Drawn

AREA = "Find the area ."
PERIMETER = "Find the perimeter ."
REGULAR = "All sides are equal . Find the perimeter ."
SIMILAR = "The triangles are similar . Find x ."
SIMILAR_AREA = "The triangles are similar . Find the area x ."


def area(chance: Chance, op: int) -> Drawn:
    """Rectangles, triangles and figures made of them, 1..5 facts: products, halves and sums."""
    return (_rectangle, _triangle, _two_rectangles, _house, _three_rectangles)[op - 1](chance)


def _rectangle(chance: Chance) -> Drawn:
    drawn = Drawn(facts=AREA)
    (left, top), (right, bottom) = chance.near(12, 9), chance.near(56, 46)
    drawn.figure.path((left, top), (right, top), (right, bottom), (left, bottom), closed=True)
    drawn.work(drawn.given(3, 5, chance.between(2, 12)), "*", drawn.given(0, 2, chance.between(2, 12)))
    return drawn


def _triangle(chance: Chance) -> Drawn:
    drawn = Drawn(facts=AREA)
    left, right, top = chance.near(4, 48, 1), chance.near(56, 48, 1), chance.near(22, 6, 1)
    right = (right[0], left[1])
    drawn.figure.path(left, right, top, closed=True)
    drawn.figure.path(top, (top[0], left[1]))
    base, height = chance.between(2, 12), chance.between(2, 12)
    height += base * height % 2
    drawn.work(drawn.work(drawn.given(3, 5, base), "*", drawn.given(2, 3, height)), "/", 2)
    return drawn


def _two_rectangles(chance: Chance) -> Drawn:
    drawn = Drawn(facts=AREA)
    (left, top), (middle, lower), (right, bottom) = (
        chance.near(10, 8, 1),
        chance.near(31, 24, 1),
        chance.near(56, 46, 1),
    )
    drawn.figure.path((left, top), (middle, top), (middle, bottom), (left, bottom), closed=True)
    drawn.figure.path((middle, lower), (right, lower), (right, bottom), (middle, bottom))
    one = drawn.work(drawn.given(2, 5, chance.between(2, 9)), "*", drawn.given(0, 2, chance.between(2, 9)))
    other = drawn.work(drawn.given(4, 5, chance.between(2, 9)), "*", drawn.given(4, 3, chance.between(2, 9)))
    drawn.work(one, "+", other)
    return drawn


def _house(chance: Chance) -> Drawn:
    drawn = Drawn(facts=AREA)
    (left, eaves), (right, bottom), top = chance.near(12, 24, 1), chance.near(52, 46, 1), chance.near(30, 3, 1)
    drawn.figure.path((left, eaves), (right, eaves), (right, bottom), (left, bottom), closed=True)
    drawn.figure.path((left, eaves), top, (right, eaves))
    drawn.figure.path(top, (top[0], eaves))
    base, side, height = chance.between(2, 9), chance.between(2, 9), chance.between(2, 8)
    height += base * height % 2
    drawn.given(3, 5, base)
    wall = drawn.work(base, "*", drawn.given(0, 3, side))
    roof = drawn.work(drawn.work(base, "*", drawn.given(3, 1, height)), "/", 2)
    drawn.work(wall, "+", roof)
    return drawn


def _three_rectangles(chance: Chance) -> Drawn:
    drawn = Drawn(facts=AREA)
    bottom = 48 + chance.random()
    edges = [3.0, 21.5, 40.0, 58.0]
    total = 0
    for index, (left, right) in enumerate(itertools.pairwise(edges)):
        top = chance.near(0, (8, 20, 14)[index])[1]
        drawn.figure.path((left, bottom), (left, top), (right, top), (right, bottom), closed=True)
        column = (1, 3, 5)[index]
        part = drawn.work(
            drawn.given(column, 5, chance.between(2, 9)), "*", drawn.given(column, 3, chance.between(2, 9))
        )
        total = drawn.work(total, "+", part) if total else part
    return drawn


PLACES = {
    3: ((3, 5), (0, 2), (5, 2)),
    4: ((3, 5), (0, 3), (2, 0), (5, 2)),
    5: ((3, 5), (0, 3), (1, 0), (4, 0), (5, 3)),
    6: ((3, 5), (0, 4), (0, 1), (3, 0), (5, 1), (5, 4)),
}
"""Cells of the sides of polygons, from the lowest side clockwise."""


def perimeter(chance: Chance, op: int) -> Drawn:
    """Polygons with 3 to 6 sides, 1..5 facts: a multiple of the side where all are equal, sums otherwise."""
    sides = chance.between(3, 6) if op == 1 else op + 1
    drawn = Drawn(facts=REGULAR if op == 1 else PERIMETER, across=False, down=False)
    corners: list[Point] = []
    for index in range(sides):
        turn = math.pi * (0.5 + (2 * index + 1) / sides)
        corners.append(chance.near(30 + 22 * math.cos(turn), 30 + 22 * math.sin(turn), 1.5 if op > 1 else 0))
    drawn.figure.path(*corners, closed=True)
    cells = PLACES[sides]
    if op == 1:
        drawn.variant = str(sides)
        drawn.work(sides, "*", drawn.given(*cells[0], chance.between(2, 20)))
        drawn.read.insert(0, sides)
        return drawn
    lengths = [chance.between(3, 12) for _ in range(sides)]
    longest = max(range(sides), key=lengths.__getitem__)
    # No side may be as long as all others together.
    lengths[longest] = min(lengths[longest], sum(lengths) - lengths[longest] - 1)
    total = 0
    for cell, length in zip(cells, lengths, strict=True):
        drawn.given(*cell, length)
        total = drawn.work(total, "+", length) if total else length
    return drawn


def similar(chance: Chance, op: int) -> Drawn:
    """A triangle and its enlargement, 2 or 3 facts: the ratio, and its multiple or, for an area, that of its square."""
    drawn = Drawn(facts=SIMILAR if op == 2 else SIMILAR_AREA)
    small = chance.near(2, 46, 0.5), chance.near(23, 46, 0.5), chance.near(11, 20, 0.8)
    large = chance.near(28, 46, 0.5), chance.near(58, 46, 0.5), chance.near(41, 8, 0.8)
    for corners in (small, large):
        drawn.figure.path(*corners, closed=True)
    side, ratio = chance.between(2, 9), chance.between(2, 6 if op == 2 else 4)
    drawn.given(1, 5, side)
    drawn.given(4, 5, side * ratio)
    drawn.work(side * ratio, "/", side)
    if op == 2:
        drawn.work(drawn.given(0, 3, chance.between(2, 9)), "*", ratio)
        drawn.asked(2, 2)
        return drawn
    square = drawn.work(ratio, "*", ratio)
    drawn.work(drawn.given(1, 3, chance.between(2, 12)), "*", square)
    drawn.asked(4, 3)
    return drawn
