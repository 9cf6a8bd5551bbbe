"""Problems of a task for a run: one side of the split, with settings that are checked before anything else happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from edgewise.errors import ConfigError
from edgewise.lab.run.config import from_dict, validate
from edgewise.tasks import Problem, Task
from edgewise.tasks.base import check_difficulty, tasks


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
    task: Task, n: int, seed: int, split: Literal["train", "eval"], difficulty: Mapping[str, Any]
) -> list[Problem]:
    """n problems of one side of the split.

    Raises:
        ConfigError: a difficulty setting is not one, or has a value that nothing can be made of.
        TaskError: there are not that many problems.
    """
    check_difficulty(difficulty)
    with refused(f"the difficulty settings of task {task.name}", difficulty):
        return task.problems(n, seed, split=split, **difficulty)


@contextmanager
def refused(what: str, given: Mapping[str, Any]) -> Iterator[None]:
    """Inside, values of the wrong kind become a `ConfigError` that says what was given."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, KeyError, IndexError, OverflowError) as error:
        raise ConfigError(f"{what} cannot be used ({' '.join(str(error).split())}): {dict(given)}") from error
