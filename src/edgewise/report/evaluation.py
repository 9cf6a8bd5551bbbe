"""An evaluation as a table, for the terminal and for the folder beside its numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from edgewise.checkpoint import write_atomic
from edgewise.errors import ConfigError
from edgewise.lab.evaluation.evaluation import ExamConfig, examine
from edgewise.lab.run.config import from_dict, read_yaml
from edgewise.lab.run.yaml import parse
from edgewise.progress import bar

PAGE = 200
"""Characters a line where no terminal sets a limit."""


def print_evaluation(config: Path | None, changes: dict[str, Any], out: Path | None) -> None:
    """Evaluate by the settings of a file, with changes, print the table and leave it in `out` as evaluation.txt."""
    values = {**(read_yaml(config) if config is not None else {}), **changes}
    if "difficulty" in changes:
        values["difficulty"] = _mapping(changes["difficulty"])
    if "k" not in values:
        values["k"] = [k for k in ExamConfig.k if k <= values.get("samples", ExamConfig.samples)]
    settings = from_dict(ExamConfig, values)
    with bar("evaluating", settings.problems) as progress:
        result = examine(settings, out, lambda done, _: progress(done, "problems"))
    if out is not None:
        file = io.StringIO()
        Console(file=file, width=PAGE).print(report(result, settings.k, PAGE))
        write_atomic(out / "evaluation.txt", file.getvalue().encode())
    console = Console()
    if not console.is_terminal:  # a pipe has no width
        console.width = PAGE
    console.print(report(result, settings.k, console.width))


def report(result: dict[str, Any], ks: Sequence[int], width: int) -> Group:
    """The table, without intervals where they do not fit; below it failure modes and one text to read."""
    table = evaluation_table(result, ks)
    fits = Console(width=10 * PAGE).measure(table).maximum <= width
    overall = result["slices"]["all"]["all"]["reasons"]
    total = sum(overall.values())
    modes = sorted(overall.items(), key=lambda item: -item[1])
    words = ["  ".join(f"{reason} {count / total:.1%}" for reason, count in modes)]
    words += [f"\n{t['prompt']}\n{t['completion']}\n({t['reason']}; gold: {t['gold']})" for t in result["texts"][:1]]
    if "pictures" in result:
        check = result["pictures"]
        words.append(
            f"\nPictures: accuracy {check['accuracy']:.3f} on {check['problems']} of the problems,"
            f" {check['accuracy_without_pictures']:.3f} with blank pictures."
        )
    level = f"{100 * result['level']:g}%"
    brackets = f"In brackets: {level} intervals over problems." if fits else "A wider terminal shows intervals too."
    words.append(f"\n{brackets} nll: nats a token of gold solution.")
    return Group(table if fits else evaluation_table(result, ks, intervals=False), *map(Text, words))


def evaluation_table(result: dict[str, Any], ks: Sequence[int], intervals: bool = True) -> Table:
    """Slices down, strict and outcome pass@k across, with the likelihood; narrower in all without intervals."""
    table = Table(title=f"{result['base']}: {result['problems']} held-out problems x {result['samples']} rollouts")
    if not intervals:
        table.box, table.padding = box.SIMPLE_HEAD, 0
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
                label,
                str(part["problems"]),
                *_cells(part, ks, intervals),
                f"{part['guessing_floor']:.2f}",
                f"{part['nll']:.3f}",
            )
        table.add_section()
    return table


def _cells(part: dict[str, Any], ks: Sequence[int], intervals: bool) -> list[str]:
    cells = []
    for kind in ("strict", "outcome"):
        for k in ks:
            mean, low, high = (part[kind][name][k - 1] for name in ("mean", "low", "high"))
            cells.append(f"{mean:.3f} ({low:.2f}-{high:.2f})" if intervals else f"{mean:.3f}")
    return cells


def _mapping(text: str) -> dict[str, Any]:
    settings = parse(text, "difficulty")
    if not isinstance(settings, dict):
        raise ConfigError(f'difficulty must be a mapping such as "{{op: [1, 12]}}", got {text!r}')
    return settings
