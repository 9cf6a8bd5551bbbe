"""What a comparison showed: steps and rollouts to the target, paired by seed, with 95% intervals."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from edgewise.errors import ConfigError
from edgewise.lab.run.config import read_yaml
from edgewise.lab.run.journal import read
from edgewise.statistics import spearman

Series = list["float | None"]
SMOOTH = 3
TARGET_RULE = (
    "accuracy is smoothed over three evaluations in a row; the target of a seed is the mean of uniform's last three"
    " evaluations; a method has reached it where its smoothed accuracy first does, interpolated between evaluations"
)


def summarise(folder: Path) -> dict[str, Any]:
    """Summary of a comparison folder, finished or not; a run that is missing or did not reach the target is null."""
    config = read_yaml(folder / "config.yaml")
    if "methods" not in config or "seeds" not in config:
        raise ConfigError(f"{folder} does not hold a comparison")
    methods, seeds, run = config["methods"], config["seeds"], config["run"]
    targets = [_target(folder / "uniform" / f"seed_{seed}") for seed in seeds]
    table: dict[str, dict[str, Any]] = {}
    for method in methods:
        runs = [_Run.read(folder / method / f"seed_{seed}") for seed in seeds]
        reached = [r.reach(t) if r and t is not None else (None, None) for r, t in zip(runs, targets, strict=True)]
        table[method] = {
            "steps_to_target": interval([step for step, _ in reached]),
            "rollouts_to_target": interval([rollouts for _, rollouts in reached]),
            "effective_ratio": interval([r.effective_ratio if r else None for r in runs]),
            "spearman": interval([r.spearman_probe if r else None for r in runs]),
            "spearman_selected": interval([r.spearman_selected if r else None for r in runs]),
            "final_accuracy": interval([r.final_accuracy if r else None for r in runs]),
            "rollouts": interval([r.rollouts if r else None for r in runs]),
            "wall_seconds": interval([r.seconds if r else None for r in runs]),
            "selection_share": interval([r.selection_share if r else None for r in runs]),
        }
    speedup = {m: ratio(table, "uniform", m, "steps_to_target") for m in methods if "uniform" in table}
    return {
        "task": run["base"],
        "seeds": seeds,
        "methods": table,
        "speedup_vs_uniform": speedup,
        "rollouts_vs_ds": {m: ratio(table, m, "ds", "rollouts_to_target") for m in methods if "ds" in table},
        "rollouts_vs_uniform": {
            m: ratio(table, m, "uniform", "rollouts_to_target") for m in methods if "uniform" in table
        },
        "recovered_gain": _recovered(speedup),
        "setting": _setting(folder, run, table, seeds),
    }


def interval(values: Series) -> dict[str, Any]:
    """Mean with a 95% Student interval over seeds, (mean, low, high) null unless every seed has a value.

    The median counts a missing value as worse than all others, and is null if that makes it infinite.
    """
    present = [value for value in values if value is not None]
    middle = float(np.median([math.inf if value is None else value for value in values]))
    result: dict[str, Any] = {
        "mean": None,
        "low": None,
        "high": None,
        "median": middle if math.isfinite(middle) else None,
    }
    if len(present) == len(values):
        mean, half = float(np.mean(present)), _half_width(present)
        result.update(
            mean=mean, low=mean - half if half is not None else None, high=mean + half if half is not None else None
        )
    return {**result, "values": values, "reached": len(present)}


def ratio(table: dict[str, Any], above: str, below: str, key: str) -> dict[str, Any]:
    """above / below, paired by seed: geometric mean with a 95% Student interval on the logarithm.

    The median takes a target that was not reached for infinitely far away, and is null if that makes it 0, infinite or unknown.
    """
    pairs = list(zip(table[above][key]["values"], table[below][key]["values"], strict=True))
    values = [a / b if a is not None and b else None for a, b in pairs]
    logs = interval([None if value is None else math.log(value) for value in values])
    result: dict[str, Any] = {
        name: None if logs[name] is None else math.exp(logs[name]) for name in ("mean", "low", "high")
    }
    ends = [math.nan if a is b is None else math.inf if a is None else 0.0 if not b else a / b for a, b in pairs]
    middle = float(np.median(ends))
    result["median"] = middle if 0 < middle < math.inf else None
    return {**result, "values": values, "reached": logs["reached"]}


def _half_width(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    return float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))


class _Run:
    """The numbers of one finished or unfinished run."""

    def __init__(self, metrics: list[dict[str, Any]], evals: list[dict[str, Any]]):
        self.steps = np.array([line["step"] for line in evals], float)
        self.counts = np.array([line["rollouts"] for line in evals], float)
        self.accuracy = np.array([line["accuracy"] for line in evals])
        self.final_accuracy = float(self.accuracy[-SMOOTH:].mean())
        last = metrics[-1]
        self.rollouts, self.seconds = int(last["rollouts"]), float(last["seconds"])
        self.selection_share = sum(line["select_seconds"] for line in metrics) / self.seconds
        groups = sum(line["groups"] for line in metrics)
        self.effective_ratio = sum(line["effective_ratio"] * line["groups"] for line in metrics) / groups
        # The last three quarters: before, no selector can know anything.
        late = metrics[len(metrics) // 4 :]
        self.spearman_selected = _mean_defined([_correlation(line) for line in late])
        probes = [line["probe"] for line in evals if line["step"] > last["step"] / 4]
        self.spearman_probe = _mean_defined([_correlation(probe) for probe in probes])

    @classmethod
    def read(cls, folder: Path) -> _Run | None:
        if not (folder / "summary.json").exists():
            return None
        return cls(read(folder / "metrics.jsonl"), read(folder / "evals.jsonl"))

    def reach(self, target: float) -> tuple[float | None, float | None]:
        """(steps, rollouts) at which the smoothed accuracy first reaches the target; (None, None) if never."""
        smooth = np.convolve(self.accuracy, np.full(SMOOTH, 1 / SMOOTH), "valid")
        above = np.flatnonzero(smooth >= target - 1e-12)
        if not above.size:
            return None, None
        first = int(above[0])
        now = first + SMOOTH - 1
        if first == 0:
            return float(self.steps[now]), float(self.counts[now])
        share = (target - smooth[first - 1]) / (smooth[first] - smooth[first - 1])
        steps, counts = self.steps, self.counts
        return (
            float(steps[now - 1] + share * (steps[now] - steps[now - 1])),
            float(counts[now - 1] + share * (counts[now] - counts[now - 1])),
        )


def _target(folder: Path) -> float | None:
    run = _Run.read(folder)
    return run.final_accuracy if run else None


def _correlation(scored: dict[str, Any]) -> float:
    rates = np.array(scored["successes"]) / np.array(scored["trials"])
    return spearman(scored["predicted"], rates)


def _mean_defined(values: list[float]) -> float | None:
    """Mean of the values that exist: a step whose predictions are all equal has no correlation."""
    defined = [value for value in values if math.isfinite(value)]
    return float(np.mean(defined)) if defined else None


def _recovered(speedup: dict[str, Any]) -> dict[str, float | None]:
    """(speed-up - 1) / (dynamic sampling's speed-up - 1), from medians."""
    limit = speedup.get("ds", {}).get("median")
    result: dict[str, float | None] = {}
    for method, value in speedup.items():
        known = value["median"] is not None and limit is not None and limit > 1
        result[method] = (value["median"] - 1) / (limit - 1) if known else None
    return result


def _setting(folder: Path, run: dict[str, Any], table: dict[str, Any], seeds: list[int]) -> dict[str, Any]:
    pool, evaluation = run["pool"], run["evaluation"]
    uniform = table.get("uniform", {}).get("effective_ratio", {}).get("mean")
    return {
        "task": run["base"],
        "pool_size": pool["size"],
        "pool_difficulty": pool["difficulty"],
        "pool_mix": _pool_mix(folder, table, seeds),
        "labels": pool["labels"],
        "prompts_per_step": run["prompts"],
        "rollouts_per_prompt": run["rollouts"],
        "steps": run["steps"],
        "visits_per_prompt": run["steps"] * run["prompts"] / pool["size"],
        "uniform_effective_ratio": uniform,
        "learning_rate": run["learning_rate"],
        "eval_problems": evaluation["problems"],
        "eval_samples": evaluation["samples"],
        "target_rule": TARGET_RULE,
    }


def _pool_mix(folder: Path, table: dict[str, Any], seeds: list[int]) -> dict[str, int]:
    """Prompts by category, of the first finished run."""
    for method in table:
        for seed in seeds:
            path = folder / method / f"seed_{seed}" / "summary.json"
            if path.exists():
                return dict(json.loads(path.read_text())["pool"])
    return {}
