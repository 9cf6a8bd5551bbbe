"""Chains and graphs of modular + - x: the compact symbolic reasoning task, graded by number of operations (op).

A problem starts with a residue and applies op operations in turn, each to the value before it: `3 +4 x6 -v1 =`. An
operand is a constant, or (graph form) an earlier value: `v1` is the first value computed, `v0` the start. The solution
writes every intermediate value, then ends: `7 2 5 .` Each of these steps is checked, so a right answer by wrong steps is
not correct.

Contexts are disjoint words for the same operations: `3 +4 x6 -v1 =` in context A is `3 add4 mul6 subv1 =` in context B.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks import mixture as mixtures
from edgewise.tasks.base import (
    Problem,
    TextWorld,
    Verdict,
    check_difficulty,
    int_range,
    is_finite,
    sample_distinct,
    shares,
    stream,
    tasks,
)

END = "."
CONTEXTS = {"A": ("+", "-", "x"), "B": ("add", "sub", "mul"), "C": ("plus", "minus", "times")}
MAX_OP = 40
SETTINGS = ("op", "weights", "context")
BLOCK = 1024
"""Problems drawn at once."""


@tasks.register("opgraph")
class OpGraph(TextWorld):
    """Modular arithmetic in op steps.

    Args:
        modulus: values are residues 0..modulus-1, 2..99.
        contexts: some of A, B and C; the vocabulary grows with them.

    Difficulty (of `problems` and `demonstrations`):
        op: (low, high) number of operations, both included, 1..40; or shares: {"1-4": 0.2, "5-8": 0.8}.
        weights: relative frequency of each op from low to high; equal if None.
        context: one of the contexts, or shares: {"A": 0.99, "B": 0.01}; the first of the task's if None.
        mixture: components, each with a `share` and settings of op, weights and context that hold in it:
            [{"share": 0.99, "op": (2, 20)}, {"share": 0.01, "op": (2, 2), "context": "B"}].
        times: share of multiplications; drawn anew for each problem from [0, 1] if None.
        links: share of operations whose operand is an earlier value instead of a constant, in [0, 1].

    Shares must sum to 1.
    """

    name = "opgraph"
    end = END

    def __init__(self, modulus: int = 10, contexts: Sequence[str] = ("A",)):
        if type(modulus) is not int or not 2 <= modulus <= 99:
            raise TaskError(f"modulus must lie in 2..99, got {modulus!r}")
        named = isinstance(contexts, Sequence) and not isinstance(contexts, str | bytes)
        if not named or not all(isinstance(context, str) for context in contexts):
            raise ConfigError(f"contexts must be different ones of {', '.join(CONTEXTS)}, got {contexts!r}")
        if not contexts or len(set(contexts)) < len(contexts) or not set(contexts) <= set(CONTEXTS):
            raise ConfigError(f"contexts must be different ones of {', '.join(CONTEXTS)}, got {contexts!r}")
        self.modulus = modulus
        self.contexts = list(contexts)
        operands = [*map(str, range(modulus)), *(f"v{index}" for index in range(MAX_OP))]
        # The text of every operation by context, sign and operand: (contexts, 3, modulus + MAX_OP).
        self._words = np.array(
            [[[sign + operand for operand in operands] for sign in CONTEXTS[context]] for context in contexts], object
        )

    def source(self, seed: int, **difficulty: Any) -> Iterator[Problem]:
        return self._source(seed, (0.0, 0.0, 0.0), **difficulty)

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
            right_answer = steps[-1]
            return Verdict(
                False,
                score if right_answer else 0.0,
                steps,
                "wrong step" if right_answer else "wrong answer",
                right_answer,
            )
        return Verdict(True, 1.0, steps)

    def demonstrations(
        self, n: int, seed: int, slips: tuple[float, float, float] = (0.01, 0.04, 0.35), **difficulty: Any
    ) -> list[tuple[str, str]]:
        """Solutions with errors: each +, -, x is wrong with its probability `slips`, and later values follow from it."""
        triple = isinstance(slips, Sequence) and len(slips) == 3
        if not triple or not all(is_finite(slip) and 0 <= slip <= 1 for slip in slips):
            raise TaskError(f"slips are three probabilities in [0, 1] (of +, - and x), got {slips!r}")
        check_difficulty(difficulty)
        problems = sample_distinct(n, self._source(seed, slips, **difficulty), "train")
        return [(problem.prompt, problem.solution) for problem in problems]

    def vocabulary(self) -> list[str]:
        return ["=", END, *map(str, range(self.modulus)), *self._words.flatten().tolist()]

    def _source(
        self,
        seed: int,
        slips: tuple[float, float, float],
        mixture: Sequence[Mapping[str, Any]] | None = None,
        times: float | None = None,
        links: float = 0.0,
        **settings: Any,
    ) -> Iterator[Problem]:
        if not all(is_finite(share) and 0 <= share <= 1 for share in (links, 0 if times is None else times)):
            raise TaskError(f"times and links are shares in [0, 1], got {times!r} and {links!r}")
        mixtures.check_settings(settings, (*SETTINGS, "times", "links", "mixture"))
        cells: dict[tuple[int, int], float] = {}
        for share, own in mixtures.components(mixture, SETTINGS) if mixture is not None else [(1.0, {})]:
            for cell, part in self._cells(**{**settings, **own}).items():
                cells[cell] = cells.get(cell, 0.0) + share * part
        op, context = np.array(list(cells)).T
        probability = np.array(list(cells.values()))
        probability /= probability.sum()

        def draw(rng: np.random.Generator) -> Iterator[Problem]:
            kind = rng.choice(len(op), BLOCK, p=probability)
            return self._block(rng, op[kind], context[kind], times, links, slips)

        return stream(draw, seed)

    def _cells(
        self,
        op: Sequence[int] | Mapping[Any, float] = (1, 8),
        weights: list[float] | None = None,
        context: mixtures.Share | None = None,
    ) -> dict[tuple[int, int], float]:
        """(op, row of the context) -> share."""
        if isinstance(op, Mapping):
            if weights is not None:
                raise ConfigError("op gives the shares of ops already; leave out weights")
            ops = mixtures.numbers("op", op, 1, MAX_OP)
        else:
            first, last = int_range("op", op, 1, MAX_OP)
            ops = dict(zip(range(first, last + 1), shares(weights, last - first + 1).tolist(), strict=True))
        contexts = mixtures.kinds("context", context or self.contexts[0], self.contexts)
        return {(a, self.contexts.index(b)): ops[a] * contexts[b] for a in ops for b in contexts}

    def _block(
        self,
        rng: np.random.Generator,
        op: np.ndarray,
        context: np.ndarray,
        times: float | None,
        links: float,
        slips: tuple[float, float, float],
    ) -> Iterator[Problem]:
        """Problems with op (block,) operations in context (block,), with slips. Slips are drawn last: the prompts do not depend on them."""
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

        words = self._words[context[:, None], sign, operand + self.modulus * linked].tolist()
        count = ((sign == 2) & (column < op[:, None])).sum(1).tolist()
        for operations, (first, *rest), length, row, products in zip(
            words, values.astype(str).tolist(), op.tolist(), context.tolist(), count, strict=True
        ):
            prompt = " ".join([first, *operations[:length], "="])
            solution = " ".join([*rest[:length], END])
            meta = {"op": length, "context": self.contexts[row], "times": products}
            yield Problem(prompt, solution, rest[length - 1], str(length), meta)
