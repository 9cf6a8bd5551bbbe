"""Fit of edge's options and priors to the log of a run, by outcomes that were predicted, or chosen, before they came.

What a log identifies, and how each part is decided:

- `drift` and `retention` change predictions: by the log loss of predictions made before the outcomes, unless a shadow with them
  clearly takes fewer informative groups.
- `sharpness` changes choices: by the effective ratio of a shadow that takes a quarter of the candidates of each step, where those are
  a uniform sample. What a narrower choice does to training later is not in the log, so a higher sharpness than the default is
  never taken; a lower one is, where it is clearly better.
- `exploration` pays now for outcomes that are used later. A shadow observes every outcome of the log whatever it chooses, so a log
  shows the price and not the gain: it stays at its default.
- priors: success rates at the end of the log, for a run that goes on from its policy: by the log loss of a fresh belief that
  starts from them, in later steps.

Every choice is held out in time: the log is split into consecutive blocks, and each is judged with what was best before it.
"""

from __future__ import annotations

import inspect
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgewise.errors import ConfigError
from edgewise.method import Method
from edgewise.pool import PromptPool
from edgewise.replay.logs.log import Flags, Floats, RunLog
from edgewise.replay.logs.savings import Z, how_drawn, variance_of_sum
from edgewise.replay.logs.shadow import Groups, follow, merged
from edgewise.selectors import Selector, selectors
from edgewise.statistics import LEVEL, Interval

