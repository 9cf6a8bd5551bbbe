"""Does selection ever hurt? The demo's setting on pools of other sizes, mixes and labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.checkpoint import write_atomic
from edgewise.errors import unknown_name
from edgewise.experiments.comparison import ComparisonConfig, compare, preset
from edgewise.experiments.runs import Event
from edgewise.experiments.summary import interval

POOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "small": ("200 prompts", {"size": 200}),
    "large": ("8,000 prompts, far more than are ever visited", {"size": 8000}),
    "useful": ("most prompts informative from the start: 3 to 12 operations", {"difficulty": {"op": [3, 12]}}),
    "shuffled": ("labels on the wrong prompts", {"labels": "shuffled"}),
    "unlabelled": ("no labels", {"labels": "none"}),
}
"""Name -> what it is, and how its pool differs from the demo's."""


def pool_study(
    methods: tuple[str, ...],
    seeds: tuple[int, ...],
    names: tuple[str, ...],
    out: Path,
    workers: int | None = None,
    on_event: Callable[[str, Event], None] | None = None,
) -> str:
    """Compare on each pool; returns the table as Markdown and writes it to out/pools.md. Finished runs are kept."""
    lines = [
        "| pool | method | speed-up (95%) | final accuracy | minus uniform's (95%) | effective ratio | Spearman |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        if name not in POOLS:
            raise unknown_name("pool", name, POOLS)
    for name in names:
        tell = None if on_event is None else (lambda event, name=name: on_event(name, event))
        summary = compare(_config(name, methods, seeds), out / name, workers, tell)
        lines += [_line(name, method, summary) for method in methods]
    table = "\n".join(lines) + "\n"
    write_atomic(out / "pools.md", table.encode())
    return table


def _config(name: str, methods: tuple[str, ...], seeds: tuple[int, ...]) -> ComparisonConfig:
    demo = preset("opgraph")
    pool = dataclasses.replace(demo.run.pool, **POOLS[name][1])
    return dataclasses.replace(demo, methods=methods, seeds=seeds, run=dataclasses.replace(demo.run, pool=pool))


def _line(name: str, method: str, summary: dict[str, Any]) -> str:
    numbers = summary["methods"][method]
    gain = numbers["final_accuracy"]["values"]
    base = summary["methods"]["uniform"]["final_accuracy"]["values"]
    difference = interval([None if a is None or b is None else a - b for a, b in zip(gain, base, strict=True)])
    cells = (
        f"{name}: {POOLS[name][0]}",
        method,
        _words(summary["speedup_vs_uniform"][method], "{:.2f}"),
        f"{np.mean(gain):.3f}",
        _words(difference, "{:+.3f}"),
        f"{numbers['effective_ratio']['mean']:.2f}",
        f"{numbers['spearman']['mean']:.2f}" if numbers["spearman"]["mean"] is not None else "-",
    )
    return "| " + " | ".join(cells) + " |"


def _words(value: dict[str, Any], form: str) -> str:
    if value["mean"] is None:
        return f"reached by {value['reached']} of {len(value['values'])}"
    if value["low"] is None:
        return form.format(value["mean"])
    return f"{form.format(value['mean'])} ({form.format(value['low'])} to {form.format(value['high'])})"
