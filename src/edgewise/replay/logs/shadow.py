"""Shadow of a selector: it follows a log, chooses among the prompts of each step before their outcomes, then observes all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.replay.logs.log import Counts, Flags, Floats, RunLog
from edgewise.selectors import Selector

WHOLE_STEPS = 1000
"""Steps at most in which a selector chooses from the whole pool, spread over the log."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of distinct prompts by step; columns (groups,), `starts` (T + 1,)."""

    steps: Counts
    starts: Counts
    rows: Counts
    successes: Counts
    trials: Counts
    informative: Flags
    lengths: Floats
    random: Flags


def merged(log: RunLog) -> Groups:
    """Groups of one prompt in one step joined: it had a gradient if one of them had."""
    steps, index = np.unique(log.steps, return_inverse=True)
    keys, place = np.unique(index * max(len(log.ids), 1) + log.rows, return_inverse=True)
    n = len(keys)
    lengths = np.full(n, np.nan)
    if log.unit:
        lengths = np.bincount(place, np.maximum(log.lengths, 0), n).astype(np.float64)
    return Groups(
        steps=steps,
        starts=np.searchsorted(keys // max(len(log.ids), 1), np.arange(len(steps) + 1)),
        rows=keys % max(len(log.ids), 1),
        successes=np.bincount(place, log.successes, n).astype(np.int64),
        trials=np.bincount(place, log.trials, n).astype(np.int64),
        informative=np.bincount(place, ~log.silent, n) > 0,
        lengths=lengths,
        random=np.bincount(place, log.random, n) > 0,
    )


@dataclass(frozen=True, eq=False)
class Shadow:
    """What the choices of a selector would have brought.

    Attributes:
        sums: by share of the candidates (None: of the whole pool), (steps, 3): informative picks, scored picks, their length.
        base: the same of all candidates, (steps, 3).
        picks: number of picks by share, scored or not.
        losses: log loss of the predictions of each step, in nats, summed over its rollouts, (steps,).
    """

    sums: dict[float | None, Floats]
    base: Floats
    picks: dict[float | None, int]
    losses: Floats


CLIP = 1e-3
"""Predictions are kept this far from 0 and 1 in the log loss."""


def follow(
    selector: Selector,
    groups: Groups,
    scored: Flags,
    shares: Sequence[float | None] = (),
    progress: Callable[[int], None] | None = None,
    begin: int = 0,
) -> Shadow:
    """Let a selector follow the groups of a log.

    Args:
        selector: over the log's pool; it is changed.
        groups: of the log.
        scored: groups that are candidates, (groups,); all are observed.
        shares: of the candidates of a step that are chosen; None: as many from the whole pool.
        progress: called with the number of steps done.
        begin: first step; what is before it is neither scored nor observed.
    """
    steps = len(groups.steps)
    every = max(1, math.ceil(steps / WHOLE_STEPS))
    sums: dict[float | None, Floats] = {share: np.zeros((steps, 3)) for share in shares}
    picks = dict.fromkeys(shares, 0)
    base, losses = np.zeros((steps, 3)), np.zeros(steps)
    size = len(selector.pool)
    place = np.full(size, -1, np.int64)
    for t in range(begin, steps):
        part = slice(int(groups.starts[t]), int(groups.starts[t + 1]))
        rows, successes, trials = groups.rows[part], groups.successes[part], groups.trials[part]
        candidates = np.flatnonzero(scored[part])
        place[rows[candidates]] = candidates
        worth, lengths = groups.informative[part], groups.lengths[part]
        if t > begin:
            # Steps that the log leaves out have changed the policy too.
            selector.advance(max(int(groups.steps[t] - groups.steps[t - 1]), 1))
        base[t] = _sums(worth, lengths, candidates)
        for share in shares:
            if share is None:
                if t % every:
                    continue
                chosen = selector.select(min(len(rows), size), new_step=False)
            else:
                m = round(share * len(candidates))
                if not m:
                    continue
                chosen = selector.select(m, candidates=rows[candidates], new_step=False)
            found = place[chosen]
            picks[share] += len(chosen)
            sums[share][t] = _sums(worth, lengths, found[found >= 0])
        place[rows[candidates]] = -1
        predicted = np.clip(selector.predict(rows), CLIP, 1 - CLIP)
        losses[t] = -(successes * np.log(predicted) + (trials - successes) * np.log1p(-predicted)).sum()
        selector.observe(rows, successes, trials)
        if progress is not None and (t % 20 == 19 or t == steps - 1):
            progress(t + 1)
    return Shadow(sums, base, picks, losses)


def _sums(worth: Flags, lengths: Floats, positions: Counts) -> tuple[float, float, float]:
    return float(worth[positions].sum()), float(len(positions)), float(lengths[positions].sum())
