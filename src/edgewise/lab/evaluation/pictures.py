"""Check that pictures are used: accuracy on the same problems with blank pictures in their place."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch

from edgewise.lab.evaluation.rollouts import Roller, evaluate
from edgewise.lab.model.policy import Policy
from edgewise.lab.run.parallel import ALONE, World
from edgewise.tasks import Problem

MOST = 128
"""Problems that are rolled out."""


@dataclass(frozen=True)
class PictureCheck:
    """pass@1 on the same problems with their pictures and with blank ones.

    A model that reads the pictures loses most of its accuracy without them; what is left can be guessed from the text.
    """

    problems: int
    accuracy: float
    accuracy_without_pictures: float

    def to_json(self) -> dict[str, float | int]:
        """Plain values."""
        return asdict(self)


def blank_roller(held_out: Roller) -> Roller | None:
    """A roller of up to 128 of the same problems, evenly spaced, with blank pictures; None if they have no pictures."""
    chosen = _spread(held_out.problems)
    if not chosen:
        return None
    return Roller(
        held_out.policy, chosen, held_out.max_new_tokens, held_out.temperature, held_out.here, without_pictures=True
    )


def check_pictures(
    policy: Policy,
    problems: list[Problem],
    max_new_tokens: int,
    temperature: float,
    samples: int,
    generator: torch.Generator,
    here: World = ALONE,
) -> PictureCheck | None:
    """Accuracy on up to 128 of the problems, evenly spaced, with and without their pictures; None if they have none.

    Args:
        policy: the model.
        problems: held-out problems.
        max_new_tokens, temperature: of generation.
        samples: rollouts of each problem.
        generator: source of the samples.
        here: the process.
    """
    chosen = _spread(problems)
    if not chosen:
        return None
    seen, blank = (
        evaluate(
            Roller(policy, chosen, max_new_tokens, temperature, here, without_pictures=without), samples, generator
        ).accuracy()
        for without in (False, True)
    )
    return PictureCheck(len(chosen), seen, blank)


def _spread(problems: list[Problem]) -> list[Problem]:
    """Up to 128 of the problems that have pictures, evenly spaced."""
    pictured = [problem for problem in problems if problem.images]
    rows = np.unique(np.linspace(0, len(pictured) - 1, MOST).astype(int)).tolist() if pictured else []
    return [pictured[row] for row in rows]
