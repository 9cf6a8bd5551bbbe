"""Chains and graphs of modular + - x: the compact symbolic reasoning task, graded by number of operations (op).

A problem starts with a residue and applies op operations in turn, each to the value before it: `3 +4 x6 -v1 =`. An
operand is a constant, or (graph form) an earlier value: `v1` is the first value computed, `v0` the start. The solution
writes every intermediate value, then ends: `7 2 5 .` Each of these steps is checked, so a right answer by wrong steps is
not correct.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.errors import TaskError
from edgewise.tasks.base import Problem, Task, Verdict, collect, stream, tasks

END = "."
OPERATIONS = ("+", "-", "x")
MAX_OP = 40


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
        low, high = op
        if not 1 <= low <= high <= MAX_OP:
            raise TaskError(f"op must be a range inside 1..{MAX_OP}, got {op}")
        if not 0 <= links <= 1 or (times is not None and not 0 <= times <= 1):
            raise TaskError(f"times and links are shares in [0, 1], got {times} and {links}")
        share = _shares(weights, high - low + 1)

        def draw(rng: np.random.Generator) -> Problem:
            return self._problem(rng, int(rng.choice(np.arange(low, high + 1), p=share)), times, links)

        return collect(n, stream(draw, seed), evaluation)

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
            return Verdict(False, score if steps[-1] else 0.0, steps, "wrong step" if steps[-1] else "wrong answer")
        return Verdict(True, 1.0, steps)

    def demonstrations(
        self, n: int, seed: int, slips: tuple[float, float, float] = (0.01, 0.04, 0.35), **difficulty: Any
    ) -> list[tuple[str, str]]:
        """Solutions by an author who slips: each +, -, x goes wrong with its probability, and what follows builds on it."""
        rng = np.random.default_rng([seed, 1])
        return [(p.prompt, self._solve(p.prompt, rng, slips)) for p in self.make(n, seed, **difficulty)]

    def vocabulary(self) -> list[str]:
        values = [str(value) for value in range(self.modulus)]
        operands = [*values, *(f"v{index}" for index in range(MAX_OP))]
        return ["=", END, *values, *(sign + operand for sign in OPERATIONS for operand in operands)]

    def _problem(self, rng: np.random.Generator, op: int, times: float | None, links: float) -> Problem:
        share = float(rng.random()) if times is None else times
        sign = rng.choice(3, op, p=[(1 - share) / 2, (1 - share) / 2, share])
        constant = rng.integers(self.modulus, size=op)
        earlier = (rng.random(op) * np.arange(op)).astype(int)
        linked = (rng.random(op) < links) & (np.arange(op) > 0)
        operand = [f"v{earlier[i]}" if linked[i] else str(constant[i]) for i in range(op)]
        words = [OPERATIONS[sign[i]] + operand[i] for i in range(op)]
        prompt = " ".join([str(rng.integers(self.modulus)), *words, "="])
        solution = self._solve(prompt, rng, (0.0, 0.0, 0.0))
        return Problem(prompt, solution, solution.split()[-2], str(op), {"op": op, "times": int((sign == 2).sum())})

    def _solve(self, prompt: str, rng: np.random.Generator, slips: tuple[float, float, float]) -> str:
        start, *operations = prompt.split()[:-1]
        values = [int(start)]
        luck, wrong = rng.random(len(operations)), rng.integers(1, self.modulus, len(operations))
        for i, word in enumerate(operations):
            operand = values[int(word[2:])] if word[1] == "v" else int(word[1:])
            before = values[-1]
            value = before + operand if word[0] == "+" else before - operand if word[0] == "-" else before * operand
            slipped = luck[i] < slips[OPERATIONS.index(word[0])]
            values.append((value + (int(wrong[i]) if slipped else 0)) % self.modulus)
        return " ".join([*map(str, values[1:]), END])


def _shares(weights: list[float] | None, n: int) -> np.ndarray:
    if weights is None:
        return np.full(n, 1.0 / n)
    array = np.asarray(weights, np.float64)
    if array.shape != (n,) or not np.isfinite(array).all() or (array < 0).any() or array.sum() == 0:
        raise TaskError(f"weights must be {n} numbers >= 0, not all 0, got {weights}")
    return array / array.sum()
