"""Countdown: combine every given number exactly once, by + - * /, into an expression that equals the target.

The prompt `3 7 9 -> 30 :` asks for such an expression; the solution works it out, one operation at a time, and then
answers: `7 * 3 = 21 21 + 9 = 30 <answer> ( 7 * 3 ) + 9 </answer>`. Only the last answer is graded, not the steps before it:
any expression that uses the right numbers and reaches the target is correct. The published reward (arXiv 2507.04632's code; 0 without an
answer, 0.1 for a wrong one, 1 for a right one) is `Verdict.score`, the binary one `Verdict.correct`: `make_reward("score")` and
`make_reward("strict")`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from edgewise.errors import TaskError
from edgewise.tasks.answers import CLOSE, OPEN, last_tagged
from edgewise.tasks.base import (
    Problem,
    Split,
    TextWorld,
    Verdict,
    check_difficulty,
    generator,
    int_range,
    is_finite,
    sample,
    settings_of,
    shares,
    stream,
    tasks,
)
from edgewise.tasks.countdown_solutions import count_solutions
from edgewise.tasks.quantities import PRODUCTS, WRAPPERS

OPERATIONS = "+-*/"
MAX_COUNT = 6
BLOCK = 1024
"""Rows of numbers drawn at once."""
ATTEMPTS = 8
"""Expressions tried on each row of numbers."""

LONGEST_ANSWER = 500
"""Characters; a longer answer is no expression."""
TOLERANCE = Fraction(1, 100_000)
ALLOWED = re.compile(rf"[0-9+\-*x/()\s\u2212\u00d7{PRODUCTS}\u00f7\u2215]+")
TOKEN = re.compile(r"[0-9]+|[^0-9\s]")
LATEX_SIGNS = {"\\times": "*", "\\cdot": "*", "\\ast": "*", "\\div": "/", "\\left": "", "\\right": ""}
LATEX = re.compile("|".join(map(re.escape, LATEX_SIGNS)))
SPELLINGS = str.maketrans(f"\u2212x\u00d7{PRODUCTS}\u00f7\u2215", "-*****//")
AROUND = (*WRAPPERS, ("\\boxed{", "}"))


@tasks.register("countdown")
class Countdown(TextWorld):
    """The numbers game.

    Args:
        largest: no number, target or intermediate value of generated problems and solutions is larger, 2..9999; the
            vocabulary grows with it. Completions are verified without this limit.
        solutions: whether the solutions of each problem are counted, as `meta["solutions"]`: 5 ms for 4 numbers, half a second for 6.

    Difficulty (of `problems` and `demonstrations`):
        count: (first, last) how many numbers are given, 2..6; the category of a problem.
        weights: relative frequency of each count from first to last; equal if None.
        numbers: (first, last) range of the given numbers.
        target: (first, last) range of the target.
        operations: those that the gold solution may use; the policy may use all.

    The same numbers in another order are the same problem: sorted numbers and target are its content.
    """

    name = "countdown"
    end = CLOSE

    def __init__(self, largest: int = 99, solutions: bool = False):
        if type(largest) is not int or not 2 <= largest <= 9999:
            raise TaskError(f"largest must lie in 2..9999, got {largest!r}")
        if type(solutions) is not bool:
            raise TaskError(f"solutions must be true or false, got {solutions!r}")
        self.largest, self.solutions = largest, solutions

    def source(self, seed: int, **difficulty: Any) -> Iterator[Problem]:
        return self._source(seed, 0.0, difficulty)

    def problems(self, n: int, seed: int, *, split: Split = "train", **difficulty: Any) -> list[Problem]:
        problems = super().problems(n, seed, split=split, **difficulty)
        if self.solutions:
            for problem in problems:
                *given, _, target, _ = problem.prompt.split()
                problem.meta["solutions"] = count_solutions([*map(int, given)], int(target))
        return problems

    def verify(self, problem: Problem, completion: str) -> Verdict:
        r"""Score 1 for a right answer, 0.1 for a wrong one, 0 for none.

        The answer is behind the last `<answer>` that is closed: an expression of unsigned decimal numbers, + - * / (also
        x × · ÷ \times \cdot \div) between two operands, and parentheses, at most 500 characters; signs of a formula around it
        (`$`, `\(`, `\[`, `\boxed`) and a full stop behind it are ignored. A minus is never a sign: `- 3 + 10` is written `10 - 3`.
        """
        tagged = last_tagged(completion)
        if tagged is None:
            return Verdict(False, 0.0, reason="no answer")
        *given, _, target, _ = problem.prompt.split()
        postfix = parse(_tidy(tagged[1]))
        if postfix is None:
            return Verdict(False, 0.1, reason="not an expression")
        if sorted(word for word in postfix if isinstance(word, int)) != sorted(map(int, given)):
            return Verdict(False, 0.1, reason="wrong numbers")
        value = evaluate(postfix)
        if value is None or abs(value - int(target)) >= TOLERANCE:
            return Verdict(False, 0.1, reason="wrong value")
        return Verdict(True, 1.0)

    def demonstrations(self, n: int, seed: int, slips: float = 0.1, **difficulty: Any) -> list[tuple[str, str]]:
        """A random correct solution of each prompt, but a wrong answer for a share `slips` of them.

        The answer is then an expression of the given numbers that misses the target, its steps calculated right.
        Prompts repeat, in other orders and with other solutions, when n exceeds the number of problems of this difficulty.
        """
        if not is_finite(slips) or not 0 <= slips <= 1:
            raise TaskError(f"slips is a probability in [0, 1], got {slips!r}")
        source = self._source(seed, slips, difficulty)
        return [(problem.prompt, problem.solution) for problem in sample(n, source, "train")]

    def vocabulary(self) -> list[str]:
        return ["->", ":", "=", *OPERATIONS, "(", ")", OPEN, CLOSE, *map(str, range(1, self.largest + 1))]

    def _source(self, seed: int, slips: float, difficulty: Mapping[str, Any]) -> Iterator[Problem]:
        check_difficulty(difficulty, settings_of(self._draw, without=("seed", "slips")))
        return self._draw(seed, slips, **difficulty)

    def _draw(
        self,
        seed: int,
        slips: float,
        count: tuple[int, int] = (2, 4),
        weights: list[float] | None = None,
        numbers: tuple[int, int] = (1, 12),
        target: tuple[int, int] = (1, 60),
        operations: str = OPERATIONS,
    ) -> Iterator[Problem]:
        first, last = int_range("count", count, 2, MAX_COUNT)
        share = shares(weights, last - first + 1)
        low, high = int_range("numbers", numbers, 1, self.largest)
        near, far = int_range("target", target, 1, self.largest)
        if not isinstance(operations, str) or not operations or not set(operations) <= set(OPERATIONS):
            raise TaskError(f"operations must be some of {OPERATIONS}, got {operations!r}")
        signs = np.array([OPERATIONS.index(sign) for sign in operations])

        def source(size: int) -> Iterator[Problem]:
            def draw(rng: np.random.Generator) -> Iterator[Problem]:
                given = rng.integers(low, high + 1, (BLOCK, size))
                return self._block(rng, given, signs, (near, far), slips)

            return stream(draw, seed, size)

        sources = [source(size) for size in range(first, last + 1)]
        order = generator(seed, 0)
        while True:
            for kind in order.choice(len(share), BLOCK, p=share).tolist():
                yield next(sources[kind])

    def _block(
        self, rng: np.random.Generator, given: np.ndarray, signs: np.ndarray, target: tuple[int, int], slips: float
    ) -> Iterator[Problem]:
        """Problems of the given numbers (block, count) whose target random expressions have reached, solved with slips."""
        size = given.shape[1]
        shape = (len(given), ATTEMPTS, size - 1)
        trees = rng.random((*shape, 2)).reshape(-1, size - 1, 2)
        sign = signs[rng.integers(len(signs), size=shape)].reshape(-1, size - 1)
        steps, valid = self._work_out(np.repeat(given, ATTEMPTS, 0), trees, sign)
        steps, valid = steps.reshape(*shape, 4), valid.reshape(shape[:2])
        value = steps[..., -1, 3]
        hits = valid & (value >= target[0]) & (value <= target[1])
        hit = hits.argmax(1)
        goal = value[np.arange(len(given)), hit]
        misses = valid & (value != goal[:, None])
        miss = misses.argmax(1)
        # With slips, every row kept has a miss, so that the share of slips is exact.
        kept = np.flatnonzero(hits.any(1) & (misses.any(1) if slips else True))
        taken = np.where(rng.random(len(given)) < slips, miss, hit)[kept]
        work = steps[kept, taken].tolist()
        for numbers, aim, steps_taken in zip(given[kept].tolist(), goal[kept].tolist(), work, strict=True):
            yield _problem(numbers, aim, steps_taken)

    def _work_out(self, value: np.ndarray, trees: np.ndarray, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate random expressions of the numbers value (n, count), which is used up.

        Returns (sign, left node, right node, result) of each step (n, count - 1, 4), and which expressions are valid (n,):
        those with every result a whole number in 1..largest. Nodes 0..count-1 are the given numbers, count + i is the
        result of step i. The larger operand stands on the left.
        """
        rows, size = np.arange(len(value)), value.shape[1]
        node = np.tile(np.arange(size), (len(value), 1))
        steps = np.empty((*sign.shape, 4), int)
        valid = np.ones(len(value), bool)
        for step in range(size - 1):
            last = size - step - 1  # values in columns 0..last are not yet used
            i = (trees[:, step, 0] * (last + 1)).astype(int)
            j = (i + 1 + (trees[:, step, 1] * last).astype(int)) % (last + 1)
            swapped = value[rows, i] < value[rows, j]
            i, j = np.where(swapped, j, i), np.where(swapped, i, j)
            a, b = value[rows, i], value[rows, j]
            kind = sign[:, step]
            result = np.choose(kind, (a + b, a - b, a * b, a // b))
            valid &= (result >= 1) & (result <= self.largest) & ((kind != OPERATIONS.index("/")) | (a % b == 0))
            result = np.clip(result, 1, self.largest)  # keeps what follows an invalid step in bounds
            steps[:, step] = np.stack([kind, node[rows, i], node[rows, j], result], 1)
            value[rows, i], node[rows, i] = result, size + step
            value[rows, j], node[rows, j] = value[:, last], node[:, last]
        return steps, valid


def _tidy(answer: str) -> str:
    """An answer without LaTeX commands for signs and brackets, signs of a formula around it and a full stop behind it."""
    if len(answer) > 2 * LONGEST_ANSWER:
        return answer
    text = LATEX.sub(lambda found: LATEX_SIGNS[found[0]], answer).strip().rstrip(".").strip()
    for left, right in AROUND:
        if text.startswith(left) and text.endswith(right) and len(text) > len(left + right):
            text = text.removeprefix(left).removesuffix(right).strip()
    return text


def parse(text: str) -> list[int | str] | None:
    """An expression in postfix order, numbers and operations; None if the text is none.

    Precedence climbing with an explicit stack: linear time, no recursion, nothing is evaluated.
    """
    if len(text) > LONGEST_ANSWER or not ALLOWED.fullmatch(text):
        return None
    output: list[int | str] = []
    waiting: list[str] = []
    operand = True  # whether an operand must come next
    for token in TOKEN.findall(text.translate(SPELLINGS)):
        if operand != (token == "(" or token.isdigit()):
            return None
        if token == "(":
            waiting.append(token)
        elif operand:
            output.append(int(token))
            operand = False
        elif token == ")":
            while waiting and waiting[-1] != "(":
                output.append(waiting.pop())
            if not waiting:
                return None
            waiting.pop()
        else:
            while waiting and waiting[-1] != "(" and (waiting[-1] in "*/" or token in "+-"):
                output.append(waiting.pop())
            waiting.append(token)
            operand = True
    if operand or "(" in waiting:
        return None
    return output + waiting[::-1]


def evaluate(postfix: Sequence[int | str]) -> Fraction | None:
    """The exact value of an expression in postfix order; None if it divides by zero."""
    stack: list[Fraction] = []
    for word in postfix:
        if isinstance(word, int):
            stack.append(Fraction(word))
            continue
        b, a = stack.pop(), stack.pop()
        if word == "/" and b == 0:
            return None
        stack.append(a + b if word == "+" else a - b if word == "-" else a * b if word == "*" else a / b)
    return stack[0]


def _problem(numbers: list[int], target: int, work: list[list[int]]) -> Problem:
    """The texts of a problem; work holds the sign, left node, right node and result of each step."""
    values, texts, steps = [*numbers], [*map(str, numbers)], []
    for sign, left, right, result in work:
        operation = OPERATIONS[sign]
        steps.append(f"{values[left]} {operation} {values[right]} = {result}")
        texts.append(f"( {texts[left]} {operation} {texts[right]} )")
        values.append(result)
    answer = texts[-1][2:-2]
    prompt = f"{' '.join(texts[: len(numbers)])} -> {target} :"
    solution = f"{' '.join(steps)} {OPEN} {answer} {CLOSE}"
    meta = {"count": len(numbers), "target": target, "operations": "".join(OPERATIONS[step[0]] for step in work)}
    key = f"{' '.join(map(str, sorted(numbers)))} -> {target}"
    return Problem(prompt, solution, answer, f"{len(numbers)} numbers", meta, key)
