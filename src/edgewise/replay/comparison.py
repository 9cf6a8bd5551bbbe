"""Methods over seeds: means with intervals, paired differences, a plain table, JSON."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.arrays import whole_number
from edgewise.checkpoint import write_json, writing_to
from edgewise.errors import ConfigError, unknown_name
from edgewise.method import Method
from edgewise.statistics import LEVEL, mean_interval, t_quantile

Floats = npt.NDArray[np.float64]
Run = tuple[dict[str, float], dict[str, Floats]]
"""One run: its numbers, and its curves by step."""

COLUMNS = {
    "effective_ratio": ("effective ratio", "+", 3),
    "share_of_oracle": ("share of oracle", "+", 3),
    "regret": ("regret of choice", "-", 3),
    "tried": ("prompts tried", "+", 3),
    "accuracy": ("final accuracy", "+", 3),
    "steps_to_target": ("steps to target", "-", 0),
    "rollouts_to_target": ("rollouts to target", "-", 0),
    "probe_spearman": ("Spearman, probe", "+", 3),
    "probe_somers_d": ("Somers' D, probe", "+", 3),
    "probe_brier": ("Brier, probe", "-", 3),
    "probe_log_loss": ("log loss, probe", "-", 3),
    "probe_calibration_error": ("calibr., probe", "-", 3),
    "selected_spearman": ("Spearman, picks", "+", 3),
    "selected_somers_d": ("Somers' D, picks", "+", 3),
    "selected_brier": ("Brier, picks", "-", 3),
    "selected_log_loss": ("log loss, picks", "-", 3),
    "selected_calibration_error": ("calibr., picks", "-", 3),
}
"""Metrics: heading, whether more (+) or less (-) is better, digits."""

HIDDEN = ("regret", "probe_somers_d", "probe_brier", "selected_somers_d", "selected_brier", "selected_log_loss")
SHOWN = [name for name in COLUMNS if name not in HIDDEN]
SHOWN_OFF_POLICY = ["selected_spearman", "selected_brier", "selected_log_loss", "selected_calibration_error"]
"""What a table shows unless told otherwise. Brier and log loss compare methods only where all are judged on the same
prompts: on the probe, or on the picks of a recorded run."""


def interval(values: npt.ArrayLike, confidence: float = LEVEL) -> tuple[float, float]:
    """Mean of independent runs and half the width of its Student-t interval; (NaN, NaN) if any value is NaN.

    One run has no interval: half is NaN.
    """
    found = mean_interval(values, level=confidence)
    return found.estimate, found.high - found.estimate


@dataclass(frozen=True)
class Comparison:
    """Numbers of M methods over the same S seeds.

    Attributes:
        kind: "replay", "prequential" or "simulator".
        settings: what was run, JSON values.
        methods: M names.
        seeds: S seeds; seed s is the same world for every method.
        baseline: the method that differences are taken against, or None.
        values: (M, S) for each metric.
        steps: policy steps of the curves, (T,).
        curves: (M, S, T) for each metric.
        notes: lines that a reader of the table has to know.
    """

    kind: str
    settings: dict[str, Any]
    methods: list[str]
    seeds: list[int]
    baseline: str | None
    values: dict[str, Floats]
    steps: list[float]
    curves: dict[str, Floats]
    notes: list[str] = field(default_factory=list)

    def interval(self, metric: str, method: str) -> tuple[float, float]:
        """Mean over seeds and half of its 95% interval."""
        return interval(self.values[metric][self.methods.index(method)])

    def difference(self, metric: str, method: str) -> tuple[float, float]:
        """Mean of method minus baseline, paired by seed, and half of its 95% interval."""
        if self.baseline is None:
            raise ConfigError("this comparison has no baseline to take differences against")
        values = self.values[metric]
        return interval(values[self.methods.index(method)] - values[self.methods.index(self.baseline)])

    def to_dict(self) -> dict[str, Any]:
        """JSON values: means, intervals, paired differences, values by seed, curves as mean and half interval by step."""
        summary: dict[str, Any] = {}
        for method in self.methods:
            rows = {}
            for metric in self.values:
                mean, half = self.interval(metric, method)
                rows[metric] = {"mean": mean, "half": half}
                if self.baseline not in (None, method):
                    difference, wide = self.difference(metric, method)
                    rows[metric] |= {"difference": difference, "difference_half": wide}
            summary[method] = rows
        curves: dict[str, Any] = {}
        for metric, values in self.curves.items():
            spread = values.std(axis=1, ddof=1) if len(self.seeds) > 1 else np.full(values[:, 0].shape, np.nan)
            factor = t_quantile(len(self.seeds) - 1) / math.sqrt(len(self.seeds)) if len(self.seeds) > 1 else 1.0
            curves[metric] = {
                method: {"mean": values[i].mean(axis=0), "half": factor * spread[i]}
                for i, method in enumerate(self.methods)
            }
        return _plain(
            {
                "kind": self.kind,
                "settings": self.settings,
                "methods": self.methods,
                "seeds": self.seeds,
                "baseline": self.baseline,
                "notes": self.notes,
                "summary": summary,
                "values": {metric: dict(zip(self.methods, v, strict=True)) for metric, v in self.values.items()},
                "steps": self.steps,
                "curves": curves,
            }
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """`to_dict` as a JSON file; numbers that are not defined are null. A place that cannot be written is a `ConfigError`."""
        with writing_to(path):
            write_json(path, self.to_dict())


def compare(
    kind: str,
    settings: dict[str, Any],
    methods: Sequence[Method],
    seeds: Sequence[int],
    baseline: str | None,
    run: Callable[[Method, int], Run],
    steps: Sequence[float],
    notes: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Run every method with every seed. `progress` gets the method after each run."""
    names = [method.name for method in methods]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"give at least one method, each once, got {names}")
    if baseline is not None and baseline not in names:
        raise ConfigError(f"the baseline '{baseline}' is not among the methods {names}")
    if not seeds or len(set(seeds)) != len(seeds):
        raise ConfigError(f"give at least one seed, each once, got {list(seeds)}")
    seeds = [whole_number("a seed", seed, 0, ConfigError) for seed in seeds]
    runs: list[list[Run]] = [[] for _ in methods]
    for seed in seeds:
        for place, method in enumerate(methods):
            runs[place].append(run(method, seed))
            if progress is not None:
                progress(method.name)
    values = {m: np.array([[numbers[m] for numbers, _ in row] for row in runs]) for m in runs[0][0][0]}
    curves = {m: np.array([[curve[m] for _, curve in row] for row in runs]) for m in runs[0][0][1]}
    return Comparison(kind, settings, names, list(seeds), baseline, values, list(steps), curves, list(notes))


