"""View of a run: everything that the terminal and the page show, as JSON values."""

from __future__ import annotations

import math
import re
import time
from typing import Any

import numpy as np

from edgewise.replay.logs import RunLog
from edgewise.replay.logs.savings import MATCHED, saved_interval, share_interval
from edgewise.replay.logs.states import STATES, states_over_time
from edgewise.statistics import Interval, calibration, calibration_error, mean_interval, spearman
from edgewise.watch.findings import findings

POINTS = 160
"""Points of a curve at most."""
SMOOTH = 200
"""Groups that a point of a curve averages at least, where the run has enough."""
RECENT = 2048
"""Groups that what holds at present is judged by."""
CATEGORIES = 40
"""Categories that are shown, the largest ones."""
TREND = 24
"""Points of the small line of a category."""


def view(log: RunLog, written: float | None = None) -> dict[str, Any]:
    """A run as JSON values; unknown numbers are None.

    Args:
        log: of the run.
        written: when its newest file was last written, in seconds since the epoch.
    """
    steps = log.starts[0] if len(log) else np.empty(0, np.int64)
    shown: dict[str, Any] = {
        "name": log.name,
        "source": log.source,
        "steps": [int(steps[0]), int(steps[-1])] if len(steps) else None,
        "groups": len(log),
        "rollouts": int(log.trials.sum()),
        "prompts": len(log.ids),
        "pool_size": log.pool_size,
        "rollouts_per_group": int(np.median(log.trials)) if len(log) else None,
        "unit": log.unit,
        "length": int(log.lengths.sum()) if log.unit else None,
        "idle": None if written is None else max(0.0, time.time() - written),
        "notes": log.notes,
    }
    if not len(log):
        return shown | {
            "headline": _numbers_only(log),
            "findings": [],
            "curves": _other(log),
            "pool": None,
            "categories": [],
            "calibration": None,
            "comparison": None,
        }
    comparison = _comparison(log)
    return shown | {
        "comparison": comparison,
        "headline": _headline(log, comparison),
        "findings": findings(log),
        "curves": _curves(log),
        "pool": _pool(log),
        "categories": _categories(log),
        "calibration": _calibration(log),
    }


def _comparison(log: RunLog) -> dict[str, Any]:
    """Effective ratio of the selected groups, of the random ones, and what the difference has saved."""
    informative, random = ~log.silent, log.random
    k = float(log.trials.mean())
    starts = log.starts[1][:-1]

    def by_step(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values.astype(np.float64), starts)

    chosen = by_step(~random), by_step(informative & ~random)
    result: dict[str, Any] = {
        "effective": _interval(share_interval(chosen[1], chosen[0])),
        "wasted_rollouts": int(log.trials[log.silent].sum()),
        "uniform": None,
        "saved_share": None,
        "saved_rollouts": None,
        "random_groups": int(random.sum()),
    }
    if log.unit:
        result["wasted_length"] = int(log.lengths[log.silent].sum())
    if random.sum() >= MATCHED:
        drawn = by_step(random), by_step(informative & random)
        result["uniform"] = _interval(share_interval(drawn[1], drawn[0]))
        saved = saved_interval(np.stack(chosen[::-1], axis=1), np.stack(drawn[::-1], axis=1), part=False)
        result["saved_share"] = _interval(saved)
        spent = float(log.trials[~random].sum())
        result["saved_rollouts"] = _rollouts(saved, spent)
    elif log.uniform_sample is not None and not log.uniform:
        uniform = mean_interval(log.uniform_sample, limits=(0.0, 1.0))
        result["uniform"], result["random_groups"] = _interval(uniform), 0
        saved = _saved_against(share_interval(chosen[1], chosen[0]), uniform)
        spent = float(log.trials.sum())
        result["saved_share"], result["saved_rollouts"] = _interval(saved), _rollouts(saved, spent)
    result["rollouts_per_group"] = k
    return result


def _saved_against(chosen: Interval, uniform: Interval) -> Interval:
    """1 - uniform / chosen of two independent ratios, by the delta method on the logarithm."""
    if not (chosen.estimate > 0 and uniform.estimate > 0 and math.isfinite(uniform.low)):
        return Interval()
    ratio = uniform.estimate / chosen.estimate
    widths = [(interval.high - interval.low) / 2 / interval.estimate for interval in (chosen, uniform)]
    spread = math.hypot(*widths)
    return Interval(1 - ratio, 1 - ratio * math.exp(spread), 1 - ratio * math.exp(-spread), uniform.coverage)


def _rollouts(saved: Interval, spent: float) -> dict[str, int | None]:
    """Rollouts saved: uniform sampling would have spent `spent` / (1 - saved) for as many groups with a gradient."""
    values = {name: getattr(saved, name) for name in ("estimate", "low", "high")}
    return {name: None if math.isnan(x) or x >= 1 else round(spent * x / (1 - x)) for name, x in values.items()}


