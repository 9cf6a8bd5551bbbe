"""A comparison folder as arrays: what is there, checked at the door, and a list of what is missing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.errors import ConfigError
from edgewise.report.fields import Floats, Line, array, journal, mapping, number, numbers, parse, strings

BASELINES = ("uniform", "ds")
TITLES = {"uniform": "Uniform", "ds": "Dynamic sampling", "mopps": "MoPPS", "edge": "Edge"}


def title(method: str) -> str:
    """A method's name for readers."""
    return TITLES.get(method, method)


@dataclass(frozen=True)
class Spread:
    """One quantity over seeds; what is unknown is NaN. `reached` counts the seeds that have a value."""

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    median: float = math.nan
    values: tuple[float, ...] = ()

    @property
    def reached(self) -> int:
        return sum(math.isfinite(value) for value in self.values)

    @property
    def known(self) -> bool:
        return math.isfinite(self.mean)

    @property
    def has_interval(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Run:
    """One method with one seed."""

    method: str
    seed: str
    metrics: list[Line]
    evals: list[Line]
    samples: list[dict[str, Any]]
    finished: bool

    @property
    def last(self) -> float | None:
        """The last step with a record; None if there is none."""
        return max((line.step for line in [*self.metrics[-1:], *self.evals[-1:]]), default=None)

    def late(self, evals: bool = False) -> list[Line]:
        """The lines of the last three quarters: before, no selector can know anything."""
        return [line for line in (self.evals if evals else self.metrics) if line.step > (self.last or 0) / 4]

    def column(self, key: str, evals: bool = False) -> tuple[Floats, Floats]:
        """(steps, values) of one number a line, each (lines,)."""
        lines = self.evals if evals else self.metrics
        return np.array([line.step for line in lines]), np.array([line.number(key) for line in lines])


@dataclass(frozen=True)
class Comparison:
    """Everything the page shows. Methods stand in one order everywhere: baselines first, `edge` last."""

    name: str
    summary: dict[str, Any]
    runs: dict[str, list[Run]]

    @cached_property
    def methods(self) -> list[str]:
        names = {*self.runs, *mapping(self.summary.get("methods"), "summary.json: methods")}
        return sorted(names, key=order)

    @property
    def setting(self) -> dict[str, Any]:
        return mapping(self.summary.get("setting"), "summary.json: setting")

    @property
    def seeds(self) -> list[str]:
        return strings(self.summary.get("seeds"), "summary.json: seeds")

    @property
    def pool_mix(self) -> dict[str, float]:
        """Prompts by category."""
        return numbers(self.setting.get("pool_mix"), "summary.json: setting: pool_mix")

    @property
    def recovered_gain(self) -> dict[str, float]:
        """Share of dynamic sampling's gain in steps, by method; NaN where unknown."""
        return numbers(self.summary.get("recovered_gain"), "summary.json: recovered_gain")

    @cached_property
    def categories(self) -> list[str]:
        """In the pool's order; then those that only occur elsewhere."""
        seen = dict.fromkeys(self.pool_mix)
        for runs in self.runs.values():
            for run in runs:
                for line in run.evals[-1:]:
                    seen.update(dict.fromkeys([*line.mapping("by_category"), *line.mapping("believed_by_category")]))
        return list(seen)

    def measures(self) -> list[str]:
        """Names of the quantities that the summary knows of any method, in its order."""
        table = mapping(self.summary.get("methods"), "summary.json: methods")
        return list(dict.fromkeys(key for method in table for key in mapping(table[method], f"methods: {method}")))

    def measure(self, method: str, key: str) -> Spread:
        return spread(self.summary, "methods", method, key)

    def target(self) -> Spread:
        """The accuracy to reach: by the rule of the comparison, uniform's final one."""
        return self.measure("uniform", "final_accuracy")

    def missing(self) -> list[str]:
        """Sentences on what a complete comparison would also have."""
        notes = []
        if not self.summary:
            notes.append("There is no summary.json yet: headline numbers appear when the comparison has finished.")
        for method, lost in (
            ("uniform", "speed-ups, the target and rollouts relative to uniform cannot be given"),
            ("ds", "rollouts relative to dynamic sampling and the share of its gain cannot be given"),
        ):
            if method not in self.methods:
                notes.append(f"{title(method)} is not part of this comparison: {lost}.")
        expected = self.seeds
        for method in self.methods:
            runs = {run.seed: run for run in self.runs.get(method, [])}
            absent = [seed for seed in expected if seed not in runs]
            if absent:
                notes.append(f"{title(method)} has no run of seed {', '.join(absent)}.")
            empty = [seed for seed, run in runs.items() if run.last is None]
            if empty:
                notes.append(f"{title(method)}, seed {', '.join(empty)}: nothing has been recorded.")
            stopped = {seed: run.last for seed, run in runs.items() if not run.finished and run.last is not None}
            if stopped:
                where = ", ".join(f"{last:g}" for last in stopped.values())
                notes.append(f"{title(method)}, seed {', '.join(stopped)} is unfinished: it stops at step {where}.")
        return notes


def spread(summary: dict[str, Any], *keys: str) -> Spread:
    """The statistic at a path of the summary; all NaN where there is none."""
    place = "summary.json"
    entry: Any = summary
    for key in keys:
        entry = mapping(entry, place).get(key)
        place = f"{place}: {key}"
    found = mapping(entry, place)
    bounds = {name: number(found.get(name), f"{place}: {name}") for name in ("mean", "low", "high", "median")}
    return Spread(**bounds, values=tuple(array(found.get("values"), f"{place}: values").tolist()))


def load_comparison(folder: Path) -> Comparison:
    """Read a comparison folder.

    Raises:
        ConfigError: nothing to report on, or a file that is not what it should be; the file and line are named.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder")
    summary_path = folder / "summary.json"
    summary = parse(summary_path.read_text("utf-8", "replace"), str(summary_path)) if summary_path.exists() else {}
    runs: dict[str, list[Run]] = {}
    for path in sorted(folder.glob("*/seed_*"), key=lambda p: natural(f"{p.parent.name}/{p.name}")):
        if path.is_dir():
            runs.setdefault(path.parent.name, []).append(_run(path))
    if not summary.get("methods") and not any(run.metrics or run.evals for group in runs.values() for run in group):
        raise ConfigError(
            f"{folder} does not hold a comparison: expected summary.json, and METHOD/seed_N/metrics.jsonl with evals.jsonl"
        )
    return Comparison(folder.resolve().name, summary, dict(sorted(runs.items(), key=lambda item: order(item[0]))))


def order(method: str) -> tuple[int, str]:
    """Sort key: baselines first, `edge` last."""
    first = ["uniform", "ds", "mopps"]
    return (first.index(method) if method in first else 9 if method == "edge" else 8, method)


def natural(text: str) -> list[str | int]:
    """Sort key that puts seed_2 before seed_10."""
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"([0-9]+)", text))]


def _run(path: Path) -> Run:
    samples = [line.values for line in journal(path / "samples.jsonl")]
    metrics, evals = journal(path / "metrics.jsonl"), journal(path / "evals.jsonl")
    for line in [*metrics, *evals]:
        if not math.isfinite(line.step):
            raise ConfigError(f"{line.place} has no step")
    seed = path.name.removeprefix("seed_")
    return Run(path.parent.name, seed, metrics, evals, samples, (path / "summary.json").exists())