def format_table(comparison: Comparison, metrics: Sequence[str] | None = None) -> str:
    """Means with 95% intervals, then differences from the baseline paired by seed; a plain text for any terminal.

    Args:
        comparison: what to show.
        metrics: names out of `COLUMNS`; None: the usual ones.
    """
    usual = SHOWN_OFF_POLICY if comparison.kind == "prequential" else SHOWN
    shown = [m for m in usual if m in comparison.values] if metrics is None else list(metrics)
    unknown = [m for m in shown if m not in COLUMNS or m not in comparison.values]
    if unknown:
        raise unknown_name("metric", unknown[0], [m for m in COLUMNS if m in comparison.values])
    seeds = len(comparison.seeds)
    lines = [f"{comparison.kind}: {', '.join(f'{k} {v}' for k, v in comparison.settings.items() if v is not None)}"]
    lines += comparison.notes
    lines.append(f"mean over {seeds} seed{'s' * (seeds > 1)} ± 95% interval; (+) more is better, (-) less")
    lines += _block(comparison, shown, "method", comparison.methods, comparison.interval)
    others = [name for name in comparison.methods if name != comparison.baseline]
    if comparison.baseline is not None and others and seeds > 1:
        lines += ["", f"difference from {comparison.baseline}, paired by seed; * the 95% interval excludes 0"]
        lines += _block(comparison, shown, "method", others, comparison.difference, starred=True)
    return "\n".join(lines)


def _block(
    comparison: Comparison,
    metrics: list[str],
    corner: str,
    names: list[str],
    number: Callable[[str, str], tuple[float, float]],
    starred: bool = False,
) -> list[str]:
    heads = [corner, *(f"{COLUMNS[m][0]} ({COLUMNS[m][1]})" for m in metrics)]
    cells = [heads]
    for name in names:
        row = [name]
        for metric in metrics:
            mean, half = number(metric, name)
            defined = int((~np.isnan(comparison.values[metric][comparison.methods.index(name)])).sum())
            row.append(_cell(mean, half, COLUMNS[metric][2], defined, len(comparison.seeds), starred))
        cells.append(row)
    # Headings break into two lines: a column is as wide as its numbers.
    widths = [
        max(*(len(row[i]) for row in cells[1:]), *(len(part) for part in _halves(heads[i]))) for i in range(len(heads))
    ]
    top, bottom = zip(*(_halves(head) for head in heads), strict=True)
    lines = []
    for row in [list(top), list(bottom), *cells[1:]]:
        numbers = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("  ".join([f"{row[0]:<{widths[0]}}", *numbers]).rstrip())
    return lines


def _halves(head: str) -> tuple[str, str]:
    words = head.split(" ")
    middle = (len(words) + 1) // 2 if len(words) > 1 else 0
    return " ".join(words[:middle]), " ".join(words[middle:])


def _cell(mean: float, half: float, digits: int, defined: int, seeds: int, starred: bool) -> str:
    if math.isnan(mean):
        return f"({defined}/{seeds})" if 0 < defined < seeds else "-"
    sign = "+" if starred else ""
    text = f"{mean:{sign}.{digits}f}"
    if not math.isnan(half):
        text += f"±{half:.{digits}f}"
    return text + ("*" if abs(mean) > half else " ") if starred else text


def _plain(value: Any) -> Any:
    """Arrays to lists, NaN to None, six significant digits."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
