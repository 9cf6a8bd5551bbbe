"""Contract of a task by role: `Task` is a source of problems with a verifier, `TextWorld` can also be pre-trained on."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from edgewise.arrays import is_number
from edgewise.errors import ConfigError, TaskError, unknown_name
from edgewise.registry import Registry

Split = Literal["train", "eval"]
HELD_OUT_SHARE = 0.2
RESERVED = ("n", "seed", "split", "evaluation")
"""Names that are no difficulty settings: a configuration must not choose the side of the split."""


@dataclass(frozen=True)
class Problem:
    """One question with its gold solution.

    `id` is a hash of `content`, so equal problems have equal ids in every dataset.

    Args:
        prompt: text of the question.
        solution: gold completion; empty if the task has none.
        answer: gold answer.
        category: label that prompts of one kind share (the op, for example).
        meta: other facts, for slices of an evaluation; not part of the identity or of `==`.
        key: identity of the question where several prompts ask the same (numbers in another order, another drawing of the
            same figure). If empty, the prompt and the images are the identity.
        images: pictures in the order of their placeholders in the prompt: PIL images, or uint8 arrays (height, width) or
            (height, width, channels).

    Example:
        >>> Problem("What is 2 + 3?", "2 + 3 = 5", "5", "sum").id == Problem("What is 2 + 3?", "", "5", "").id
        True
    """

    prompt: str
    solution: str
    answer: str
    category: str
    meta: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)
    key: str = ""
    images: tuple[Any, ...] = field(default=(), hash=False, compare=False, repr=False)
    image_digest: str = field(default="", init=False, repr=False)
    """Hash of the pixels of all images, by which problems are compared; empty without images."""

    def __post_init__(self) -> None:
        if self.images:
            object.__setattr__(self, "image_digest", digest_of_images(self.images))

    @property
    def content(self) -> str:
        """Identity of the problem: decides its side of the split, its id and what is a repetition."""
        return self.key or (f"{self.prompt}\n{self.image_digest}" if self.image_digest else self.prompt)

    @property
    def id(self) -> str:
        return hashlib.blake2b(self.content.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    @property
    def split(self) -> Split:
        """Side of the split by content."""
        return "eval" if held_out(self.content) else "train"


def digest_of_images(images: Sequence[Any]) -> str:
    """Hash of the pixels of images, independent of how they are stored.

    Raises:
        TaskError: something that is not a picture of 8 bits a channel.
    """
    digest = hashlib.blake2b(digest_size=16)
    for image in images:
        mode = getattr(image, "mode", "RGB") if hasattr(image, "convert") else "RGB"
        if mode not in ("L", "RGB", "RGBA") and mode[0] not in "IF":  # those of more than 8 bits would be clipped
            image = image.convert("RGBA")  # a palette's indices are not its colours
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or not pixels.size:
            raise TaskError(
                f"an image must be a PIL image or a uint8 array (height, width[, channels]), got"
                f" {type(image).__name__} of shape {pixels.shape} and type {pixels.dtype}"
            )
        digest.update(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Verdict:
    """Result of a verification.

    Args:
        correct: strict: every step and the answer are right.
        score: the task's own shaped reward, in [0, 1].
        steps: for each gold step, whether it is right.
        reason: "correct", or the first failure in a few fixed words that can be counted.
        right_answer: whether the answer is right, whatever the steps; None in tasks that verify nothing else.
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
    """Source of problems and their verification.

    An author overrides `verify` and either `source`, an endless or finite iterator from which `problems` takes what is
    distinct and on the wanted side of the split, or `problems` itself. Both are deterministic by seed.

    Example:
        >>> class Doubling(Task):
        ...     name = "doubling"
        ...     def source(self, seed, **difficulty):
        ...         for value in generator(seed).permutation(1000).tolist():
        ...             yield Problem(f"2 * {value} =", "", str(2 * value), "product")
        ...     def verify(self, problem, completion):
        ...         right = completion.strip() == problem.answer
        ...         return Verdict(right, float(right), reason="correct" if right else "wrong answer")
        >>> task = Doubling()
        >>> problem = task.problems(1, seed=0, split="eval")[0]
        >>> problem.split, task.verify(problem, f" {problem.answer} ").correct
        ('eval', True)
    """

    name: str = ""

    def problems(self, n: int, seed: int, *, split: Split = "train", **difficulty: Any) -> list[Problem]:
        """n problems of distinct content from one side of the split.

        The same for the same arguments; a longer list begins with the shorter one.

        Args:
            n: number of problems, >= 0.
            seed: >= 0.
            split: "train", or "eval" for problems that no training or pre-training text contains.
            difficulty: settings of the task.

        Raises:
            TaskError: fewer than n problems exist.
            ConfigError: unknown split or setting.
        """
        check_split(split)
        check_difficulty(difficulty, settings_of(self.source, without=("seed",)))
        check_whole("seed", seed)
        return sample_distinct(n, self.source(seed, **difficulty), split)

    def source(self, seed: int, **difficulty: Any) -> Iterator[Problem]:
        """Problems of both sides of the split in the order of this seed, endless or not, with repetitions or without."""
        raise TaskError(f"task {self.name or type(self).__name__} defines neither `source` nor `problems`")

    def demonstrations(self, n: int, seed: int, **difficulty: Any) -> list[tuple[str, str]]:
        """n (prompt, completion) pairs that a model can be trained on: by default training problems with their gold solutions.

        Raises:
            TaskError: fewer than n problems exist, or one has no solution.
        """
        problems = self.problems(n, seed, **difficulty)
        if not all(problem.solution for problem in problems):
            raise TaskError(f"problems of task {self.name or type(self).__name__} have no solutions to train on")
        return [(problem.prompt, problem.solution) for problem in problems]

    @abstractmethod
    def verify(self, problem: Problem, completion: str) -> Verdict:
        """Verdict on a completion.

        Never raises on any text, never executes it, and is bounded in time and memory.
        """

    def load(self, path: str | Path) -> list[Problem]:
        """Problems of a file in the task's own format; `TaskError` if it cannot be read or the task has no format."""
        raise TaskError(f"task {self.name} has no file format; its problems come from `problems`")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class TextWorld(Task):
    """Task whose texts a model can be pre-trained on: it has demonstrations and a closed vocabulary."""

    end: str = ""
    """The word that ends a completion."""
    token_pattern: str = ""
    """Regular expression of the tokens of a text, each with the space before it; empty: words between spaces."""

    @abstractmethod
    def demonstrations(self, n: int, seed: int, **difficulty: Any) -> list[tuple[str, str]]:
        """n (prompt, completion) pairs for pre-training, with errors where the task has a setting for them.

        No problem on the evaluation side of the split is among them. Prompts may repeat.
        """

    @abstractmethod
    def vocabulary(self) -> list[str]:
        """Every token of prompts and completions of this task, distinct, in a fixed order."""


