"""Problems of a task for a run: one side of the split, with settings that are checked before anything else happens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from edgewise.errors import ConfigError, TaskError
from edgewise.lab.run.config import from_dict, validate
from edgewise.tasks import Problem, Task
from edgewise.tasks.base import check_difficulty, sample, tasks


@dataclass(frozen=True)
class TaskConfig:
    """A task by name, or {name, options}, for a base that was not made for one."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        validate(self)
        # Not made here: a task may read its data, and a base may be made for another machine's.
        tasks.check(self.name, self.options)

    @classmethod
    def from_plain(cls, value: Any, where: str = "task") -> TaskConfig:
        """From the value in a YAML file: a name, or {name, options}."""
        return cls(value) if isinstance(value, str) else from_dict(cls, value, where)


def draw_problems(
    task: Task,
    n: int,
    seed: int,
    split: Literal["train", "eval"],
    difficulty: Mapping[str, Any],
    setting: str,
) -> list[Problem]:
    """n problems of one side of the split, n being the value of the setting of this name.

    Raises:
        ConfigError: a difficulty setting is not one, or has a value that nothing can be made of.
        TaskError: there are not that many problems.
    """
    check_difficulty(difficulty)
    with refused(f"the difficulty settings of task {task.name}", difficulty):
        try:
            return task.problems(n, seed, split=split, **difficulty)
        except TaskError as error:
            task.problems(1, seed, split=split, **difficulty)
            # There is one: it is the number that the task has refused.
            raise TaskError(f"{setting} is {n}, more than there are: {error}") from error


REPETITIONS = 10
"""Expected among the draws below, if there were just as many problems as wanted: none then has a probability of e^-10."""
MOST = 200_000
"""Problems that are made to see whether there are enough."""


def require_problems(
    task: Task, n: int, seed: int, split: Literal["train", "eval"], difficulty: Mapping[str, Any], setting: str
) -> None:
    """Raise what `draw_problems` would, without making all n where few draws show that there are many more."""
    check_difficulty(difficulty)
    draws = math.isqrt(2 * REPETITIONS * n) + 1
    if draws < n:
        with refused(f"the difficulty settings of task {task.name}", difficulty), suppress(TaskError):
            drawn = sample(draws, task.source(seed, **difficulty), split)
            if len({problem.content for problem in drawn}) == draws:
                return
    with suppress(TaskError):
        draw_problems(task, min(n, MOST), seed, split, difficulty, setting)
        return
    draw_problems(task, n, seed, split, difficulty, setting)  # its error has the number wanted


@contextmanager
def refused(what: str, given: Mapping[str, Any]) -> Iterator[None]:
    """Inside, values of the wrong kind become a `ConfigError` that says what was given."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, KeyError, IndexError, OverflowError) as error:
        raise ConfigError(f"{what} cannot be used ({' '.join(str(error).split())}): {dict(given)}") from error
