r"""School arithmetic: 23 families of problems in English in four levels each, answered by a whole number.

A prompt is `Question: ...\nAnswer:`, so that a language model that was never trained on this task can answer it: a model of
135M parameters masters some cells of family and level, and has no chance in others.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks import mixture as mixtures
from edgewise.tasks.answers import THOUGHT, final_answer
from edgewise.tasks.base import (
    Problem,
    Split,
    TextWorld,
    Verdict,
    check_difficulty,
    check_split,
    check_whole,
    held_out,
    tasks,
)
from edgewise.tasks.quantities import CHANGED, SCALES, read_quantity
from edgewise.tasks.school import arithmetic, stories
from edgewise.tasks.school.draft import FAMILIES, LEVELS, Draw
from edgewise.tasks.school.words import WORDS

SETTINGS = ("family", "level")
END = "<end>"
PATIENCE = 4000
"""Draws of a cell in a row that bring nothing new, after which it counts as exhausted."""
NUMBER = re.compile(r"(?<![\w.,])[-\u2212]?\$?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?![0-9])")
JOINT = re.compile(r"\bor\b"), re.compile(r"\b(?:or|and)\b|[,;]")
"""What makes two answers of two numbers, in a line and in an announced answer."""
LISTED = re.compile(r"[\s,;]+")
"""What stands between numbers that are only listed."""
BEFORE = re.compile(
    r"(?:[0-9)}]\s*(?:[-+*/\u00d7\u00f7\u2212]|\\(?:times|cdot|div))|[\^\u221a]|\\(?:sqrt|log|ln)|[<>\u2260]|\\(?:neq?|g[et]q?|l[et]q?)|\b(?:not|half of|twice|double|triple|(?:more|less|fewer) than|at (?:least|most)|between|over|under|above|below))[\s{(]*$"
)
AFTER = re.compile(
    rf"\s*(?:\\?%|per ?cent\b|or\b|[\^\u00b2\u00b3\u00bc-\u00be]|\\pi|[kKMnx]\b|(?:(?:dozen|{'|'.join(SCALES)})s?|{CHANGED})\b)"
)
"""What makes another number of the last one: an operation that is not worked out, a denial, a scale."""
NEXT = re.compile(r"\n\s*(?:Question|Q)\s*[:.]|\bQuestion:")
SENTENCE = re.compile(r"(?<=[.!?])\s")
TOKENS = r" ?[A-Za-z]+| ?[0-9]| ?<end>| ?[^\sA-Za-z0-9]|\s"
PUNCTUATION = "+-*/=()%.,:?_"
READ = 4000
"""Characters at the beginning of a completion that are read."""

MODULES = (arithmetic, stories)
"""Modules whose import registers the families."""


@tasks.register("school")
class School(TextWorld):
    r"""Problems of families x levels, answered by a whole number.

    Args:
        examples: worked problems of the same family and level before each question, for models that were not tuned to answer
            questions; 0..20. They are the same for every problem of a cell, and are no evaluation problems.

    Difficulty (of `problems` and `demonstrations`):
        family: a family, a list of them (each as frequent), or shares: {"addition": 0.9, "ages": 0.1}; all if None.
        level: (first, last), 1..4, each as frequent; or shares: {"1-2": 0.8, 4: 0.2}. Level 1 of addition adds one digit,
            level 4 of shopping takes four steps.

    The category is the family; `meta["op"]` is the level, `meta["steps"]` the number of steps. Level, numbers and operations are
    the identity of a problem, not its wording, names and things. Some cells are small (160 pairs of quotient and
    divisor of division at level 1): asking for more is a `TaskError` that names the cell.

    Example:
        >>> task = School()
        >>> problem = task.problems(1, seed=0, family="addition", level=(2, 2))[0]
        >>> problem.prompt
        'Question: How much is 68 + 86?\nAnswer:'
        >>> task.verify(problem, ' The sum is 154.').correct
        True
    """

    name = "school"
    end = END
    token_pattern = TOKENS

    def __init__(self, examples: int = 0):
        if type(examples) is not int or not 0 <= examples <= 20:
            raise ConfigError(f"examples must lie in 0..20, got {examples!r}")
        self.examples = examples
        self._shown: dict[tuple[str, int], list[Problem]] = {}

    def problems(self, n: int, seed: int, *, split: Split = "train", **difficulty: Any) -> list[Problem]:
        check_split(split)
        check_difficulty(difficulty, SETTINGS)
        check_whole("the number of problems", n)
        found: set[str] = set()
        sources = self._sources(seed, **difficulty)
        problems: list[Problem] = []
        order = self._order(seed, **difficulty)
        for family, level in itertools.islice(order, n):
            for problem in itertools.islice(sources[family, level], PATIENCE):
                if problem.content not in found and held_out(problem.content) == (split == "eval"):
                    found.add(problem.content)
                    problems.append(problem)
                    break
            else:
                cell = sum(p.category == family and p.meta["level"] == level for p in problems)
                raise TaskError(
                    f"{family} at level {level} has no more than about {cell} different problems on the {split} side of the"
                    f" split, too few for its share of {n}; ask for fewer, or leave that level out"
                )
        return problems

    def source(self, seed: int, **difficulty: Any) -> Iterator[Problem]:
        check_difficulty(difficulty, SETTINGS)
        sources = self._sources(seed, **difficulty)
        return (next(sources[cell]) for cell in self._order(seed, **difficulty))

    def verify(self, problem: Problem, completion: str) -> Verdict:
        """Correct if the number that the completion answers with is the gold one; see `read_answer`."""
        answer = read_answer(completion)
        if answer is None:
            return Verdict(False, 0.0, reason="no answer")
        if answer != int(problem.answer):
            return Verdict(False, 0.0, reason="wrong answer")
        return Verdict(True, 1.0)

    def demonstrations(self, n: int, seed: int, **difficulty: Any) -> list[tuple[str, str]]:
        """Right solutions with their steps, `3 + 4 = 7. The answer is 7. <end>`. Problems may repeat."""
        check_whole("the number of problems", n)
        side = (p for p in self.source(seed, **difficulty) if not held_out(p.content))
        return [(p.prompt, f"{p.solution} {END}") for p in itertools.islice(side, n)]

    def vocabulary(self) -> list[str]:
        words = [*WORDS, *stories.NAMES]
        pieces = [*words, *"0123456789", *PUNCTUATION, END]
        return ["\n", *pieces, *(f" {piece}" for piece in pieces)]

    def families(self) -> list[str]:
        """Names of the families."""
        return list(FAMILIES)

    def _cells(self, family: Any = None, level: Any = LEVELS) -> dict[tuple[str, int], float]:
        if family is None:
            family = list(FAMILIES)
        if isinstance(family, Sequence) and not isinstance(family, str):
            texts = all(isinstance(name, str) for name in family)
            if not family or not texts or len(set(family)) < len(family):
                raise ConfigError(f"family must be a family, different ones, or shares of them, got {family!r}")
            family = {name: 1 / len(family) for name in family}
        families = mixtures.kinds("family", family, list(FAMILIES))
        levels = mixtures.numbers("level", level, *LEVELS)
        return {(a, b): families[a] * levels[b] for a in families for b in levels if families[a] * levels[b] > 0}

    def _order(self, seed: int, **difficulty: Any) -> Iterator[tuple[str, int]]:
        """Cells in the order of this seed, each as often as its share."""
        cells = self._cells(**difficulty)
        names, bounds = list(cells), list(itertools.accumulate(cells.values()))
        rng = _random(seed, "order")
        while True:
            mark = rng.random() * bounds[-1]
            yield names[next(i for i, bound in enumerate(bounds) if mark < bound or i == len(bounds) - 1)]

    def _sources(self, seed: int, **difficulty: Any) -> dict[tuple[str, int], Iterator[Problem]]:
        check_whole("seed", seed)
        return {cell: self._stream(seed, *cell) for cell in self._cells(**difficulty)}

    def _stream(self, seed: int, family: str, level: int) -> Iterator[Problem]:
        """Problems of a cell, with worked examples before the question; none of these is among them."""
        if not self.examples:
            return _stream(seed, family, level)
        cell = family, level
        if cell not in self._shown:
            train = (p for p in _stream("examples", family, level) if not held_out(p.content))
            distinct = {p.content: p for p in itertools.islice(train, 20 * self.examples)}
            self._shown[cell] = list(distinct.values())[: self.examples]
        before = "".join(f"{p.prompt} {p.solution}\n\n" for p in self._shown[cell])
        known = {p.content for p in self._shown[cell]}
        return (replace(p, prompt=before + p.prompt) for p in _stream(seed, family, level) if p.content not in known)


def _stream(seed: object, family: str, level: int) -> Iterator[Problem]:
    draw = Draw(_random(seed, family, level))
    make = FAMILIES[family]
    while True:
        draft = make(draw, level)
        given = draft.given or tuple(draft.steps)
        yield Problem(
            f"Question: {draft.question}\nAnswer:",
            " ".join([*(f"{step}." for step in draft.steps), f"The answer is {draft.answer}."]),
            str(draft.answer),
            family,
            {"op": level, "family": family, "level": level, "steps": len(draft.steps)},
            f"{family} {level}: {'; '.join(map(str, given))}",
        )


def _random(*seed: object) -> Random:
    digest = hashlib.blake2b(" ".join(map(str, ("school", *seed))).encode(), digest_size=16).digest()
    return Random(int.from_bytes(digest, "little"))


def read_answer(completion: str) -> Fraction | None:
    r"""The number that a completion answers with; None without one.

    Only the text behind the last `</think>` and before a next `Question:` counts. In it: what follows the last `\boxed`, `####`,
    `<answer>` or "answer is", which has to name one number behind its last `=`; else the first sentence if it is a number, with or
    without a unit; else the last number of the first line, unless `or`, a sign or a word makes another number of it.

    Example:
        >>> print(read_answer(" 61 apples. Because 34 + 27 = 61."), read_answer("34 + 27 = 61\n\nQuestion: What is 5?"))
        61 61
    """
    text = completion.rpartition(THOUGHT)[2][:READ]
    following = NEXT.search(text)
    text = (text[: following.start()] if following else text).strip()
    if not text:
        return None
    answer = final_answer(text) if re.search(r"boxed|####|<answer>|[Aa]nswer", text) else None
    first = text.splitlines()[0].strip()
    for line in filter(None, (answer, first)):
        for part in (line, SENTENCE.split(line, maxsplit=1)[0]):
            quantity = read_quantity(part)
            if quantity is not None:
                return None if quantity.unit == "%" else quantity.value
        line, announced = line[:1000], line != first
        found = [*NUMBER.finditer(line)]
        if found:
            last = found[-1].start()
            if BEFORE.search(line, 0, last) or AFTER.match(line, found[-1].end()):
                return None
            start = line.rfind("=", 0, last) if announced else last
            numbers = {_plain(number[0]) for number in found if number.start() >= start}
            between = line[found[-2].end() : last] if found[1:] else ""
            joined = JOINT[announced].search(between) or LISTED.fullmatch(between)
            return None if joined or len(numbers) > 1 else numbers.pop()
    return None


def _plain(number: str) -> Fraction | None:
    number = number.replace(",", "").replace("\u2212", "-").replace("$", "")
    return Fraction(number) if len(number) <= 100 else None
