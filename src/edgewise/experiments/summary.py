"""Summary of a comparison: measures of every method over seeds, and ratios between methods paired by seed.

`summarise` computes it from the folders of the runs, `Summary.to_json` is the content of summary.json, and pages and tables
read it back with `Summary.from_json`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgewise.errors import ConfigError
from edgewise.experiments import target
from edgewise.experiments.folders import (
    Floats,
    Line,
    Run,
    mapping,
    number,
    numbers,
    read_config,
    read_run,
    strings,
)
from edgewise.statistics import Interval, mean_interval, median_interval, median_ratio, spearman

SHARES = ("effective_ratio", "final_accuracy", "selection_share")
"""Measures that lie in [0, 1]."""
WAITS = ("steps_to_target", "rollouts_to_target")
"""Measures that are infinite where the target was not reached: their interval is that of the median."""
RATIOS: dict[str, tuple[Literal["steps", "rollouts"], str]] = {
    "speedup_vs_uniform": ("steps", "uniform"),
    "rollouts_vs_ds": ("rollouts", "ds"),
    "rollouts_vs_uniform": ("rollouts", "uniform"),
}
"""Name of a ratio -> what is compared, and with which method."""


@dataclass(frozen=True)
class Spread:
    """One measure over seeds.

    Attributes:
        mean, median: NaN where a seed is missing; the mean is infinite where a target was not reached in some seed.
        low, high: 95% interval; of the median for waiting times, of the mean otherwise; NaN without one.
        values: one a seed; NaN: the run is missing or the measure undefined; infinite: the target was not reached.
    """

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    median: float = math.nan
    values: tuple[float, ...] = ()

    @classmethod
    def over(cls, values: Sequence[float], name: str = "") -> Spread:
        """The spread of a measure's values by seed."""
        limits = (0.0, 1.0) if name in SHARES else (-1.0, 1.0) if name.startswith("spearman") else (-math.inf, math.inf)
        middle = median_interval(values)
        found = middle if name in WAITS else mean_interval(values, limits)
        mean = float(np.mean(values)) if len(values) else math.nan
        return cls(mean, found.low, found.high, middle.estimate, tuple(values))

    @property
    def reached(self) -> int:
        """Seeds with a finite value."""
        return sum(math.isfinite(value) for value in self.values)

    @property
    def known(self) -> bool:
        return math.isfinite(self.mean)

    @property
    def has_interval(self) -> bool:
        return not (math.isnan(self.low) or math.isnan(self.high))


@dataclass(frozen=True)
class Ratio:
    """A method against another, paired by seed: median of the ratios over seeds, 1 = no difference.

    Attributes:
        of: "steps": the other's steps to the target over the method's, a speed-up; "rollouts": the method's rollouts to the
            target over the other's.
        median, low, high: infinite or 0 where one of the two did not reach the target in so many seeds; the interval is NaN
            for fewer than five seeds.
        coverage: of the interval: 0.9375 with five seeds, at least 0.95 with more.
        values: one a seed; 1 where neither reached the target; NaN: a run is missing, and the seed is left out.
        reached, other_reached: seeds in which the method, and the other, reached the target.
    """

    method: str
    other: str
    of: Literal["steps", "rollouts"]
    median: float = math.nan
    low: float = math.nan
    high: float = math.nan
    coverage: float = math.nan
    values: tuple[float, ...] = ()
    reached: int = 0
    other_reached: int = 0

    @classmethod
    def between(cls, method: str, other: str, of: Literal["steps", "rollouts"], own: Spread, others: Spread) -> Ratio:
        """The ratio of two waiting times over the seeds in which both were run."""
        both = ~np.isnan(np.array(own.values) + np.array(others.values))
        waits = np.array(own.values)[both], np.array(others.values)[both]
        found, ratios = median_ratio(*(reversed(waits) if of == "steps" else waits))
        values = np.full(len(both), np.nan)
        values[both] = ratios
        reached = (int(np.isfinite(part).sum()) for part in waits)
        return cls(
            method,
            other,
            of,
            found.estimate,
            found.low,
            found.high,
            found.coverage,
            tuple(values.tolist()),
            *reached,
        )

    @property
    def seeds(self) -> int:
        """Seeds in which both methods were run."""
        return sum(not math.isnan(value) for value in self.values)

    @property
    def known(self) -> bool:
        return not math.isnan(self.median)

    @property
    def has_interval(self) -> bool:
        return not (math.isnan(self.low) or math.isnan(self.high))

    @property
    def interval(self) -> Interval:
        """The median with its limits."""
        return Interval(self.median, self.low, self.high, self.coverage)

    @property
    def waits_known(self) -> bool:
        """Whether one of the two reached the target in more than half of the seeds; otherwise neither wait has a median."""
        return 2 * max(self.reached, self.other_reached) > self.seeds

    @property
    def evidence(self) -> Literal["gain", "loss", "unclear", "few", "unknown"]:
        """Whether the interval excludes 1; "few": fewer than five seeds; "unknown": no seed has both runs."""
        if not self.known:
            return "unknown"
        if not self.has_interval:
            return "few"
        if self.low <= 1 <= self.high:
            return "unclear"
        return "gain" if (self.low > 1) == (self.of == "steps") else "loss"


