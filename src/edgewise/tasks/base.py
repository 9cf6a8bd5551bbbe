"""The contract of a task: where prompts come from, and how what a model wrote is verified."""

from __future__ import annotations

import hashlib
import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.errors import TaskError
from edgewise.registry import Registry


@dataclass(frozen=True)
class Problem:
    """One question with its gold solution.

    `id` is a hash of the content, so equal problems have equal ids in every dataset. `category` is the label that prompts
    of one kind share (the op, say). Texts are words separated by single spaces. `key` says what is asked where several
    prompts ask the same (numbers in another order, say); it is the prompt if empty.
    """

    prompt: str
    solution: str
    answer: str
    category: str
    meta: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)
    key: str = ""

    @property
    def content(self) -> str:
        """What makes two problems the same problem: decides their side of the split, their id and what is a repetition."""
        return self.key or self.prompt

    @property
    def id(self) -> str:
        return hashlib.blake2b(self.content.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Verdict:
    """What verification found.

    `correct` is strict: every step and the answer. `score` in [0, 1] is the task's own shaped reward. `steps` says of each
    gold step whether it was right. `reason` is "correct" or the first failure, in a few fixed words that can be counted.
    `right_answer` says whether the answer is right, whatever the steps; None in tasks that judge nothing else.
    """

    correct: bool
    score: float
    steps: tuple[bool, ...] = ()
    reason: str = "correct"
    right_answer: bool | None = None

    @property
    def outcome(self) -> bool:
        """Whether the answer is right."""
        return self.correct if self.right_answer is None else self.right_answer

    @property
    def process(self) -> float:
        """Share of the gold steps that are right, in [0, 1]; `outcome` in tasks without steps."""
        return sum(self.steps) / len(self.steps) if self.steps else float(self.outcome)


class Task(ABC):
    """Problems and their verification. Deterministic by seed; verification never raises on, runs, or chokes on a text."""

    name = ""
    end = ""
    """The word that ends a completion."""
    pieces = ""
    """Regular expression of the pieces that a text is made of, each with the space before it; empty: of words."""

    @abstractmethod
    def make(self, n: int, seed: int, **difficulty: Any) -> list[Problem]:
        """n problems with distinct content, the same for the same arguments; `TaskError` if there are not that many."""

    @abstractmethod
    def verify(self, problem: Problem, completion: str) -> Verdict:
        """Judge a completion. Never raises on any text and returns in time linear in its (bounded) length."""

    @abstractmethod
    def demonstrations(self, n: int, seed: int, **difficulty: Any) -> list[tuple[str, str]]:
        """(prompt, completion) pairs for pre-training, whose author may slip where the task says so.

        Never contains a problem that `held_out` reserves for evaluation.
        """

    @abstractmethod
    def vocabulary(self) -> list[str]:
        """Every word, or piece, that prompts and completions of this task are made of, in a fixed order."""

    def load(self, path: str | Path) -> list[Problem]:
        """The problems of a file, in the task's own format; `TaskError` if it cannot be read or the task has none."""
        raise TaskError(f"task {self.name} has no file format; its problems come from `make`")


tasks: Registry[Task] = Registry("task")


def make_task(name: str, **options: Any) -> Task:
    """Build a registered task."""
    return tasks.make(name, **options)


def held_out(content: str, share: float = 0.2) -> bool:
    """Whether a problem of this content is on the evaluation side, which no training or pre-training text may contain."""
    digest = hashlib.blake2b(content.encode(), digest_size=8, person=b"held-out").digest()
    return int.from_bytes(digest, "little") < share * 2**64


def check_disjoint(training: Iterable[Problem], evaluation: Iterable[Problem]) -> None:
    """`TaskError` if a problem stands on both sides, whatever its wording: a split that leaks proves nothing."""
    known = {problem.content for problem in training}
    leaked = [problem for problem in evaluation if problem.content in known]
    if leaked:
        raise TaskError(
            f"the split leaks: {len(leaked)} evaluation problems are training problems too, such as '{leaked[0].prompt[:80]}';"
            " draw each side with its own value of `evaluation`"
        )


def guessing_floor(problems: Sequence[Problem], k: int = 1) -> float:
    """What blind guessing earns: the share of problems that have one of the k most frequent answers, in [0, 1].

    It is the best accuracy (k = 1) or pass@k that is possible without reading the problem.
    """
    if not problems:
        raise TaskError("the guessing floor of no problems is not defined")
    counts = Counter(problem.answer for problem in problems)
    return sum(count for _, count in counts.most_common(k)) / len(problems)


def collect(n: int, source: Iterator[Problem], evaluation: bool | None, patience: int = 1000) -> list[Problem]:
    """The first n problems of distinct content from an endless source, of one side of the split (None: of both).

    Gives up with `TaskError` after `patience` draws in a row that brought nothing new.
    """
    if n < 0:
        raise TaskError(f"the number of problems must be at least 0, got {n}")
    found: dict[str, Problem] = {}
    idle = 0
    while len(found) < n:
        problem = next(source)
        content = problem.content
        new = content not in found and (evaluation is None or held_out(content) == evaluation)
        if new:
            found[content] = problem
        idle = 0 if new else idle + 1
        if idle > patience:
            raise TaskError(f"only {len(found)} different problems of this difficulty exist or were found, {n} wanted")
    return list(found.values())


def take(n: int, source: Iterator[Problem], evaluation: bool, patience: int = 1000) -> list[Problem]:
    """The first n problems of one side of the split, repetitions included; `TaskError` where that side looks empty."""
    if n < 0:
        raise TaskError(f"the number of problems must be at least 0, got {n}")
    found: list[Problem] = []
    idle = 0
    while len(found) < n:
        problem = next(source)
        idle += 1
        if held_out(problem.content) == evaluation:
            found.append(problem)
            idle = 0
        if idle > patience:
            raise TaskError("every problem of this difficulty is on the other side of the split; widen its ranges")
    return found


def generator(*seed: int) -> np.random.Generator:
    """A source of randomness for these numbers; `TaskError` unless all are at least 0."""
    if min(seed) < 0:
        raise TaskError(f"seed must be at least 0, got {min(seed)}")
    return np.random.default_rng(seed)


Draw = Callable[[np.random.Generator], Iterable[Problem]]


def stream(draw: Draw, *seed: int, patience: int = 20) -> Iterator[Problem]:
    """An endless source: block i of problems is drawn at once by its own generator from (*seed, i).

    Gives up with `TaskError` after `patience` blocks in a row without a problem.
    """
    idle = 0
    for index in itertools.count():
        idle += 1
        for problem in draw(generator(*seed, index)):
            idle = 0
            yield problem
        if idle == patience:
            raise TaskError("no problem of this difficulty was found; widen its ranges")


def int_range(name: str, given: Sequence[int], low: int, high: int) -> tuple[int, int]:
    """`given` as (first, last), both included, inside low..high; otherwise `TaskError`."""
    pair = isinstance(given, Sequence) and len(given) == 2 and all(isinstance(value, int) for value in given)
    if not pair or not low <= given[0] <= given[1] <= high:
        raise TaskError(f"{name} must be a range (first, last) inside {low}..{high}, got {given}")
    return given[0], given[1]


def shares(weights: Sequence[float] | None, n: int) -> np.ndarray:
    """Relative frequencies of n kinds as probabilities (n,); equal if None. `TaskError` unless n numbers >= 0, not all 0."""
    if weights is None:
        return np.full(n, 1.0 / n)
    array = np.asarray(weights, np.float64)
    if array.shape != (n,) or not np.isfinite(array).all() or (array < 0).any() or array.sum() == 0:
        raise TaskError(f"weights must be {n} numbers >= 0, not all 0, got {weights}")
    return array / array.sum()
