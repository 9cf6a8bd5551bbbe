"""Fit of edge's belief to the log of a run, by the likelihood of outcomes that were predicted before they came."""

from __future__ import annotations

import inspect
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgewise.checkpoint import write_json
from edgewise.errors import ConfigError
from edgewise.method import Method
from edgewise.replay.logs.command import reading_bar
from edgewise.replay.logs.folders import open_log
from edgewise.replay.logs.log import Floats, RunLog
from edgewise.replay.logs.savings import Z, variance_of_sum
from edgewise.selectors import selectors
from edgewise.statistics import LEVEL, Interval

GRID: dict[str, tuple[float, ...]] = {
    "drift": (0.02, 0.05, 0.1, 0.2, 0.4),
    "retention": (0.98, 0.99, 0.998, 1.0),
}
"""Options that are fitted, with the values that are tried; the defaults are always among them."""
BLOCKS = 5
"""Consecutive parts of the log: each but the first is predicted with the options that were best before it."""
WARM_UP = 0.1
"""Share of the log before which predictions are not scored: beliefs have to form first."""
FEWEST = 40
"""Steps from which options are fitted."""
CLIP = 1e-3
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Fit:
    """Options of edge for one log.

    Attributes:
        method: in one word, as every adapter and command takes it; "edge" where the defaults are as good.
        better: the held-out log loss is lower than that of the defaults, with an interval that excludes 0.
        gain: log loss of the defaults minus that of the fitted options, in nats a rollout, on outcomes later than all that
            chose the options.
        best: options with the lowest loss on the whole log.
        defaults: those of edge.
        losses: log loss in nats a rollout by options, of the whole log.
        chosen: options that predicted each block but the first.
    """

    method: str
    better: bool
    gain: Interval
    best: dict[str, float]
    defaults: dict[str, float]
    losses: list[tuple[dict[str, float], float]]
    chosen: list[dict[str, float]]


