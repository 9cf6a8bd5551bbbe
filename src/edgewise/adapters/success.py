"""When a rollout counts as correct: by the reward itself, from a threshold on, or by a function of the user's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.errors import RewardError

Floats = npt.NDArray[np.float64]


def outcomes(rewards: Floats, threshold: float | None, ids: np.ndarray) -> Floats:
    """Rewards in [0, 1] that a curriculum can be told, (n,): 0 or 1 by the threshold, or as they are without one.

    Args:
        rewards: of each rollout, (n,).
        threshold: a reward of at least this is correct; None: the curriculum itself judges rewards in [0, 1].
        ids: the prompt of each rollout, (n,), for messages.

    Raises:
        RewardError: a reward that is no number, or outside [0, 1] without a threshold.
    """
    if threshold is None:
        bad, expected = np.flatnonzero(~((rewards >= 0) & (rewards <= 1))), "outside [0, 1]"
    else:
        bad, expected = np.flatnonzero(np.isnan(rewards)), "which is no number"
    if bad.size:
        raise RewardError(
            f"prompt {ids[bad[0]].item()!r} has reward {rewards[bad[0]]}, {expected}: say when a rollout is correct with"
            " success=, as a threshold or a function"
        )
    return rewards if threshold is None else (rewards >= threshold).astype(np.float64)


def verdicts(correct: Any, n: int) -> Floats:
    """What a user's success function returned for n rollouts, as rewards 0 and 1, (n,).

    Raises:
        RewardError: it is not n bools.
    """
    given = np.asarray(correct)
    if given.shape != (n,) or given.dtype.kind != "b":
        raise RewardError(f"success must return {n} bools, one a rollout; got {given.dtype} of shape {given.shape}")
    return given.astype(np.float64)