@dataclass(frozen=True)
class Summary:
    """Everything that a comparison measured.

    Attributes:
        task: base checkpoint.
        seeds: as the config lists them.
        methods: measures by method.
        ratios: by name (see `RATIOS`), then by method.
        target: mean target accuracy over seeds; NaN if there is none.
        recovered_gain: (speed-up - 1) / (dynamic sampling's speed-up - 1) from medians, by method; NaN where unknown.
        setting: what was run, as JSON values.
    """

    task: str = ""
    seeds: tuple[str, ...] = ()
    methods: dict[str, dict[str, Spread]] = field(default_factory=dict)
    ratios: dict[str, dict[str, Ratio]] = field(default_factory=dict)
    target: float = math.nan
    recovered_gain: dict[str, float] = field(default_factory=dict)
    setting: dict[str, Any] = field(default_factory=dict)

    def measure(self, method: str, key: str) -> Spread:
        """A measure of a method; all NaN where there is none."""
        return self.methods.get(method, {}).get(key, Spread())

    def ratio(self, name: str, method: str) -> Ratio:
        """A ratio by its name in `RATIOS`; NaN where there is none."""
        of, other = RATIOS[name]
        return self.ratios.get(name, {}).get(method, Ratio(method, other, of))

    def to_json(self) -> dict[str, Any]:
        """JSON values: null for unknown, "inf" for a target that was not reached."""
        table = {
            method: {
                key: {**_fields(spread, ("mean", "low", "high", "median", "values")), "reached": spread.reached}
                for key, spread in measures.items()
            }
            for method, measures in self.methods.items()
        }
        kept = ("median", "low", "high", "coverage", "values", "reached", "other_reached")
        ratios = {
            name: {method: _fields(ratio, kept) for method, ratio in self.ratios.get(name, {}).items()}
            for name in RATIOS
        }
        return {
            "task": self.task,
            "seeds": list(self.seeds),
            "target": _plain(self.target),
            "methods": table,
            **ratios,
            "recovered_gain": {method: _plain(value) for method, value in self.recovered_gain.items()},
            "setting": _plain(self.setting),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], place: str = "summary.json") -> Summary:
        """A summary from the content of summary.json; `ConfigError` names the key that is not what it should be."""
        methods = {
            method: {
                key: _spread(found, f"{place}: methods: {method}: {key}")
                for key, found in mapping(measures, f"{place}: methods: {method}").items()
            }
            for method, measures in mapping(values.get("methods"), f"{place}: methods").items()
        }
        ratios = {
            name: {
                method: _ratio(found, method, name, f"{place}: {name}: {method}")
                for method, found in mapping(values.get(name), f"{place}: {name}").items()
            }
            for name in RATIOS
        }
        return cls(
            str(values.get("task") or ""),
            tuple(strings(values.get("seeds"), f"{place}: seeds")),
            methods,
            ratios,
            number(values.get("target"), f"{place}: target"),
            numbers(values.get("recovered_gain"), f"{place}: recovered_gain"),
            mapping(values.get("setting"), f"{place}: setting"),
        )