def fit(
    log: RunLog, *, grid: Mapping[str, Sequence[float]] | None = None, seed: int = 0, progress: Progress | None = None
) -> Fit:
    """Fit drift and retention of edge's belief, with cross-validation in time.

    The log is split into consecutive blocks. For each block but the first, the options with the lowest log loss before it
    predict it; the losses of these predictions, minus those of the defaults, are the held-out gain. Sharpness and exploration
    are left alone: they change what is chosen and not what is predicted.

    Args:
        log: of a run that names its prompts.
        grid: values of each option; `GRID` if None.
        seed: of the selectors.
        progress: called with the number of candidates done and in all.

    Raises:
        ConfigError: prompts are not named, or there are fewer than 40 steps.
    """
    if not log.named:
        raise ConfigError(f"{log.name} does not name its prompts, so nothing can be predicted about them")
    steps = len(log.starts[0])
    if steps < FEWEST:
        raise ConfigError(f"{log.name} holds {steps} steps; a fit needs at least {FEWEST}")
    tried = dict(grid if grid is not None else GRID)
    defaults = _defaults(tried)
    values = {name: sorted({*tried[name], defaults[name]}) for name in tried}
    candidates = [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    losses = np.empty((len(candidates), steps))
    for number, options in enumerate(candidates):
        losses[number] = _losses(log, options, seed)
        if progress is not None:
            progress(number + 1, len(candidates))
    default = candidates.index(defaults)
    rollouts = np.add.reduceat(log.trials, log.starts[1][:-1]).astype(np.float64)
    warm = int(WARM_UP * steps)
    edges = np.linspace(0, steps, BLOCKS + 1).round().astype(int)
    gains, choices = [], []
    for begin, end in itertools.pairwise(edges[1:].tolist()):
        chosen = int(losses[:, warm:begin].sum(axis=1).argmin())
        choices.append(candidates[chosen])
        gains.append(losses[default, begin:end] - losses[chosen, begin:end])
    gain = _mean(np.concatenate(gains), rollouts[edges[1] :])
    whole = losses[:, warm:].sum(axis=1) / rollouts[warm:].sum()
    best = candidates[int(whole.argmin())]
    better = bool(gain.low > 0) and best != defaults
    changed = {name: value for name, value in best.items() if value != defaults[name]}
    method = "".join(["edge", *(f":{name}={value:g}" for name, value in changed.items())]) if better else "edge"
    order = np.argsort(whole, kind="stable")
    by_loss = [(candidates[i], float(whole[i])) for i in order.tolist()]
    return Fit(method, better, gain, best, defaults, by_loss, choices)


def words(found: Fit) -> str:
    """The fit in plain words: a line of options, or that the defaults are as good."""
    gain = found.gain
    span = f"{gain.estimate:+.4f} nats a rollout ({gain.low:+.4f} to {gain.high:+.4f})"
    best = ", ".join(f"{name} {value:g}" for name, value in found.best.items())
    defaults = ", ".join(f"{name} {value:g}" for name, value in found.defaults.items())
    loss = {tuple(options.values()): value for options, value in found.losses}
    table = [
        f"  {value:.4f}  " + ", ".join(f"{name} {x:g}" for name, x in options.items())
        for options, value in found.losses[:5]
    ]
    table.append(f"  {loss[tuple(found.defaults.values())]:.4f}  {defaults} (defaults)")
    if found.better:
        first = (
            f"{found.method}\n\nPredictions with {best} were better than with the defaults ({defaults}): {span} on outcomes later than"
            " all that chose the options."
        )
    else:
        first = (
            f"{found.method}\n\nThe defaults ({defaults}) are as good: fitted options gain {span} on outcomes later than all that"
            " chose them, which is not clearly above 0."
        )
    return f"{first}\n\nLog loss over the whole log, in nats a rollout:\n" + "\n".join(table)


def main(
    logs: Path,
    *,
    columns: str | None = None,
    success: float | None = None,
    scale: tuple[float, float] | None = None,
    out: Path | None = None,
) -> None:
    """Fit edge's options and priors to the logs of a run; prints the method in one word, as every adapter takes it.

    Args:
        logs: of one run, as for replay.
        columns: role=column,... for names that are not recognised.
        success: reward from which on a rollout is correct; 0.5 for rewards in [0, 1].
        scale: the rewards that stand for 0 and for 1.
        out: also write the numbers as JSON.
    """
    reader = open_log(logs, columns=columns, success=success, scale=scale)
    with reading_bar("reading") as show:
        reader.poll(show)
    with reading_bar("fitting") as show:
        found = fit(reader.log, progress=show)
    print(words(found))
    if out is not None:
        write_json(out, json.loads(json.dumps({**vars(found), "gain": vars(found.gain)})))


def _defaults(grid: Mapping[str, Sequence[float]]) -> dict[str, float]:
    parameters = inspect.signature(selectors.get("edge")).parameters
    return {name: float(parameters[name].default) for name in grid}


def _losses(log: RunLog, options: dict[str, float], seed: int) -> Floats:
    """Log loss of the predictions of each step, summed over its rollouts, (T,)."""
    selector = Method("edge", "edge", options).make(log.pool, rollouts=int(np.median(log.trials)), seed=seed)
    steps, starts = log.starts
    losses = np.empty(len(steps))
    for t in range(len(steps)):
        part = slice(int(starts[t]), int(starts[t + 1]))
        rows, place = np.unique(log.rows[part], return_inverse=True)
        successes = np.bincount(place, log.successes[part]).astype(np.int64)
        trials = np.bincount(place, log.trials[part]).astype(np.int64)
        if t:
            selector.advance(max(int(steps[t] - steps[t - 1]), 1))
        predicted = np.clip(selector.predict(rows), CLIP, 1 - CLIP)
        losses[t] = -(successes * np.log(predicted) + (trials - successes) * np.log1p(-predicted)).sum()
        selector.observe(rows, successes, trials)
    return losses


def _mean(gains: Floats, rollouts: Floats) -> Interval:
    """Gain a rollout with its interval, from sums by step."""
    total = float(rollouts.sum())
    estimate = float(gains.sum()) / total
    half = Z * math.sqrt(variance_of_sum(gains - estimate * rollouts)) / total
    return Interval(estimate, estimate - half, estimate + half, LEVEL)