tasks: Registry[Task] = Registry("task")


def list_tasks() -> list[str]:
    """Names of the registered tasks, those of the entry-point group `edgewise.tasks` included.

    Example:
        >>> "countdown" in list_tasks()
        True
    """
    return tasks.names()


def make_task(name: str, **options: Any) -> Task:
    """A registered task; `ConfigError` for an unknown name or option.

    Example:
        >>> make_task("countdown", largest=20)
        Countdown(name='countdown')
    """
    return tasks.make(name, **options)


def make_text_world(name: str, **options: Any) -> TextWorld:
    """A registered task that a model can be pre-trained on; `ConfigError` for any other."""
    task = make_task(name, **options)
    if not isinstance(task, TextWorld):
        raise ConfigError(f"task {name} has no demonstrations or vocabulary, so no model can be pre-trained on it")
    return task


def held_out(content: str, share: float = HELD_OUT_SHARE) -> bool:
    """Whether a problem of this content is on the evaluation side, which no training or pre-training text may contain."""
    data = content.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(data, digest_size=8, person=b"held-out").digest()
    return int.from_bytes(digest, "little") < share * 2**64


def check_split(split: str) -> None:
    """`ConfigError` unless split is "train" or "eval"."""
    if split not in get_args(Split):
        raise ConfigError(f"split must be 'train' or 'eval', got {split!r}")


def check_difficulty(difficulty: Mapping[str, Any], known: Iterable[str] | None = None) -> None:
    """`ConfigError` for a setting that is not known, or that is an argument of `problems`, such as the split."""
    for name in difficulty:
        if name in RESERVED:
            raise ConfigError(
                f"'{name}' is not a difficulty setting: training prompts are always of the training side of the split,"
                " evaluation prompts of the evaluation side"
                if name in ("split", "evaluation")
                else f"'{name}' is not a difficulty setting"
            )
    if known is not None:
        names = list(known)
        for name in difficulty:
            if name not in names:
                raise unknown_name("difficulty setting", name, names)


