"""Figures of a study: pass@k by region, and pass rate by op."""

from __future__ import annotations

from typing import Any

from edgewise.experiments.study.config import Study
from edgewise.experiments.study.svg import Line, Panel, panels


def pass_figure(study: Study, summary: dict[str, Any]) -> str:
    """Strict pass@k against k, a panel for each region, a line with its interval for each arm."""
    ks = summary["k"]
    shown = [
        Panel(
            name,
            "k",
            [
                Line(arm, ks, curve["mean"], curve["low"], curve["high"])
                for arm, part in summary["arms"].items()
                for curve in [part["regions"][name]["strict"]]
            ],
            ticks=[k for k in ks if k in (1, 4, 16, 64, 256) or k == ks[-1]],
            doubling=True,
        )
        for name in study.regions
    ]
    return panels(shown, "strict pass@k")


def op_figure(study: Study, summary: dict[str, Any]) -> str:
    """Strict pass@1 and pass@(all rollouts) against op in each context, a line for each arm."""
    ops, arms = summary["ops"], summary["arms"]
    ticks = [op for op in ops if op % 5 == 0] or ops[:1]
    shown = []
    for context in next(iter(arms.values()))["by_op"]:
        for k in (1, summary["samples"]):
            lines = [Line(arm, ops, part["by_op"][context][str(k)]["mean"]) for arm, part in arms.items()]
            shown.append(Panel(f"{context} pass@{k}".strip(), "op", lines, ticks=ticks))
    return panels(shown, "strict pass rate")
