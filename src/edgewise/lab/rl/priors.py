"""Pass rates known before an RL run: measured with a checkpoint, or supposed from the order of levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgewise.arrays import Floats
from edgewise.lab.evaluation.rollouts import CHUNK, Roller, evaluate, own_generator, sorted_labels
from edgewise.lab.run.config import Count, validate

if TYPE_CHECKING:
    from edgewise.tasks import Problem


@dataclass(frozen=True)
class PriorsConfig:
    """Prior knowledge of the prompts' success rates."""

    source: Literal["none", "rollouts", "levels"] = "none"
    """"rollouts": the pass rate of a checkpoint, measured before the run; "levels": by the order of the categories alone, the
    easiest near 1, the hardest near 0."""
    base: str = ""
    """Checkpoint of "rollouts", a weaker one perhaps; empty: the run's own base."""
    samples: Count = 4
    """Rollouts of each prompt for "rollouts"."""

    def __post_init__(self) -> None:
        validate(self)


def level_rates(problems: Sequence[Problem]) -> Floats:
    """Success rates (n,) that fall evenly with the rank of the category: (levels - rank - 1/2) / levels, in (0, 1).

    Example:
        >>> from edgewise.tasks import Problem
        >>> level_rates([Problem("a", "", "1", level) for level in ("2", "10", "2")]).tolist()
        [0.75, 0.25, 0.75]
    """
    names = sorted_labels([problem.category for problem in problems])
    rank = {name: place for place, name in enumerate(names)}
    ranks = np.array([rank[str(problem.category)] for problem in problems])
    return 1 - (ranks + 0.5) / len(names)


def measured_rates(roller: Roller, samples: int, seed: int, chunk: int = CHUNK) -> Floats:
    """Pass rates (n,) of a roller's problems, `chunk` completions at a time.

    They are the same in every process, and whenever the run begins anew.
    """
    generator = own_generator(roller.here.device, seed, 500_009)
    return evaluate(roller, samples, generator, chunk).successes / samples


__all__ = ["PriorsConfig", "level_rates", "measured_rates"]
