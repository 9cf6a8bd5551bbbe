"""Contract of a task, as checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewise.tasks import Task


def check_task(factory: Callable[[], Task], *, n: int = 40, **difficulty: Any) -> None:
    """Check that tasks keep the contract: problems and their split, verdicts on any text, demonstrations of a TextWorld.

    Hostile completions, of up to a megabyte, are among the texts; a verdict may take a minute at most.

    Args:
        factory: makes the task anew, always with the same options.
        n: number of problems that are drawn; the task must have that many training and n / 4 evaluation problems.
        difficulty: settings of `problems` (and of `demonstrations`) under which it is checked.

    Raises:
        AssertionError: names the broken rule.

    Example:
        >>> from edgewise.tasks import OpGraph
        >>> check_task(OpGraph, n=10, op=(1, 3))
    """
    # Imported here: the core does not depend on tasks.
    from edgewise.tasks.contract import TASK_LAWS, Setting

    for law in TASK_LAWS:
        law(Setting(factory, difficulty, n))