def settings_of(function: Callable[..., Any], *, without: Sequence[str] = ()) -> list[str] | None:
    """Names of the settings of a function, to check a difficulty against; None if it takes any (`**difficulty`)."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters if parameter.name not in (*without, "self")]


def check_disjoint(training: Iterable[Problem], evaluation: Iterable[Problem]) -> None:
    """`TaskError` if a problem is on both sides, in any wording or drawing."""
    known = {problem.content for problem in training}
    leaked = [problem for problem in evaluation if problem.content in known]
    if leaked:
        raise TaskError(
            f"the split leaks: {len(leaked)} evaluation problems are training problems too, such as '{leaked[0].prompt[:80]}';"
            " draw one side with split='train' and the other with split='eval'"
        )


def guessing_floor(problems: Sequence[Problem], k: int = 1) -> float:
    """Share of problems that have one of the k most frequent answers, in [0, 1].

    It is the best accuracy (k = 1) or pass@k that is possible without reading the problem.
    """
    if not problems:
        raise TaskError("the guessing floor of no problems is not defined")
    counts = Counter(problem.answer for problem in problems)
    return sum(count for _, count in counts.most_common(k)) / len(problems)


def sample_distinct(n: int, source: Iterator[Problem], split: Split | None, patience: int = 1000) -> list[Problem]:
    """The first n problems of distinct content from a source, of one side of the split (None: of both).

    Raises:
        TaskError: the source ended, or `patience` draws in a row brought nothing new.
    """
    check_whole("the number of problems", n)
    found: dict[str, Problem] = {}
    idle = 0
    while len(found) < n:
        problem = next(source, None)
        if problem is not None:
            content = problem.content
            if content not in found and (split is None or held_out(content) == (split == "eval")):
                found[content] = problem
                idle = 0
                continue
        idle += 1
        if problem is None or idle > patience:
            side = "" if split is None else f" on the {split} side of the split"
            raise TaskError(
                f"only {len(found)} different problems of this difficulty exist or were found{side}, {n} wanted"
            )
    return list(found.values())


def sample(n: int, source: Iterator[Problem], split: Split, patience: int = 1000) -> list[Problem]:
    """The first n problems of one side of the split, repetitions included; `TaskError` if that side looks empty."""
    check_whole("the number of problems", n)
    found: list[Problem] = []
    idle = 0
    while len(found) < n:
        problem = next(source, None)
        if problem is not None and held_out(problem.content) == (split == "eval"):
            found.append(problem)
            idle = 0
            continue
        idle += 1
        if problem is None or idle > patience:
            raise TaskError("every problem of this difficulty is on the other side of the split; widen its ranges")
    return found


def check_whole(name: str, value: Any) -> None:
    """`TaskError` unless a value is a whole number >= 0."""
    if not is_whole(value) or value < 0:
        raise TaskError(f"{name} must be at least 0, got {value!r}")


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number and no boolean."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether a value is a finite number."""
    return is_number(value) and math.isfinite(value)


def generator(*seed: int) -> np.random.Generator:
    """Random generator of these numbers; `TaskError` unless all are at least 0."""
    for number in seed:
        check_whole("seed", number)
    return np.random.default_rng(seed)


Draw = Callable[[np.random.Generator], Iterable[Problem]]


def stream(draw: Draw, *seed: int, patience: int = 20) -> Iterator[Problem]:
    """Endless source: block i of problems is drawn at once by its own generator, seeded by (*seed, i).

    Raises:
        TaskError: `patience` blocks in a row had no problem.
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
    pair = isinstance(given, Sequence) and len(given) == 2 and all(map(is_whole, given))
    if not pair or not low <= given[0] <= given[1] <= high:
        raise TaskError(f"{name} must be a range (first, last) inside {low}..{high}, got {given}")
    return given[0], given[1]


def shares(weights: Sequence[float] | None, n: int) -> np.ndarray:
    """Relative frequencies of n kinds as probabilities (n,); equal if None. `TaskError` unless n numbers >= 0, not all 0."""
    if weights is None:
        return np.full(n, 1.0 / n)
    try:
        array = np.asarray(weights, np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape != (n,) or not np.isfinite(array).all() or (array < 0).any() or array.sum() == 0:
        raise TaskError(f"weights must be {n} numbers >= 0, not all 0, got {weights}")
    return array / array.sum()
