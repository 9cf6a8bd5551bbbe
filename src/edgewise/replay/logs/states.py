"""State of every prompt over time, by its last group."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgewise.replay.logs.log import RunLog

STATES = ("unseen", "hopeless", "edge", "mastered", "forgotten")
"""By the last group: none yet; all wrong, and no rollout was ever correct; mixed; all right; all wrong after a correct rollout."""
Counts = npt.NDArray[np.integer]


def states_over_time(log: RunLog, points: int = 80) -> tuple[Counts, Counts]:
    """How many prompts are in each state.

    Args:
        log: of a run that names its prompts.
        points: steps at most at which they are counted.

    Returns:
        Steps (p,), and counts (p, 5) in the order of `STATES`.
    """
    steps, starts = log.starts
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(points, len(steps))).round().astype(np.int64))
    size = max(log.pool_size or 0, len(log.ids))
    state = np.zeros(size, np.int8)
    solved = np.zeros(size, bool)
    counts = np.empty((len(chosen), len(STATES)), np.int64)
    begin = 0
    for position, index in enumerate(chosen.tolist()):
        end = int(starts[index + 1])
        rows, successes, trials = log.rows[begin:end], log.successes[begin:end], log.trials[begin:end]
        begin = end
        solved[rows[successes > 0]] = True
        # Of several groups of one prompt the last assignment holds, and groups are in the order of steps.
        state[rows] = np.where(successes == 0, 1, np.where(successes == trials, 3, 2))
        now = np.bincount(state, minlength=4)
        forgotten = int(((state == 1) & solved).sum())
        counts[position] = [now[0], now[1] - forgotten, now[2], now[3], forgotten]
    return steps[chosen], counts


def state_of(successes: Counts, trials: Counts) -> str:
    """State of one prompt by its groups, oldest first."""
    if not len(trials):
        return STATES[0]
    if 0 < successes[-1] < trials[-1]:
        return "edge"
    if successes[-1] == trials[-1]:
        return "mastered"
    return "forgotten" if successes.any() else "hopeless"