GRID: dict[str, tuple[float, ...]] = {
    "drift": (0.02, 0.05, 0.1, 0.2, 0.4),
    "retention": (0.98, 0.99, 0.998, 1.0),
}
"""Options of the belief, with the values that are tried; the defaults are always among them."""
SHARPNESS = (1.0, 2.0, 4.0)
"""Values that are tried; above the default a log cannot show what is lost."""
STRENGTHS = (1.0, 4.0, 16.0)
"""Rollouts that a prior is worth, which are tried."""
SHARE = 0.25
"""Share of the candidates of a step that the shadow takes."""
BLOCKS = 5
"""Consecutive parts of the log: each but the first is judged with the options that were best before it."""
CARRIED = 0.6
"""Share of the log from whose end priors are taken; the rest judges them."""
WORTH = 0.005
"""Gain in nats a rollout from which other options are proposed: smaller ones, however clear, change no choice that matters."""
WARM_UP = 0.1
"""Share of the log before which predictions are not scored: beliefs have to form first."""
FEWEST = 40
"""Steps from which options are fitted."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Fit:
    """Options of edge for one log.

    Attributes:
        method: in one word, as every adapter and command takes it; "edge" where the defaults are as good.
        better: the held-out log loss is lower than that of the defaults, with an interval that excludes 0 and by `WORTH`, and a shadow
            with these options does not clearly take fewer informative groups.
        gain: log loss of the defaults minus that of the fitted options, in nats a rollout, on outcomes later than all that
            chose the options.
        best: drift and retention with the lowest loss on the whole log.
        defaults: those of edge.
        losses: log loss in nats a rollout by options, of the whole log.
        chosen: options that predicted each block but the first.
        sharpness: value in `method`.
        sharpness_gain: effective ratio with the sharpness that was best before, minus that with the default, held out.
        priors: success rates at the end of the log by id, of prompts that came in it.
        prior_strength: rollouts that a prior is worth; None where priors did not clearly help.
        prior_gain: log loss without priors minus that with them, in nats a rollout, held out.
        notes: what could not be fitted.
        rendered: the log holds prompts as verl rendered them and no ids, so the ids of the priors are none of its adapter's.
    """

    method: str
    better: bool
    gain: Interval
    best: dict[str, float]
    defaults: dict[str, float]
    losses: list[tuple[dict[str, float], float]]
    chosen: list[dict[str, float]]
    sharpness: float
    sharpness_gain: Interval
    priors: dict[str, float] = field(repr=False)
    prior_strength: float | None
    prior_gain: Interval
    notes: list[str] = field(default_factory=list)
    rendered: bool = False


def fit(
    log: RunLog, *, grid: Mapping[str, Sequence[float]] | None = None, seed: int = 0, progress: Progress | None = None
) -> Fit:
    """Fit edge's belief, sharpness and priors to a log, held out in time; see the module for what a log identifies.

    Args:
        log: of a run that names its prompts.
        grid: values of drift and retention; `GRID` if None.
        seed: of the selectors.
        progress: called with the number of candidates done and in all.

    Raises:
        ConfigError: prompts are not named, or there are fewer than 40 steps.
    """
    if not log.named:
        raise ConfigError(f"{log.name} does not name its prompts, so nothing can be predicted about them")
    groups = merged(log)
    steps = len(groups.steps)
    if steps < FEWEST:
        raise ConfigError(f"{log.name} holds {steps} steps; a fit needs at least {FEWEST}")
    tried = dict(grid if grid is not None else GRID)
    defaults = _defaults(tried)
    values = {name: sorted({*tried[name], defaults[name]}) for name in tried}
    candidates = [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    total = len(candidates) + len(SHARPNESS) + len(STRENGTHS) + 2
    count = itertools.count(1)

    def done() -> None:
        if progress is not None:
            progress(next(count), total)

    everything = np.ones(len(groups.rows), bool)
    losses = np.empty((len(candidates), steps))
    for number, options in enumerate(candidates):
        losses[number] = follow(_selector(log.pool, groups, options, seed), groups, everything).losses
        done()
    default = candidates.index(defaults)
    rollouts = np.add.reduceat(groups.trials, groups.starts[:-1]).astype(np.float64)
    held, chosen = _held_out(losses, int(WARM_UP * steps))
    gain = _mean(losses[default, held >= 0] - losses[held[held >= 0], np.flatnonzero(held >= 0)], rollouts[held >= 0])
    warm = int(WARM_UP * steps)
    whole = losses[:, warm:].sum(axis=1) / rollouts[warm:].sum()
    best = candidates[int(whole.argmin())]
    better = bool(gain.low > 0) and gain.estimate >= WORTH and best != defaults
    order = np.argsort(whole, kind="stable")
    scored, notes = _candidates(log, groups)
    if better and scored is not None:
        # Better predictions are for better choices: where they clearly choose fewer informative groups they are not worth it.
        fitted, plain = (_picked(log, groups, scored, options, seed) for options in (best, defaults))
        if _mean((fitted - plain)[:, 0], plain[:, 1]).high < 0:
            better = False
            shares = [f"{sums[:, 0].sum() / sums[:, 1].sum():.1%}" for sums in (fitted, plain)]
            notes.append(
                f"The fitted options predict better ({gain.estimate:+.4f} nats a rollout, {gain.low:+.4f} to {gain.high:+.4f}), but a"
                f" shadow with them takes fewer informative groups ({shares[0]} instead of {shares[1]}), so"
                " they are not proposed."
            )
    options = best if better else defaults
    sharpness, sharpness_gain = _sharpness(log, groups, scored, options, seed, done)
    strength, prior_gain = _prior_strength(log, groups, options, seed, done)
    changed = {name: value for name, value in options.items() if value != defaults[name]}
    if sharpness != _defaults({"sharpness": ()})["sharpness"]:
        changed["sharpness"] = sharpness
    return Fit(
        method="".join(["edge", *(f":{name}={value:g}" for name, value in changed.items())]),
        better=better,
        gain=gain,
        best=best,
        defaults=defaults,
        losses=[(candidates[i], float(whole[i])) for i in order.tolist()],
        chosen=[candidates[i] for i in chosen],
        sharpness=sharpness,
        sharpness_gain=sharpness_gain,
        priors=_rates(log, groups, options, seed, steps),
        prior_strength=strength,
        prior_gain=prior_gain,
        notes=notes,
        # Our mode of verl logs ids beside its marks, and a column that the user names may hold others.
        rendered=log.source == "verl"
        and log.uniform is None
        and all(re.fullmatch("[0-9a-f]{16}", str(name)) for name in log.ids[:8].tolist()),
    )


def _defaults(grid: Mapping[str, Sequence[float]]) -> dict[str, float]:
    parameters = inspect.signature(selectors.get("edge")).parameters
    return {name: float(parameters[name].default) for name in grid}


def _selector(pool: PromptPool, groups: Groups, options: Mapping[str, float], seed: int) -> Selector:
    return Method("edge", "edge", dict(options)).make(pool, rollouts=int(np.median(groups.trials)), seed=seed)


def _held_out(losses: Floats, warm: int) -> tuple[np.ndarray, list[int]]:
    """Candidate with the lowest loss before each block, by step (-1 in the first block), and by block.

    Args:
        losses: (candidates, steps).
        warm: steps that are not scored.
    """
    steps = losses.shape[1]
    edges = np.linspace(0, steps, BLOCKS + 1).round().astype(int)
    held, chosen = np.full(steps, -1), []
    for begin, end in itertools.pairwise(edges[1:].tolist()):
        chosen.append(int(losses[:, warm:begin].sum(axis=1).argmin()))
        held[begin:end] = chosen[-1]
    return held, chosen


def _candidates(log: RunLog, groups: Groups) -> tuple[Flags | None, list[str]]:
    """Groups among which choices can be scored, because they are a uniform sample; None and why where there are none."""
    sampling = how_drawn(log, groups)
    if sampling == "selected":
        return None, [
            "The run selected its prompts itself and marks none as random, so other choices cannot be scored on its log."
        ]
    part = sampling == "random share"
    scored = groups.random if part else np.ones(len(groups.rows), bool)
    if not np.round(SHARE * np.add.reduceat(scored, groups.starts[:-1])).any():
        return None, [f"{'The random share of a step' if part else 'A step'} is too small for choices among it."]
    return scored, []


def _picked(log: RunLog, groups: Groups, scored: Flags, options: Mapping[str, float], seed: int) -> Floats:
    """Informative picks, picks and their length of a shadow by step, (steps, 3)."""
    return follow(_selector(log.pool, groups, options, seed), groups, scored, [SHARE]).sums[SHARE]


def _sharpness(
    log: RunLog,
    groups: Groups,
    scored: Flags | None,
    options: Mapping[str, float],
    seed: int,
    done: Callable[[], None],
) -> tuple[float, Interval]:
    """Sharpness, and its held-out gain in effective ratio over the default; NaN where choices cannot be scored."""
    default = _defaults({"sharpness": ()})["sharpness"]
    if scored is None:
        for _ in SHARPNESS:
            done()
        return default, Interval()
    values = sorted({*SHARPNESS, default})
    found = []
    for value in values:
        found.append(_picked(log, groups, scored, {**options, "sharpness": value}, seed))
        done()
    informative, picks = np.array([sums[:, 0] for sums in found]), found[0][:, 1]
    warm = int(WARM_UP * len(picks))
    held, _ = _held_out(-informative, warm)
    part = np.flatnonzero(held >= 0)
    gain = _mean(informative[held[part], part] - informative[values.index(default), part], picks[part])
    best = values[int(informative[:, warm:].sum(axis=1).argmax())]
    return (best if gain.low > 0 else default), gain


def _rates(log: RunLog, groups: Groups, options: Mapping[str, float], seed: int, end: int) -> dict[str, float]:
    """Success rate that is believed after `end` steps, by id, of the prompts that came in them."""
    selector = _selector(log.pool, groups, options, seed)
    part = slice(0, int(groups.starts[end]))
    before = Groups(
        steps=groups.steps[:end],
        starts=groups.starts[: end + 1],
        **{
            name: getattr(groups, name)[part]
            for name in ("rows", "successes", "trials", "informative", "lengths", "random")
        },
    )
    follow(selector, before, np.zeros(part.stop, bool))
    rows = np.unique(groups.rows[part])
    return {
        str(identifier): round(float(rate), 4)
        for identifier, rate in zip(log.pool.ids[rows].tolist(), selector.predict(rows).tolist(), strict=True)
    }


def _prior_strength(
    log: RunLog, groups: Groups, options: Mapping[str, float], seed: int, done: Callable[[], None]
) -> tuple[float | None, Interval]:
    """Strength of priors from the first part of the log, chosen in the second and judged in the third."""
    steps = len(groups.steps)
    cut = round(CARRIED * steps)
    middle = (cut + steps) // 2
    known = _rates(log, groups, options, seed, cut)
    done()
    rates = np.array([known.get(str(identifier), math.nan) for identifier in log.pool.ids.tolist()])
    everything = np.ones(len(groups.rows), bool)
    labels = None
    if log.pool.has_categories:
        labels = np.array([None, *log.pool.category_names], object)[log.pool.category_index(np.arange(len(log.pool)))]
    losses = {}
    for strength in (0.0, *STRENGTHS):
        pool = PromptPool(log.pool.ids, labels, priors=rates if strength else None, prior_strength=strength or 4.0)
        losses[strength] = follow(_selector(pool, groups, options, seed), groups, everything, begin=cut).losses
        if strength:
            done()
    done()
    best = min(STRENGTHS, key=lambda strength: float(losses[strength][cut:middle].sum()))
    rollouts = np.add.reduceat(groups.trials, groups.starts[:-1]).astype(np.float64)
    gain = _mean((losses[0.0] - losses[best])[middle:], rollouts[middle:])
    return (best if gain.low > 0 else None), gain


def _mean(gains: Floats, weights: Floats) -> Interval:
    """Gain a rollout, or a pick, with its interval, from sums by step."""
    total = float(weights.sum())
    if not total:
        return Interval()
    estimate = float(gains.sum()) / total
    half = Z * math.sqrt(variance_of_sum(gains - estimate * weights)) / total
    return Interval(estimate, estimate - half, estimate + half, LEVEL)
