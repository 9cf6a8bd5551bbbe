"""A drawn problem: its figure, question, the numbers to read, the steps and the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from edgewise.tasks.geometry.canvas import Figure, Point, arc

FIND = "Find x ."


class Chance:
    """Choices by `Random.random` alone, the one method whose numbers never change between versions of Python."""

    def __init__(self, rng: Random):
        self.random = rng.random

    def between(self, first: int, last: int, step: int = 1) -> int:
        """One of first, first + step, ..., at most last."""
        return first + step * int(self.random() * ((last - first) // step + 1))

    def pick(self, choices: Sequence[int]) -> int:
        return choices[int(self.random() * len(choices))]

    def near(self, x: float, y: float, by: float = 1.5) -> Point:
        """A point near (x, y): hand-drawn variety that no label depends on."""
        return x + by * (2 * self.random() - 1), y + by * (2 * self.random() - 1)


@dataclass
class Drawn:
    """A problem in the making.

    Attributes:
        figure: the picture; labels are put into it as they are read.
        facts: what the text says.
        variant: what is drawn, where the numbers alone do not say it.
        read: numbers in the picture, in the order in which they are needed.
        steps: one equation a fact.
        value: the last result.
        across, down: whether the figure may be mirrored left to right, upside down; not where the numbers could then be read
            in more than one order.
    """

    figure: Figure = field(default_factory=Figure)
    facts: str = FIND
    variant: str = ""
    read: list[int] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    value: int = 0
    across: bool = True
    down: bool = True

    def given(self, column: int, row: int, value: int) -> int:
        """Write a number into the picture that is needed."""
        self.figure.label(column, row, value)
        self.read.append(value)
        return value

    def asked(self, column: int, row: int) -> None:
        self.figure.label(column, row, "x")

    def angle(self, vertex: Point, one: Point, other: Point) -> None:
        self.figure.segments += arc(vertex, one, other)

    def work(self, left: int, sign: str, right: int) -> int:
        """Add the step `left sign right = value`; divisions have no remainder."""
        results = {"+": left + right, "-": left - right, "*": left * right, "/": left // right}
        self.value = results[sign]
        self.steps.append(f"{left} {sign} {right} = {self.value}")
        return self.value

    def same(self, value: int) -> int:
        """Add the step that an angle equals another one."""
        self.value = value
        self.steps.append(f"same {value}")
        return value


Family = Callable[[Chance, int], Drawn]
