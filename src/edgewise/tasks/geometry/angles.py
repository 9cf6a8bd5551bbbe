"""Families of angle problems: triangles in a fan, rays at a line, parallel lines, isosceles triangles, circles.

Each draws a problem of `op` facts. Angles are multiples of 5 degrees. Figures are not to scale, as in a textbook.
"""

from __future__ import annotations

import math

from edgewise.tasks.geometry.canvas import Point
from edgewise.tasks.geometry.drawn import Chance, Drawn

PARALLEL = "The lines are parallel . Find x ."
ISOSCELES = "Two sides are equal . Find x ."
CENTRE = "O is the centre of the circle . Find x ."


def _split(chance: Chance, total: int, parts: int, least: int = 15) -> list[int]:
    """Angles of at least `least` degrees that leave at least as much of `total`."""
    angles: list[int] = []
    for left in range(parts, 0, -1):
        room = total - sum(angles) - left * least
        angles.append(chance.between(least, max(least, min(room, 2 * total // (parts + 1))), 5))
    return angles


def fan(chance: Chance, op: int) -> Drawn:
    """Triangles that share an apex, 1..4 facts: an exterior angle is the sum of the two others; angles on a line make 180."""
    options = [(triangles, inside) for triangles in (1, 2, 3) for inside in (0, 1) if triangles + inside == op]
    triangles, inside = options[chance.between(0, len(options) - 1)]
    drawn = Drawn(variant="inside" if inside else "outside")
    apex, xs = {1: (30, (4, 41)), 2: (30, (3, 30, 49)), 3: (33, (1, 20, 44, 56))}[triangles]
    top = chance.near(apex, 4)
    base = [chance.near(x, 52, 0.8) for x in xs]
    drawn.figure.path(*base, *(() if inside else ((59.0, base[-1][1]),)))
    for point in base:
        drawn.figure.path(top, point)
    first, *others = _split(chance, 180, triangles + 1)
    left = drawn.given(1, 4, first)
    drawn.angle(base[0], base[1], top)
    cells = {1: ((2, 2),), 2: ((2, 3), (3, 3)), 3: ((1, 3), (3, 3), (4, 3))}[triangles]
    for index, (angle, cell) in enumerate(zip(others, cells, strict=True)):
        left = drawn.work(left, "+", drawn.given(*cell, angle))
        drawn.angle(top, base[index], base[index + 1])
    if inside:
        drawn.work(180, "-", left)
        drawn.asked((3, 4, 4)[triangles - 1], 4)
        drawn.angle(base[-1], base[-2], top)
    else:
        drawn.asked((4, 5, 5)[triangles - 1], 4)
        drawn.angle(base[-1], (59.0, base[-1][1]), top)
    return drawn


def rays(chance: Chance, op: int) -> Drawn:
    """Angles side by side on a straight line, 1..4 facts: they make 180."""
    drawn = Drawn(across=False)
    parts = op + 1
    middle = chance.near(35, 51, 0.8)
    drawn.figure.path((1.0, middle[1]), (59.0, middle[1]))
    ends: list[Point] = [(1.0, middle[1])]
    for index in range(1, parts):
        turn = math.pi * (index + 0.16 * (2 * chance.random() - 1)) / parts
        ends.append((middle[0] - 42 * math.cos(turn), middle[1] - 42 * math.sin(turn)))
        drawn.figure.path(middle, ends[-1])
    ends.append((59.0, middle[1]))
    cells = {
        2: ((1, 2), (5, 2)),
        3: ((1, 3), (3, 2), (5, 3)),
        4: ((1, 3), (2, 2), (4, 2), (5, 3)),
        5: ((0, 4), (1, 2), (3, 2), (5, 2), (5, 4)),
    }[parts]
    asked = chance.between(0, parts - 1)
    drawn.variant = str(asked)
    total = 0
    angles = _split(chance, 180, op)
    for index, cell in enumerate(cells):
        drawn.angle(middle, ends[index], ends[index + 1])
        if index == asked:
            drawn.asked(*cell)
        else:
            angle = drawn.given(*cell, angles.pop())
            total = drawn.work(total, "+", angle) if total else angle
    drawn.work(180, "-", total)
    return drawn


def parallels(chance: Chance, op: int) -> Drawn:
    """Parallel lines and a line across them, or two: equal and supplementary angles, 1..5 facts."""
    return _one_across(chance, op) if op <= 2 else _two_across(chance, op)


def _one_across(chance: Chance, op: int) -> Drawn:
    """One angle is given, another asked: equal to it (1 fact) or beside an equal one (2 facts)."""
    drawn = Drawn(facts=PARALLEL)
    upper, lower = chance.near(35, 16, 1), chance.near(24.3, 46, 1)
    slope = (upper[0] - lower[0]) / (lower[1] - upper[1])
    ends = [(upper[0] + slope * (upper[1] - y), y) for y in (1.0, 59.0)]
    for point in (upper, lower):
        drawn.figure.path((2.0, point[1]), (58.0, point[1]))
    drawn.figure.path(*ends)
    # (cell, side of the crossing line, above or below), the first two of each line equal.
    upper_cells = (((4, 0), 1, 0), ((2, 2), 0, 1), ((2, 0), 0, 0), ((4, 2), 1, 1))
    lower_cells = (((3, 3), 1, 0), ((1, 5), 0, 1), ((1, 3), 0, 0), ((3, 5), 1, 1))
    begin, end = chance.between(0, 3), chance.between(0, 1)
    end += 2 * ((begin // 2 + (op == 2)) % 2)
    drawn.variant = f"{begin}{end}"
    angle = drawn.given(*upper_cells[begin][0], chance.between(20, 160, 5))
    drawn.asked(*lower_cells[end][0])
    for point, (_, side, below) in ((upper, upper_cells[begin]), (lower, lower_cells[end])):
        drawn.angle(point, ((2.0, 58.0)[side], point[1]), ends[below])
    drawn.same(angle)
    if op == 2:
        drawn.work(180, "-", angle)
    return drawn


def _two_across(chance: Chance, op: int) -> Drawn:
    """A triangle between parallels, 3..5 facts: an alternate angle, a sum, a straight line; one more outside, one below."""
    drawn = Drawn(facts=PARALLEL)
    left, right, bottom = chance.near(14, 14, 1), chance.near(50, 14, 1), chance.near(32, 42, 1)
    right = (right[0], left[1])
    for height in (left[1], bottom[1]):
        drawn.figure.path((1.0, height), (59.0, height))
    ends = []
    for point in (left, right):
        slope = (bottom[0] - point[0]) / (bottom[1] - point[1])
        ends.append((bottom[0] + slope * (59 - bottom[1]), 59.0))
        drawn.figure.path((point[0] - slope * 10, point[1] - 10), ends[-1])
    outside = op >= 4
    first, second = _split(chance, 180, 2, 20)
    if outside:
        first = drawn.work(180, "-", drawn.given(1, 2, 180 - first))
        drawn.angle(left, (1.0, left[1]), bottom)
    else:
        drawn.given(2, 2, first)
        drawn.angle(left, right, bottom)
    drawn.given(4, 3, second)
    drawn.angle(bottom, (59.0, bottom[1]), right)
    drawn.same(first)
    drawn.work(180, "-", drawn.work(first, "+", second))
    if op == 5:
        drawn.same(drawn.value)
        drawn.asked(3, 5)
        drawn.angle(bottom, ends[0], ends[1])
    else:
        drawn.asked(3, 2)
        drawn.angle(bottom, left, right)
    return drawn


def isosceles(chance: Chance, op: int) -> Drawn:
    """Triangles with two equal sides, 1..3 facts: equal base angles, angle sum, straight line."""
    drawn = Drawn(facts=ISOSCELES)
    top, left, right = chance.near(25, 5, 1), chance.near(5, 51, 0.8), chance.near(45, 51, 0.8)
    drawn.figure.path(top, left, right, closed=True)
    for end in (left, right):
        drawn.figure.segments.append(_tick(top, end))
    base = {"x": (1, 4), "other": (3, 4), "top": (2, 2), "out": (5, 4)}
    from_top = op > 1 and chance.between(0, 1) == 1
    drawn.variant = "top" if from_top else "base"
    if op == 3:
        drawn.figure.path(right, (59.0, right[1]))
    if from_top:
        apex = chance.between(20, 140, 10)
        drawn.given(*base["top"], apex)
        half = drawn.work(drawn.work(180, "-", apex), "/", 2)
        drawn.angle(top, left, right)
        if op == 2:
            drawn.asked(*base["x"])
            drawn.angle(left, right, top)
        else:
            drawn.work(180, "-", half)
            drawn.asked(*base["out"])
            drawn.angle(right, (59.0, right[1]), top)
        return drawn
    angle = chance.between(20, 80, 5)
    if op <= 2:
        drawn.given(*base["x"], angle)
        drawn.angle(left, right, top)
    else:
        angle = drawn.work(180, "-", drawn.given(*base["out"], 180 - angle))
        drawn.angle(right, (59.0, right[1]), top)
    if op == 1:
        drawn.same(angle)
        drawn.asked(*base["other"])
        drawn.angle(right, left, top)
    else:
        drawn.work(180, "-", drawn.work(angle, "+", angle))
        drawn.asked(*base["top"])
        drawn.angle(top, left, right)
    return drawn


def circle(chance: Chance, op: int) -> Drawn:
    """Circles, 1..3 facts: diameter, inscribed angles, the angle in a semicircle, triangles of two radii."""
    kinds = {
        1: ("diameter", "radius", "inscribed", "central"),
        2: ("semicircle", "radii"),
        3: ("inscribed from radii",),
    }
    drawn = Drawn(variant=kinds[op][chance.between(0, len(kinds[op]) - 1)], facts=CENTRE)
    kind = drawn.variant
    if kind in ("diameter", "radius"):
        return _diameter(chance, drawn)
    if kind == "semicircle":
        middle, radius = (35.0, 32.0), 23.0
        left, right = (middle[0] - radius, middle[1]), (middle[0] + radius, middle[1])
        turn = math.radians(chance.between(95, 125, 5))
        top = (middle[0] + radius * math.cos(turn), middle[1] - radius * math.sin(turn))
        _circle(drawn, middle, radius)
        drawn.figure.path(left, right, top, closed=True)
        drawn.figure.label(3, 3, "O")
        drawn.work(180, "-", drawn.work(90, "+", drawn.given(2, 2, chance.between(15, 75, 5))))
        drawn.asked(4, 2)
        drawn.angle(left, right, top)
        drawn.angle(right, left, top)
        return drawn
    middle, radius = (35.0, 27.0), 24.5
    left, right = (35.0 - 20, 27.0 + 14.15), (35.0 + 20, 27.0 + 14.15)
    top = chance.near(35, 2.6, 0)
    _circle(drawn, middle, radius)
    drawn.figure.path(left, middle, right)
    drawn.angle(middle, left, right)
    if kind != "radii":
        drawn.figure.path(left, top, right)
        drawn.angle(top, left, right)
    if kind in ("inscribed", "central"):
        angle = chance.between(20, 80, 5)
        if kind == "inscribed":
            drawn.work(drawn.given(3, 3, 2 * angle), "/", 2)
            drawn.asked(3, 1)
        else:
            drawn.work(drawn.given(3, 1, angle), "*", 2)
            drawn.asked(3, 3)
        return drawn
    drawn.figure.path(left, right)
    drawn.angle(left, right, middle)
    angle = drawn.given(2, 3, chance.between(10, 70, 5))
    drawn.work(180, "-", drawn.work(angle, "+", angle))
    if kind == "radii":
        drawn.asked(3, 3)
    else:
        drawn.work(drawn.value, "/", 2)
        drawn.asked(3, 1)
    return drawn


def _diameter(chance: Chance, drawn: Drawn) -> Drawn:
    middle, radius = chance.near(35, 31, 0.6), 23.0
    right, left = (middle[0] + radius, middle[1]), (middle[0] - radius, middle[1])
    _circle(drawn, middle, radius)
    length = chance.between(2, 60)
    if drawn.variant == "diameter":
        drawn.facts = "O is the centre of the circle . Find the diameter ."
        drawn.figure.path(middle, right)
        drawn.work(drawn.given(4, 2, length), "*", 2)
    else:
        drawn.facts = "O is the centre of the circle . Find the radius ."
        drawn.figure.path(left, right)
        drawn.work(drawn.given(3, 2, 2 * length), "/", 2)
    drawn.figure.label(3, 3, "O")
    return drawn


def _circle(drawn: Drawn, middle: Point, radius: float) -> None:
    points = [
        (middle[0] + radius * math.cos(math.pi * step / 20), middle[1] + radius * math.sin(math.pi * step / 20))
        for step in range(40)
    ]
    drawn.figure.path(*points, closed=True)


def _tick(begin: Point, end: Point) -> tuple[Point, Point]:
    """The mark of equal sides across the middle of a segment."""
    x, y = (begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2
    dx, dy = end[0] - begin[0], end[1] - begin[1]
    length = math.hypot(dx, dy)
    return (x - 2.5 * dy / length, y + 2.5 * dx / length), (x + 2.5 * dy / length, y - 2.5 * dx / length)
