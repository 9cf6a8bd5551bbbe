"""Outcome of a group of rollouts: the four states that a prompt's last group can be in."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Rows


class Outcome(IntEnum):
    """What a prompt's last group showed; UNSEEN before its first."""

    UNSEEN = 0
    ALL_WRONG = 1
    MIXED = 2
    ALL_RIGHT = 3


def outcomes(successes: npt.NDArray[np.number], trials: npt.NDArray[np.number]) -> Rows:
    """`Outcome` of groups with `successes` of `trials` rollouts, int64 (n,)."""
    # ALL_WRONG, one more with a success, another with no failure.
    return 1 + (successes > 0).astype(np.int64) + (successes == trials)
