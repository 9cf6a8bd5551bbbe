"""An evaluation as a table in the terminal, and beside its numbers in the folder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from edgewise.checkpoint import write_atomic
from edgewise.errors import ConfigError
from edgewise.lab.config import from_dict, read_yaml
from edgewise.lab.exam import ExamConfig, examine
from edgewise.progress import bar


def print_exam(config: Path | None, changes: dict[str, Any], out: Path | None) -> None:
    """Evaluate by the settings of a file, with changes, print the table and leave it in `out` as evaluation.txt."""
    values = {**(read_yaml(config) if config is not None else {}), **changes}
    if "difficulty" in changes:
        values["difficulty"] = _mapping(changes["difficulty"])
    if "k" not in values:
        values["k"] = [k for k in ExamConfig.k if k <= values.get("samples", ExamConfig.samples)]
    settings = from_dict(ExamConfig, values)
    with bar("evaluating", settings.problems) as progress:
        result = examine(settings, out, lambda done, _: progress(done, "problems"))
    shown = exam_table(result, settings.k)
    Console().print(shown)
    if out is not None:
        file = io.StringIO()
        Console(file=file, width=200).print(shown)
        write_atomic(out / "evaluation.txt", file.getvalue().encode())


def exam_table(result: dict[str, Any], ks: Sequence[int]) -> Group:
    """Slices down, strict and outcome pass@k across, with the likelihood; below it failure modes and one text to read."""
    table = Table(title=f"{result['base']}: {result['problems']} held-out problems x {result['samples']} rollouts")
    table.add_column("")
    table.add_column("problems", justify="right")
    for kind in ("strict", "outcome"):
        for k in ks:
            table.add_column(f"{kind} pass@{k}", justify="right")
    table.add_column("guess", justify="right")
    table.add_column("nll", justify="right")
    for name, values in result["slices"].items():
        for value, part in values.items():
            label = value if name in ("all", "range", "category") else f"{name} {value}"
            table.add_row(
                label, str(part["problems"]), *_cells(part, ks), f"{part['guessing_floor']:.2f}", f"{part['nll']:.3f}"
            )
        table.add_section()
    overall = result["slices"]["all"]["all"]["reasons"]
    total = sum(overall.values())
    modes = sorted(overall.items(), key=lambda item: -item[1])
    words = ["  ".join(f"{reason} {count / total:.1%}" for reason, count in modes)]
    words += [f"\n{t['prompt']}\n{t['completion']}\n({t['reason']}; gold: {t['gold']})" for t in result["texts"][:1]]
    level = f"{100 * result['level']:g}%"
    words.append(f"\nIn brackets: {level} bootstrap intervals over problems. nll: nats a token of gold solution.")
    return Group(table, *map(Text, words))


def _cells(part: dict[str, Any], ks: Sequence[int]) -> list[str]:
    cells = []
    for kind in ("strict", "outcome"):
        for k in ks:
            mean, low, high = (part[kind][name][k - 1] for name in ("mean", "low", "high"))
            cells.append(f"{mean:.3f} ({low:.2f}-{high:.2f})")
    return cells


def _mapping(text: str) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError:
        settings = None
    if not isinstance(settings, dict):
        raise ConfigError(f'difficulty must be a mapping such as "{{op: [1, 12]}}", got {text!r}')
    return settings