def summarise(folder: Path, seeds: Sequence[int] | None = None) -> Summary:
    """Summary of a comparison folder, finished or not.

    Args:
        folder: of the comparison.
        seeds: those that count; None: all that its configuration lists.

    Raises:
        ConfigError: the folder holds no comparison.
        CheckpointError: a finished run is damaged; the message names the file.
    """
    config = read_config(folder)
    forms = {"methods": list, "seeds": list, "run": dict}
    if not all(isinstance(config.get(name), form) for name, form in forms.items()) or not all(
        isinstance(method, str) for method in config["methods"]
    ):
        raise ConfigError(f"{folder} does not hold a comparison: its config.yaml lists no methods and seeds")
    seeds = config["seeds"] if seeds is None else seeds
    methods = arms(config["methods"], config.get("placebo", False))
    runs = {method: [_finished(folder / method / f"seed_{seed}") for seed in seeds] for method in methods}
    numbers_of = {method: [measures(run) if run else {} for run in row] for method, row in runs.items()}
    uniform = numbers_of.get("uniform", [])
    gain = target.wanted_gain(*([row.get(key, math.nan) for row in uniform] for key in ("before", "final_accuracy")))
    for method, row in numbers_of.items():
        for run, found in zip(runs[method], row, strict=True):
            if run:
                found.update(waits(run, found["before"] + gain))
    names = list(dict.fromkeys(key for row in numbers_of.values() for found in row for key in found if key != "before"))
    table = {
        method: {name: Spread.over([found.get(name, math.nan) for found in row], name) for name in names}
        for method, row in numbers_of.items()
    }
    ratios = {
        name: {
            method: Ratio.between(method, other, of, table[method][f"{of}_to_target"], table[other][f"{of}_to_target"])
            for method in methods
            if method != other and f"{of}_to_target" in table[method]
        }
        for name, (of, other) in RATIOS.items()
        if other in table
    }
    starts = [row["before"] for row in uniform if "before" in row]
    setting = _setting(config["run"], table, [run for row in runs.values() for run in row if run])
    return Summary(
        str(config["run"]["base"]),
        tuple(map(str, seeds)),
        table,
        ratios,
        float(np.mean(starts)) + gain if starts else math.nan,
        _recovered(ratios.get("speedup_vs_uniform", {})),
        setting,
    )


def summarise_run(run: Run, config: Mapping[str, Any], method: str) -> Summary:
    """Summary of a single RL run, finished or not: its measures, as those of one method with one seed.

    Args:
        run: the folder's journals.
        config: its settings.
        method: name of the method.
    """
    found = measures(run) if run.metrics else {}
    found.pop("before", None)
    seed = str(config.get("seed", 0))
    return Summary(
        str(config.get("base") or ""),
        (seed,),
        {method: {name: Spread.over([value], name) for name, value in found.items()}},
        setting=_setting(config, {}, [run]) if "pool" in config else {},
    )


def arms(methods: Sequence[str], placebo: bool) -> list[str]:
    """The methods that are run: those listed, and the placebo behind uniform."""
    found = list(methods)
    if placebo and "uniform" in found and PLACEBO not in found:
        found.insert(found.index("uniform") + 1, PLACEBO)
    return found


PLACEBO = "placebo"
"""Uniform selection with another selection seed: a method that is known to be no better than uniform."""


def measures(run: Run) -> dict[str, float]:
    """Measures of one run that need no other run; NaN where undefined. `before` is the accuracy before training."""
    steps, accuracy = run.column("accuracy", evals=True)
    first = accuracy[steps == 0]
    last = run.metrics[-1]
    seconds, groups = last.number("seconds"), run.column("groups")[1]
    return {
        "before": float(first[0]) if len(first) else math.nan,
        "effective_ratio": _average(run.column("effective_ratio")[1], groups),
        "spearman": _mean_defined([_correlation(line, "probe") for line in run.late(evals=True)]),
        "spearman_selected": _mean_defined([_correlation(line) for line in run.late()]),
        "final_accuracy": target.final(accuracy),
        "rollouts": last.number("rollouts"),
        "wall_seconds": seconds,
        "selection_share": float(run.column("select_seconds")[1].sum()) / seconds if seconds > 0 else math.nan,
    }