def _headline(log: RunLog, comparison: dict[str, Any]) -> dict[str, str]:
    """One sentence on whether selection works, and its kind: gain, loss, unclear, uniform or alone."""
    effective = comparison["effective"]
    here = _span(effective)
    wasted = comparison["wasted_rollouts"] / max(int(log.trials.sum()), 1)
    if comparison["uniform"] is not None:
        saved, rollouts = comparison["saved_share"], comparison["saved_rollouts"]
        where = "of those drawn at random" if comparison["random_groups"] else "in a uniform sample of the pool"
        text = f"{here} of the selected groups had a gradient, {_span(comparison['uniform'])} {where}"
        if saved["low"] is not None and saved["low"] > 0:
            return {
                "kind": "gain",
                "text": f"Selection works: {text}. It has saved {rollouts['estimate']:,} rollouts so far"
                f" ({rollouts['low']:,} to {rollouts['high']:,}), {_span(saved)} of what uniform sampling needs.",
            }
        if saved["high"] is not None and saved["high"] < 0:
            return {"kind": "loss", "text": f"Selection does worse than chance: {text}."}
        return {"kind": "unclear", "text": f"No clear difference from uniform sampling yet: {text}."}
    if log.uniform:
        return {
            "kind": "uniform",
            "text": f"This run draws its prompts uniformly: {here} of its groups had a gradient, and {wasted:.0%} of its rollouts"
            " taught nothing. `edgewise replay` estimates what selection would have saved.",
        }
    return {
        "kind": "alone",
        "text": f"{here} of the groups had a gradient; {wasted:.0%} of the rollouts taught nothing. The log marks no prompts as"
        " drawn at random, so there is no uniform sample to compare with: random_share=0.05 gives one, and `edgewise replay`"
        " estimates savings for a run without selection.",
    }


def _numbers_only(log: RunLog) -> dict[str, str]:
    found = log.numbers.get("mean_effective_ratio") or log.numbers.get("effective_ratio")
    if found is None:
        return {"kind": "alone", "text": "Nothing has been recorded yet."}
    text = f"The effective ratio is {found[1][-1]:.0%} at step {found[0][-1]:.0f}."
    return {"kind": "alone", "text": text + " This log holds numbers by step and no groups; prompts cannot be shown."}


