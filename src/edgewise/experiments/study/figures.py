"""Figures of a study: pass@k by region, and pass rate by op."""

from __future__ import annotations

from typing import Any

from edgewise.experiments.study.config import Study
from edgewise.experiments.study.svg import Line, Panel, panels

FEW = 10
"""Values of op up to which each has its tick; else every fifth."""


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


def dose_figure(study: Study, summary: dict[str, Any]) -> str:
    """The measure of `Study.dose` against the problems that pre-training has shown, a line with its interval for each kind of arm.

    The axis is logarithmic; zero stands one doubling below the smallest number. The published threshold lies in the shaded stretch.
    """
    dose = study.dose
    assert dose is not None
    known = [x for points in summary["dose"].values() for x in points["problems"] if x > 0]
    zero = min(known, default=2.0) / 2
    lines = [
        Line(name, [x or zero for x in points["problems"]], points["mean"], points["low"], points["high"])
        for name, points in summary["dose"].items()
    ]
    words = {zero: "0", **{x: f"{x:,.0f}" for x in (*known, *(dose.threshold or ()))}}
    panel = Panel(
        f"{dose.where} {dose.metric}",
        f"problems of {dose.context} in pre-training",
        lines,
        words,
        doubling=True,
        shaded=dose.threshold,
        shaded_name="published",
    )
    return panels([panel], f"strict {dose.metric}")


def op_figure(study: Study, summary: dict[str, Any]) -> str:
    """Strict pass@1 and pass@(all rollouts) against op in each context, a line for each arm."""
    ops, arms = summary["ops"], summary["arms"]
    ticks = ops if len(ops) <= FEW else [op for op in ops if op % 5 == 0]
    shown = []
    for context in next(iter(arms.values()))["by_op"]:
        for k in (1, summary["samples"]):
            lines = [Line(arm, ops, part["by_op"][context][str(k)]["mean"]) for arm, part in arms.items()]
            shown.append(Panel(f"{context} pass@{k}".strip(), "op", lines, ticks=ticks))
    return panels(shown, "strict pass rate")