def waits(run: Run, wanted: float) -> dict[str, float]:
    """Steps and rollouts until a run's smoothed accuracy reaches the wanted one; infinite if it does not."""
    steps, accuracy = run.column("accuracy", evals=True)
    position = target.reach(accuracy, wanted)
    rollouts = run.column("rollouts", evals=True)[1]
    return {"steps_to_target": target.at(position, steps), "rollouts_to_target": target.at(position, rollouts)}


def _finished(folder: Path) -> Run | None:
    """The run of a folder if it is finished; an unfinished one has no final numbers."""
    if not (folder / "summary.json").exists():
        return None
    run = read_run(folder)
    run.check_complete()
    return run


def _correlation(line: Line, key: str | None = None) -> float:
    predicted, successes, trials = line.predictions(key)
    return spearman(predicted, successes / trials)


def _mean_defined(values: Sequence[float]) -> float:
    """Mean of the values that exist: a step whose predictions are all equal has no correlation."""
    defined = [value for value in values if math.isfinite(value)]
    return float(np.mean(defined)) if defined else math.nan


def _average(values: Floats, weights: Floats) -> float:
    total = float(weights.sum())
    return float((values * weights).sum()) / total if total > 0 else math.nan


def _recovered(speedups: Mapping[str, Ratio]) -> dict[str, float]:
    limit = speedups["ds"].median if "ds" in speedups else math.nan
    known = math.isfinite(limit) and limit > 1
    return {
        method: (ratio.median - 1) / (limit - 1) if known and math.isfinite(ratio.median) else math.nan
        for method, ratio in speedups.items()
    }


def _setting(run: Mapping[str, Any], table: dict[str, dict[str, Spread]], runs: list[Run]) -> dict[str, Any]:
    try:
        return _settings(run, table, runs)
    except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise ConfigError(f"the settings in config.yaml are incomplete ({error}): restore the file") from error


def _settings(run: Mapping[str, Any], table: dict[str, dict[str, Spread]], runs: list[Run]) -> dict[str, Any]:
    pool, evaluation = run["pool"], run.get("evaluation") or {}
    uniform = table.get("uniform", {}).get("effective_ratio", Spread()).mean
    return {
        "task": run["base"],
        "pool_size": pool["size"],
        "pool_difficulty": pool["difficulty"],
        "pool_mix": next((run.summary["pool"] for run in runs if "pool" in run.summary), {}),
        "labels": pool["labels"],
        "prompts_per_step": run["prompts"],
        "rollouts_per_prompt": run["rollouts"],
        "steps": run["steps"],
        "visits_per_prompt": run["steps"] * run["prompts"] / pool["size"],
        "uniform_effective_ratio": _plain(uniform),
        "learning_rate": run["learning_rate"],
        "eval_problems": evaluation.get("problems"),
        "eval_samples": evaluation.get("samples"),
        **({"target_rule": target.RULE} if table else {}),
    }


def _spread(value: Any, place: str) -> Spread:
    found = mapping(value, place)
    mean, low, high, median = (
        number(found.get(name), f"{place}: {name}") for name in ("mean", "low", "high", "median")
    )
    return Spread(mean, low, high, median, _values(found, place))


def _ratio(value: Any, method: str, name: str, place: str) -> Ratio:
    found = mapping(value, place)
    of, other = RATIOS[name]
    median, low, high, coverage = (
        number(found.get(key), f"{place}: {key}") for key in ("median", "low", "high", "coverage")
    )
    reached = (_count(found.get(key, 0), f"{place}: {key}") for key in ("reached", "other_reached"))
    return Ratio(method, other, of, median, low, high, coverage, _values(found, place), *reached)


def _count(value: Any, place: str) -> int:
    if not number(value, place).is_integer():
        raise ConfigError(f"{place} must be a whole number, got {value!r:.80}")
    return int(value)


def _values(found: dict[str, Any], place: str) -> tuple[float, ...]:
    values = found.get("values") or []
    if not isinstance(values, list):
        raise ConfigError(f"{place}: values must be a list of numbers, got {type(values).__name__}")
    return tuple(number(value, f"{place}: values") for value in values)


def _fields(value: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: _plain(getattr(value, name)) for name in names}


def _plain(value: Any) -> Any:
    """NaN as null, infinity as "inf"."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf"
    return value