def _curves(log: RunLog) -> dict[str, Any]:
    """Curves over steps, thinned by averaging: effective ratio of selected and random groups, success rate, length."""
    random = log.random
    curves: dict[str, Any] = {"truncated": None, "length": None, "random_effective": None}
    points = int(np.clip(len(log) // SMOOTH, 12, POINTS))
    curves["step"], (curves["effective"], curves["success"], length, truncated) = _thinned(
        log,
        points,
        (~log.silent & ~random, ~random),
        (log.successes, log.trials),
        (log.lengths, log.trials),
        (np.maximum(log.truncated, 0), log.trials),
    )
    if log.unit:
        curves["length"] = length
    if (log.truncated >= 0).any():
        curves["truncated"] = truncated
    if random.any():
        points = int(np.clip(random.sum() // (SMOOTH // 4), 6, POINTS))
        curves["random_step"], (curves["random_effective"],) = _thinned(log, points, (~log.silent & random, random))
    return curves | _other(log)


def _thinned(
    log: RunLog, points: int, *shares: tuple[np.ndarray, np.ndarray]
) -> tuple[list[float], list[list[float | None]]]:
    """Middle steps of parts of the run, and in each the sum of the first values over that of the second."""
    edges = _edges(log, points)
    starts, steps = log.starts[1][edges[:-1]], log.starts[0]
    middle = (steps[edges[:-1]] + steps[edges[1:] - 1]) / 2
    curves = []
    for above, below in shares:
        sums = [np.add.reduceat(values.astype(np.float64), starts) for values in (above, below)]
        with np.errstate(invalid="ignore", divide="ignore"):
            curves.append(_list(sums[0] / sums[1]))
    return [round(float(x), 1) for x in middle], curves


def _other(log: RunLog) -> dict[str, Any]:
    """Curves that the run wrote itself."""
    found = {}
    for name in ("mean_effective_ratio", "effective_ratio", "accuracy", "reward"):
        if name in log.numbers and not (name == "effective_ratio" and len(log)):
            steps, values = log.numbers[name]
            keep = np.unique(np.linspace(0, len(steps) - 1, min(POINTS, len(steps))).round().astype(int))
            found[name] = {"step": _list(steps[keep]), "value": _list(values[keep])}
    return {"numbers": found}


def _edges(log: RunLog, points: int = POINTS) -> np.ndarray:
    """Positions in the distinct steps that bound the parts of a thinned curve."""
    count = len(log.starts[0])
    return np.unique(np.linspace(0, count, min(points, count) + 1).round().astype(np.int64))


def _pool(log: RunLog) -> dict[str, Any] | None:
    if not log.named:
        return None
    steps, counts = states_over_time(log)
    return {
        "step": steps.tolist(),
        "counts": {name: counts[:, i].tolist() for i, name in enumerate(STATES)},
        "whole": log.pool_size is not None,
    }


def _categories(log: RunLog) -> list[dict[str, Any]]:
    """By category: prompts, share of the recent picks, predicted and observed success rate, effective ratio, trends."""
    names = log.category_names
    if not names or not log.codes.any():
        return []
    size = len(names) + 1
    prompts = np.bincount(log.prompt_codes, minlength=size) if len(log.prompt_codes) else np.zeros(size, np.int64)
    recent = slice(max(0, len(log) - RECENT), None)
    codes = log.codes[recent]
    picks = np.bincount(codes, minlength=size)
    trials = np.bincount(codes, log.trials[recent], size)
    successes = np.bincount(codes, log.successes[recent], size)
    informative = np.bincount(codes, ~log.silent[recent], size)
    known = np.isfinite(log.predicted[recent])
    predicted = np.bincount(codes[known], log.predicted[recent][known], size)
    predictions = np.bincount(codes[known], minlength=size)
    edges = _edges(log, TREND)
    bins = np.repeat(np.arange(len(edges) - 1), np.diff(log.starts[1][edges]))
    table = size * bins + log.codes
    length = size * (len(edges) - 1)
    grid = np.stack(
        [
            np.bincount(table, values, length).reshape(-1, size)
            for values in (log.successes, log.trials, np.ones(len(log)))
        ]
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        rate, share = grid[0] / grid[1], grid[2] / grid[2].sum(axis=1, keepdims=True)
    total = np.bincount(log.codes, minlength=size)
    order = [code for code in np.argsort(-total, kind="stable").tolist() if code and total[code]][:CATEGORIES]
    order.sort(key=lambda code: _natural(names[code - 1]))
    return [
        {
            "name": names[code - 1],
            "prompts": int(prompts[code]) or None,
            "pool_share": float(prompts[code] / prompts.sum()) if prompts.sum() else None,
            "picks_share": float(picks[code] / max(picks.sum(), 1)),
            "groups": int(total[code]),
            "predicted": _or_none(predicted[code], predictions[code]),
            "observed": _or_none(successes[code], trials[code]),
            "effective": _or_none(informative[code], picks[code]),
            "observed_trend": _list(rate[:, code]),
            "picks_trend": _list(share[:, code]),
        }
        for code in order
    ]


def _natural(text: str) -> list[tuple[bool, int, str]]:
    """Sort key that puts "level 9" before "level 10"."""
    parts = re.split(r"([0-9]{1,15})", text)
    return [(False, int(part), "") if i % 2 else (True, 0, part) for i, part in enumerate(parts)]


def _calibration(log: RunLog) -> dict[str, Any] | None:
    """Predictions against outcomes of the last quarter of the run, at least of the recent groups; random ones apart."""
    known = np.flatnonzero(np.isfinite(log.predicted))
    if len(known) < 20:
        return None
    known = known[-max(RECENT, len(known) // 4) :]
    result: dict[str, Any] = {}
    for name, part in (("selected", known[~log.random[known]]), ("random", known[log.random[known]])):
        if len(part) < 20:
            continue
        p, s, k = log.predicted[part], log.successes[part], log.trials[part]
        bins = calibration(p, s, k)
        full = bins["trials"] > 0
        result[name] = {
            "predicted": _list(bins["predicted"][full]),
            "observed": _list(bins["observed"][full]),
            "rollouts": [int(x) for x in bins["trials"][full]],
            "error": round(calibration_error(p, s, k), 4),
            "spearman": _finite(spearman(p, s / k)),
            "groups": len(part),
        }
    return result or None


def _interval(interval: Interval) -> dict[str, float | None]:
    return {name: _finite(getattr(interval, name)) for name in ("estimate", "low", "high")}


def _span(interval: dict[str, float | None]) -> str:
    estimate, low, high = interval["estimate"], interval["low"], interval["high"]
    if estimate is None:
        return "an unknown share"
    if low is None or high is None:
        return f"{estimate:.0%}"
    return f"{estimate:.0%} ({low * 100:.0f} to {high * 100:.0f})"


def _or_none(above: float, below: float) -> float | None:
    return round(float(above / below), 4) if below else None


def _finite(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None


def _list(values: np.ndarray) -> list[float | None]:
    return [round(x, 4) if math.isfinite(x) else None for x in np.asarray(values, np.float64).tolist()]
