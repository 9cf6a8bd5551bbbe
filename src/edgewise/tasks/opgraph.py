"""Chains and graphs of modular + - x: the compact symbolic reasoning task, graded by number of operations (op).

A problem starts with a residue and applies op operations in turn, each to the value before it: `3 +4 x6 -v1 =`. An
operand is a constant, or (graph form) an earlier value: `v1` is the first value computed, `v0` the start. The solution
writes every intermediate value, then ends: `7 2 5 .` Each of these steps is checked, so a right answer by wrong steps is
not correct.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgewise.errors import TaskError
from edgewise.tasks.base import Problem, Task, Verdict, collect, int_range, shares, stream, tasks

END = "."
OPERATIONS = ("+", "-", "x")
MAX_OP = 40
BLOCK = 1024
"""Problems drawn at once."""


@tasks.register("opgraph")
class OpGraph(Task):
    """Modular arithmetic in op steps.

    Args:
        modulus: values are residues 0..modulus-1, 2..99.

    Difficulty (of `make` and `demonstrations`):
        op: (low, high) number of operations, both included, 1..40.
        weights: relative frequency of each op from low to high; equal if None.
        times: share of multiplications; drawn anew for each problem from [0, 1] if None.
        links: share of operations whose operand is an earlier value instead of a constant, in [0, 1].
        evaluation: which side of the content split problems come from; True for held-out problems.
    """

    name = "opgraph"
    end = END

    def __init__(self, modulus: int = 10):
        if not 2 <= modulus <= 99:
            raise TaskError(f"modulus must lie in 2..99, got {modulus}")
        self.modulus = modulus
        operands = [*map(str, range(modulus)), *(f"v{index}" for index in range(MAX_OP))]
        # The text of every operation by sign and operand: (3, modulus + MAX_OP).
        self._words = np.array([[sign + operand for operand in operands] for sign in OPERATIONS], object)

    def make(  # type: ignore[override]  # a task spells out its own difficulty
        self,
        n: int,
        seed: int,
        op: tuple[int, int] = (1, 8),
        weights: list[float] | None = None,
        times: float | None = None,
        links: float = 0.0,
        evaluation: bool = False,
    ) -> list[Problem]:
        return self._collect(n, seed, evaluation, (0.0, 0.0, 0.0), op, weights, times, links)

    def verify(self, problem: Problem, completion: str) -> Verdict:
        # Values are at most two characters; anything longer than a generous solution cannot be correct.
        gold = problem.solution.split()[:-1]
        words = completion[: 8 * (len(gold) + 2)].split()
        ended = END in words
        given = words[: words.index(END)] if ended else words
        steps = tuple(i < len(given) and given[i] == value for i, value in enumerate(gold))
        score = sum(steps) / len(gold)
        if not ended:
            return Verdict(False, 0.0, steps, "no answer")
        if len(given) != len(gold):
            return Verdict(False, 0.0, steps, "missing step" if len(given) < len(gold) else "extra step")
        if not all(steps):
            answered = steps[-1]
            return Verdict(
                False, score if answered else 0.0, steps, "wrong step" if answered else "wrong answer", answered
            )
        return Verdict(True, 1.0, steps)

    def demonstrations(
        self, n: int, seed: int, slips: tuple[float, float, float] = (0.01, 0.04, 0.35), **difficulty: Any
    ) -> list[tuple[str, str]]:
        """Solutions by an author who slips: each +, -, x goes wrong with its probability, and what follows builds on it."""
        if len(slips) != 3 or not all(0 <= slip <= 1 for slip in slips):
            raise TaskError(f"slips are three probabilities in [0, 1] (of +, - and x), got {slips}")
        return [(p.prompt, p.solution) for p in self._collect(n, seed, False, slips, **difficulty)]

    def vocabulary(self) -> list[str]:
        return ["=", END, *map(str, range(self.modulus)), *self._words.flatten().tolist()]

    def _collect(
        self,
        n: int,
        seed: int,
        evaluation: bool,
        slips: tuple[float, float, float],
        op: tuple[int, int] = (1, 8),
        weights: list[float] | None = None,
        times: float | None = None,
        links: float = 0.0,
    ) -> list[Problem]:
        first, last = int_range("op", op, 1, MAX_OP)
        if not 0 <= links <= 1 or (times is not None and not 0 <= times <= 1):
            raise TaskError(f"times and links are shares in [0, 1], got {times} and {links}")
        share = shares(weights, last - first + 1)

        def draw(rng: np.random.Generator) -> Iterator[Problem]:
            return self._block(rng, rng.choice(np.arange(first, last + 1), BLOCK, p=share), times, links, slips)

        return collect(n, stream(draw, seed), evaluation)

    def _block(
        self,
        rng: np.random.Generator,
        op: np.ndarray,
        times: float | None,
        links: float,
        slips: tuple[float, float, float],
    ) -> Iterator[Problem]:
        """Problems with op (block,) operations, solved with slips. Slips are drawn last: the prompts do not depend on them."""
        shape, column = (len(op), int(op.max())), np.arange(op.max())
        share = rng.random((len(op), 1)) if times is None else times
        sign = np.where(rng.random(shape) < share, 2, rng.integers(2, size=shape))
        linked = (rng.random(shape) < links) & (column > 0)
        operand = np.where(linked, (rng.random(shape) * column).astype(int), rng.integers(self.modulus, size=shape))
        start = rng.integers(self.modulus, size=len(op))
        slip = rng.integers(1, self.modulus, shape) * (rng.random(shape) < np.asarray(slips)[sign])

        values = np.empty((len(op), shape[1] + 1), int)
        values[:, 0] = start
        rows = np.arange(len(op))
        for i in column:
            before = values[:, i]
            other = np.where(linked[:, i], values[rows, operand[:, i] * linked[:, i]], operand[:, i])
            value = np.choose(sign[:, i], (before + other, before - other, before * other))
            values[:, i + 1] = (value + slip[:, i]) % self.modulus

        words = self._words[sign, operand + self.modulus * linked].tolist()
        count = ((sign == 2) & (column < op[:, None])).sum(1).tolist()
        for operations, (first, *rest), length, products in zip(
            words, values.astype(str).tolist(), op.tolist(), count, strict=True
        ):
            prompt = " ".join([first, *operations[:length], "="])
            solution = " ".join([*rest[:length], END])
            yield Problem(prompt, solution, rest[length - 1], str(length), {"op": length, "times": products})
