"""Parts of school problems: draws, drafts and the registry of families."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

T = TypeVar("T")

LEVELS = (1, 4)


@dataclass
class Draft:
    """A question before its wording is checked.

    Args:
        question: text, one paragraph.
        steps: the work, one equation each, such as `3 + 4 = 7`.
        answer: a whole number.
        given: numbers and kinds that make the problem what it is, without names and things; the steps if empty.
    """

    question: str
    steps: list[str]
    answer: int
    given: tuple[object, ...] = field(default=())


class Draw:
    """Random numbers of one problem; only `Random.random` is used, whose values no version of Python changes."""

    def __init__(self, rng: Random):
        self._rng = rng

    def whole(self, low: int, high: int) -> int:
        """A whole number in low..high."""
        return low + int(self._rng.random() * (high - low + 1))

    def digits(self, count: int) -> int:
        """A number of that many digits; 1..9 for one."""
        return self.whole(10 ** (count - 1), 10**count - 1)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.whole(0, len(choices) - 1)]

    def some(self, n: int, choices: Sequence[T]) -> list[T]:
        """n different ones, in random order."""
        left = list(choices)
        return [left.pop(self.whole(0, len(left) - 1)) for _ in range(n)]


Make = Callable[[Draw, int], Draft]

FAMILIES: dict[str, Make] = {}


def family(name: str) -> Callable[[Make], Make]:
    """Decorator: a function from a draw and a level to a draft, known under a name."""

    def add(make: Make) -> Make:
        FAMILIES[name] = make
        return make

    return add


class Work:
    """Arithmetic that is written down as it is done: `add(3, 4)` returns 7 and records `3 + 4 = 7`."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def _record(self, a: int, sign: str, b: int, result: int) -> int:
        self.steps.append(f"{a} {sign} {b} = {result}")
        return result

    def add(self, a: int, b: int) -> int:
        return self._record(a, "+", b, a + b)

    def subtract(self, a: int, b: int) -> int:
        return self._record(a, "-", b, a - b)

    def multiply(self, a: int, b: int) -> int:
        return self._record(a, "*", b, a * b)

    def divide(self, a: int, b: int) -> int:
        """a / b, which must be whole."""
        return self._record(a, "/", b, a // b)

    def do(self, a: int, sign: str, b: int) -> int:
        return {"+": self.add, "-": self.subtract, "*": self.multiply, "/": self.divide}[sign](a, b)
