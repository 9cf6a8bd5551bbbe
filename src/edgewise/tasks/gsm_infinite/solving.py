"""Solving of a reverse problem's equation for x, read from the sentences that define nothing.

`We know V = 35, so we have 6*x + 23 = 35 and ...: 6*x = 12. ... x = 12 / 6. Solution: x = 2.`
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgewise.tasks.gsm_infinite.linear import UNKNOWN, Linear, evaluate, literal

SIGNS = "0123456789x*+-/() "
MOST = 200
"""Equations that are read."""
BEFORE = re.compile(r"(?:[0-9][.,]|[\^%\u221a]|(?![A-Za-z])[^\W_])$")
BEHIND = re.compile(r"[.,][0-9]|[\^%]|(?![A-Za-z])[^\W_]")
"""What makes another number of the signs right beside it: `2.5`, `52^2`."""


@dataclass(frozen=True)
class Equation:
    """An equation in x, divisors cleared; `plain` if both sides were written without work, as `6*x + 23 = 35`."""

    left: Linear
    right: Linear
    plain: bool

    @property
    def difference(self) -> Linear:
        return self.left[0] - self.right[0], self.left[1] - self.right[1]

    @property
    def sides(self) -> frozenset[Linear]:
        return frozenset((self.left, self.right))


FALSE = Equation((0, 0), (0, 1), False)
"""Stands for an equation of numbers that are not read."""


@dataclass
class Solving:
    """The use of the value that a reverse problem gives.

    Attributes:
        given: (quantity, number) of each `V = 35`, V being a letter that stands for a quantity.
        equations: every equation in x and numbers, those without x included.
    """

    given: list[tuple[str, int]] = field(default_factory=list)
    equations: list[Equation] = field(default_factory=list)

    def read(self, sentence: str, sources: Mapping[str, frozenset[str]]) -> None:
        """Add what a sentence states; `sources` holds the quantities that letters come from."""
        parts = sentence.split("=")
        quantity: frozenset[str] = frozenset()
        first = ""  # of a chain: `x = 6 / 2 = 3` states `x = 3` too
        for before, after in itertools.pairwise(parts):
            if len(self.equations) >= MOST:
                return
            left, right = _end(before), _start(after)
            if left is None or right is None:
                self.equations.append(FALSE)
                continue
            if left != before.strip() or not left:
                quantity = frozenset() if left else sources.get("".join(before.split()[-1:]), frozenset())
            if left != before.strip() or not first:
                first = left
            number = literal(right)
            if len(quantity) == 1 and number is not None and number[0] == 0:
                self.given.append((next(iter(quantity)), number[1]))
            found = (_equation(side, right) for side in dict.fromkeys((left, first)))
            self.equations += (equation for equation in found if equation is not None)

    def failure(self, gold: Solving) -> str | None:
        """None if the gold equation is solved here, otherwise "missing solving" or "wrong solving".

        Solved: the number given for the gold quantity is named, the gold equation is written (in either order), then
        `x = number` and, where the equation is not solved as it stands, at least one line on the way; and every equation
        is equivalent to the gold one, or true without x.
        """
        wanted = gold.equations[0]
        a, b = wanted.difference
        for equation in self.equations:
            c, d = equation.difference
            if a * d != b * c or (c == 0 and d != 0):
                return "wrong solving"
        if not set(self.given) <= set(gold.given):
            return "wrong solving"
        lines = [equation for equation in self.equations if equation.difference[0]]
        first, last = wanted.sides, frozenset((UNKNOWN, (0, -b // a)))
        ends = {line.sides for line in lines if line.plain} & {first, last}
        # `x = 13 - 7` is a line on the way only where nothing has to be divided: `x = 3 / 1` would be one without work.
        between = any(line.sides not in (first, last) or (abs(a) == 1 and not line.plain) for line in lines)
        if not self.given or ends != {first, last} or (first != last and not between):
            return "missing solving"
        return None


def _end(text: str) -> str | None:
    """The expression that a text ends with; empty if it is part of a word, None if of a number that is not read."""
    words = text.rstrip(SIGNS)
    run = text[len(words) :]
    if run[:1].strip() and BEFORE.search(words):
        return None
    return "" if words[-1:].isalpha() and run.startswith("x") else run.strip()


def _start(text: str) -> str | None:
    """The expression that a text starts with; None if it is part of a number that is not read."""
    words = text.lstrip(SIGNS)
    run = text[: len(text) - len(words)]
    if run[-1:].strip() and BEHIND.match(words):
        return None
    return (run.removesuffix("x") if words[:1].isalpha() else run).strip()


def _equation(left: str, right: str) -> Equation | None:
    """None where a side is no linear expression, or one over a number; `x = 3 / 0` becomes the false `0 = 3`."""
    one, other = _side(left), _side(right)
    if one is None or other is None:
        return None
    ((a, b), p), ((c, d), q) = one, other
    return Equation((a * q, b * q), (c * p, d * p), literal(left) is not None and literal(right) is not None)


def _side(text: str) -> tuple[Linear, int] | None:
    """A side of an equation as (value, divisor)."""
    above, slash, below = text.partition("/")
    value = evaluate(above, {"x": UNKNOWN})
    divisor = evaluate(below, {}) if slash else (0, 1)
    return None if value is None or divisor is None else (value, divisor[1])
