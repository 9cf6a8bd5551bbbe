"""Measures of a comparison by method and seed, at equal steps, rollouts, tokens and seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgewise.experiments.claims.config import FACTORS, QUARTERS
from edgewise.experiments.folders import Floats, Run, read_run
from edgewise.experiments.summary import Summary, summarise
from edgewise.experiments.target import SMOOTH

BUDGETS = ("rollouts", "tokens", "seconds")


@dataclass(frozen=True)
class Measures:
    """What a part measured.

    Attributes:
        summary: of the comparison.
        values: by method and measure, one a seed; NaN where the run is missing.
        spent: by method, (seeds, 2): rollouts and tokens of the whole run; NaN where it is missing.
        seeds: as the comparison lists them.
    """

    summary: Summary
    values: dict[str, dict[str, tuple[float, ...]]]
    spent: dict[str, Floats]
    seeds: tuple[int, ...]

    @property
    def finished(self) -> tuple[int, ...]:
        """Seeds of which every method is finished."""
        missing = np.isnan(np.array([spent[:, 0] for spent in self.spent.values()])).any(axis=0).tolist()
        return tuple(seed for seed, gone in zip(self.seeds, missing, strict=True) if not gone)

    def of(self, method: str, measure: str) -> tuple[float, ...]:
        """A measure of a method by seed; ratios are those of the summary."""
        if measure in FACTORS:
            return self.summary.ratio(measure, method).values or (math.nan,) * len(self.seeds)
        return self.values.get(method, {}).get(measure, (math.nan,) * len(self.seeds))


def measure(folder: Path, methods: tuple[str, ...], seeds: tuple[int, ...]) -> Measures:
    """The measures of a comparison folder, finished or not.

    Raises:
        ConfigError, CheckpointError: as `summarise` and `read_run` do.
    """
    summary = summarise(folder, seeds)
    curves: dict[str, list[Mapping[str, Floats] | None]] = {
        method: [_curve(folder / method / f"seed_{seed}") for seed in seeds] for method in methods
    }
    values: dict[str, dict[str, tuple[float, ...]]] = {method: {} for method in methods}
    for budget in BUDGETS:
        at: dict[str, list[float]] = {method: [] for method in methods}
        for place in range(len(seeds)):
            found = {method: row[place] for method, row in curves.items()}
            # What every method has spent at its last average: none is extrapolated, nor one that had spent more at its first.
            ends = [float(curve[budget][-1]) for curve in found.values() if curve is not None]
            for method, curve in found.items():
                known = curve is not None and len(ends) == len(found)
                at[method].append(
                    float(np.interp(min(ends), curve[budget], curve["accuracy"], left=math.nan))
                    if known and curve is not None
                    else math.nan
                )
        for method in methods:
            values[method][f"accuracy_at_{budget}"] = tuple(at[method])
    for method, row in curves.items():
        values[method]["mean_accuracy"] = tuple(
            math.nan if curve is None else float(curve["every"].mean()) for curve in row
        )
        for place, name in enumerate(QUARTERS):
            values[method][name] = tuple(
                math.nan if curve is None else float(curve["quarters"][place]) for curve in row
            )
        for name in ("effective_ratio", "spearman", "final_accuracy"):
            spread = summary.measure(method, name)
            values[method][name] = spread.values or (math.nan,) * len(seeds)
    spent = {
        method: np.array([[math.nan] * 2 if c is None else [c["spent"][0], c["spent"][1]] for c in row])
        for method, row in curves.items()
    }
    return Measures(summary, values, spent, seeds)


def _curve(folder: Path) -> dict[str, Floats] | None:
    """Smoothed accuracy of a finished run against rollouts, tokens and seconds, at the middle of each average; None: not finished.

    Besides, `every`: accuracy of each evaluation after the first; `quarters`: its mean over each quarter of the steps;
    `spent`: rollouts and tokens of the whole run.
    """
    if not (folder / "summary.json").exists():
        return None
    run = read_run(folder)
    run.check_complete()
    steps, accuracy = run.column("accuracy", evals=True)
    spent = {"rollouts": run.column("rollouts", evals=True)[1], "tokens": _tokens(run, steps)}
    ends, seconds = run.column("seconds")
    spent["seconds"] = np.interp(steps, np.concatenate([[0.0], ends]), np.concatenate([[0.0], seconds]))
    window = np.full(SMOOTH, 1 / SMOOTH)
    middle = slice(SMOOTH // 2, len(steps) - SMOOTH // 2)
    if len(steps) < SMOOTH:
        window, middle = np.ones(1), slice(None)
    return {
        "accuracy": np.convolve(accuracy, window, "valid"),
        **{name: column[middle] for name, column in spent.items()},
        "every": accuracy[1:] if len(accuracy) > 1 else accuracy,
        "quarters": _quarters(steps, accuracy),
        "spent": np.array([spent["rollouts"][-1], spent["tokens"][-1]]),
    }


def _quarters(steps: Floats, accuracy: Floats) -> Floats:
    """Mean over each quarter of the steps of the line through the evaluations, (4,)."""
    ends = np.linspace(steps[0], steps[-1], 5)
    grid = np.union1d(steps, ends)
    line = np.interp(grid, steps, accuracy)
    area = np.concatenate([[0.0], np.cumsum(0.5 * (line[1:] + line[:-1]) * np.diff(grid))])
    return np.asarray(np.diff(np.interp(ends, grid, area)) / np.maximum(np.diff(ends), 1e-12))


def _tokens(run: Run, steps: Floats) -> Floats:
    """Completion tokens sampled up to each of these steps."""
    ends = np.array([line.step for line in run.metrics])
    total = np.concatenate([[0.0], np.cumsum([line.array("lengths").sum() for line in run.metrics])])
    return total[np.searchsorted(ends, steps, side="right")]
