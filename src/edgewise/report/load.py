"""Folders of comparisons and of single RL runs, ready for the page: runs, summary, and what is missing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from edgewise.errors import ConfigError
from edgewise.experiments.folders import Run, numbers, read_config, read_json, read_run
from edgewise.experiments.summary import PLACEBO, Ratio, Spread, Summary, summarise_run

BASELINES = ("uniform", PLACEBO, "ds")
TITLES = {"uniform": "Uniform", PLACEBO: "Placebo", "ds": "Dynamic sampling", "mopps": "MoPPS", "edge": "Edge"}


def title(method: str) -> str:
    """A method's name for readers."""
    return TITLES.get(method, method)


@dataclass(frozen=True)
class Comparison:
    """Everything that the page shows. Methods stand in one order everywhere: baselines first, `edge` last.

    A single RL run is a comparison of one method with one seed, `single`.
    """

    name: str
    summary: Summary = field(default_factory=Summary)
    runs: dict[str, list[Run]] = field(default_factory=dict)
    single: bool = False

    @cached_property
    def methods(self) -> list[str]:
        return sorted({*self.runs, *self.summary.methods}, key=order)

    @property
    def setting(self) -> dict[str, Any]:
        return self.summary.setting

    @property
    def seeds(self) -> list[str]:
        return list(self.summary.seeds)

    @property
    def pool_mix(self) -> dict[str, float]:
        """Prompts by category."""
        return numbers(self.setting.get("pool_mix"), "summary.json: setting: pool_mix")

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
        """Names of the measures that the summary has of any method, in its order."""
        return list(dict.fromkeys(key for measures in self.summary.methods.values() for key in measures))

    def measure(self, method: str, key: str) -> Spread:
        return self.summary.measure(method, key)

    def ratios(self, method: str) -> list[Ratio]:
        """Ratios of a method to the baselines of this comparison."""
        found = [table.get(method) for table in self.summary.ratios.values()]
        return [ratio for ratio in found if ratio is not None and ratio.known]

    def missing(self) -> list[str]:
        """Sentences on what a complete comparison would also have."""
        if self.single:
            run = next(run for runs in self.runs.values() for run in runs)
            return (
                [] if run.finished or run.last is None else [f"The run is unfinished: it stops at step {run.last:g}."]
            )
        notes = []
        if not self.summary.methods:
            notes.append("There is no summary.json yet: headline numbers appear when the comparison has finished.")
        for method, lost in (
            ("uniform", "speed-ups, the target and rollouts relative to uniform cannot be given"),
            ("ds", "rollouts relative to dynamic sampling and the share of its gain cannot be given"),
        ):
            if method not in self.methods:
                notes.append(f"{title(method)} is not part of this comparison: {lost}.")
        for method in self.methods:
            runs = {run.seed: run for run in self.runs.get(method, [])}
            absent = [seed for seed in self.seeds if seed not in runs]
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


def load_comparison(folder: Path) -> Comparison:
    """Read the folder of a comparison, or of a single RL run.

    Raises:
        ConfigError: nothing to report on, or a file that is not what it should be; the file and line are named.
        CheckpointError: a damaged line of a journal.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder")
    if is_run(folder):
        config = read_config(folder)
        run, method = read_run(folder), method_of(config)
        return Comparison(folder.resolve().name, summarise_run(run, config, method), {method: [run]}, single=True)
    path = folder / "summary.json"
    summary = Summary.from_json(read_json(path), str(path)) if path.exists() else Summary()
    runs: dict[str, list[Run]] = {}
    for own in sorted(folder.glob("*/seed_*"), key=lambda p: natural(f"{p.parent.name}/{p.name}")):
        if own.is_dir():
            runs.setdefault(own.parent.name, []).append(read_run(own))
    if not summary.methods and not any(run.metrics or run.evals for group in runs.values() for run in group):
        raise ConfigError(
            f"{folder} holds neither a comparison nor an RL run: expected METHOD/seed_N/metrics.jsonl with evals.jsonl, or"
            " metrics.jsonl itself"
        )
    return Comparison(folder.resolve().name, summary, dict(sorted(runs.items(), key=lambda item: order(item[0]))))


def is_run(folder: Path) -> bool:
    """Whether a folder holds a single RL run."""
    return (folder / "metrics.jsonl").exists()


def method_of(config: dict[str, Any]) -> str:
    """Name of the method of a run's config: its selector, and `+ds` with the informative gate."""
    gates = [config.get("gate"), *(config.get("gates") or [])]
    return f"{config.get('selector') or 'run'}{'+ds' if 'informative' in gates else ''}"


def order(method: str) -> tuple[int, str]:
    """Sort key: baselines first, `edge` last."""
    first = [*BASELINES, "mopps"]
    return (first.index(method) if method in first else 9 if method == "edge" else 8, method)


def natural(text: str) -> list[str | int]:
    """Sort key that puts seed_2 before seed_10."""
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"([0-9]+)", text))]
