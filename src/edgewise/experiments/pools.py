"""Comparisons on other pools: the demo's setting with pools of other sizes, mixes and labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.checkpoint import write_atomic
from edgewise.errors import unknown_name
from edgewise.experiments.comparison import ComparisonConfig, compare, preset
from edgewise.experiments.folders import writing
from edgewise.experiments.runs import Event
from edgewise.experiments.summary import Spread, Summary, arms
from edgewise.statistics import mean_interval

POOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "small": ("200 prompts", {"size": 200}),
    "large": ("8,000 prompts, far more than are ever visited", {"size": 8000}),
    "useful": ("most prompts informative from the start: 3 to 12 operations", {"difficulty": {"op": [3, 12]}}),
    "shuffled": ("labels on the wrong prompts", {"labels": "shuffled"}),
    "unlabelled": ("no labels", {"labels": "none"}),
}
"""Name -> what it is, and how its pool differs from the demo's."""


HEAD = (
    "| pool | method | speed-up: median (interval) | target reached | final accuracy | minus uniform's (95%) | effective ratio"
    " | Spearman |",
    "|---|---|---|---|---|---|---|---|",
)


def pool_study(
    methods: tuple[str, ...],
    seeds: tuple[int, ...],
    names: tuple[str, ...],
    out: Path,
    workers: int | None = None,
    on_event: Callable[[str, Event], None] | None = None,
    placebo: bool = True,
) -> str:
    """Compare on each pool; returns the table as Markdown and writes it to out/pools.md. Finished runs are kept."""
    lines = list(HEAD)
    for name in names:
        if name not in POOLS:
            raise unknown_name("pool", name, POOLS)
    for name in names:
        handle = None if on_event is None else (lambda event, name=name: on_event(name, event))
        config = _config(name, methods, seeds, placebo)
        summary = compare(config, out / name, workers, handle)
        lines += [line(f"{name}: {POOLS[name][0]}", method, summary) for method in arms(methods, placebo)]
    table = "\n".join(lines) + "\n"
    with writing(out):
        write_atomic(out / "pools.md", table.encode())
    return table


def _config(name: str, methods: tuple[str, ...], seeds: tuple[int, ...], placebo: bool) -> ComparisonConfig:
    demo = preset("opgraph")
    pool = dataclasses.replace(demo.run.pool, **POOLS[name][1])
    run = dataclasses.replace(demo.run, pool=pool)
    return dataclasses.replace(demo, methods=methods, seeds=seeds, run=run, placebo=placebo)


def line(label: str, method: str, summary: Summary) -> str:
    """The row of one method in a table with the head `HEAD`."""
    final, base = (summary.measure(own, "final_accuracy").values for own in (method, "uniform"))
    reach = summary.measure(method, "steps_to_target")
    cells = (
        label,
        method,
        "1" if method == "uniform" else _speed(summary, method),
        f"{reach.reached} of {len(reach.values)}",
        f"{np.mean(final):.3f}",
        "" if method == "uniform" else _difference(final, base),
        f"{summary.measure(method, 'effective_ratio').mean:.2f}",
        _mean(summary.measure(method, "spearman")),
    )
    return "| " + " | ".join(cells) + " |"


def _speed(summary: Summary, method: str) -> str:
    ratio = summary.ratio("speedup_vs_uniform", method)
    if not ratio.known:
        return "-"
    return f"{ratio.median:.2f}" + (f" ({ratio.low:.2f} to {ratio.high:.2f})" if ratio.has_interval else "")


def _difference(final: tuple[float, ...], base: tuple[float, ...]) -> str:
    found = mean_interval(np.subtract(final, base))
    limits = "" if len(final) < 2 else f" ({found.low:+.3f} to {found.high:+.3f})"
    return f"{found.estimate:+.3f}{limits}"


def _mean(value: Spread) -> str:
    return f"{value.mean:.2f}" if value.known else "-"
