"""`edgewise experiment E1`: progress with time left while a study runs, its table and verdict at the end."""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from edgewise.errors import ConfigError
from edgewise.experiments.monitor import clock
from edgewise.experiments.study import tables
from edgewise.experiments.study.config import Budgets, Study, load_study
from edgewise.experiments.study.plan import units
from edgewise.experiments.study.power import plan, require_hours
from edgewise.experiments.study.run import copy_to_docs, run_study, stages_of
from edgewise.experiments.study.stages import is_done
from edgewise.experiments.workers import Event, Interrupted


def run(
    name: str,
    scale: str,
    seeds: int | None,
    first_seed: int | None,
    tolerance: float | None,
    out: Path | None,
    stages: Path | None,
    engine: str,
    workers: int | None,
    docs: Path | None,
    only_plan: bool = False,
    hours: float | None = None,
) -> None:
    """Run the unfinished part of a study and print the results; None keeps the study's own setting.

    Args:
        docs: folder of documentation that page and figures are copied to.
        only_plan: print the seeds that each claim needs, from the finished ones, instead.
        hours: most hours that the plan, or the unfinished part of the study, may take on this machine.
    """
    study = configured(load_study(name, scale), seeds, first_seed, tolerance)
    folder = out if out is not None else Path("runs") / f"{study.name}-{scale}"
    console = Console()
    if only_plan:
        for line in plan(study, stages_of(folder, stages), hours).lines():
            console.print(line, markup=False, highlight=False)
        return
    if hours is not None:
        require_hours(study, stages_of(folder, stages), hours)
    monitor = Monitor(study, stages_of(folder, stages), console)
    began = time.monotonic()
    try:
        with Live(monitor, console=console, refresh_per_second=2, transient=True):
            summary = run_study(study, folder, stages, engine, workers, monitor.update)
    except (Interrupted, KeyboardInterrupt):
        raise KeyboardInterrupt(
            f"stopped with {monitor.finished} of {monitor.total} units done; all steps are kept, and the same command goes on"
        ) from None
    copied = None if docs is None else copy_to_docs(study, folder, docs)
    console.print(Markdown(tables.results(study, summary)))
    console.print(Markdown(tables.claims(summary)))
    console.print(f"\nVerdict: {summary['verdict']}. {summary['why']}.", style="bold", markup=False)
    console.print(f"{clock(time.monotonic() - began)} for this command. Report: {folder / 'report.md'}", markup=False)
    if copied is not None:
        console.print(f"Copied to {copied}", markup=False)


def configured(study: Study, seeds: int | None, first: int | None, tolerance: float | None) -> Study:
    """The study with other seeds or another tolerance of budgets."""
    count = len(study.seeds) if seeds is None else seeds
    if count < 1:
        raise ConfigError(f"a study needs at least one seed, got {count}")
    start = study.seeds[0] if first is None else first
    if seeds is not None or first is not None:
        study = dataclasses.replace(study, seeds=tuple(range(start, start + count)))
    if tolerance is not None:
        study = dataclasses.replace(study, budgets=Budgets(study.budgets.length, tolerance))
    return study


class Monitor:
    """Live progress of a study in the terminal; time left from the mean time of finished stages of each kind."""

    def __init__(self, study: Study, root: Path, console: Console):
        self.console = console
        every = units(study)
        # Of a unit that was stopped, some stages are finished.
        self.left = {stage.name: stage for unit in every for stage in unit.stages if not is_done(stage, root)}
        self.of_unit = {unit.name: unit.stages for unit in every}
        self.total, self.finished = len(every), 0
        self.lines: dict[str, dict[str, Any]] = {}
        self.since: dict[str, tuple[float, int]] = {}
        self.pace: dict[str, list[float]] = defaultdict(list)
        self.began = time.monotonic()
        self.parallel = 1

    def update(self, event: Event) -> None:
        if event.what == "step":
            before = self.lines.get(event.run)
            if before and before["stage"] != event.line["stage"]:
                self._close(event.run, before["stage"])
            self.since.setdefault(event.line["stage"], (time.monotonic(), event.line["step"]))
            self.lines[event.run] = event.line
            self.parallel = max(self.parallel, len(self.lines))
            return
        self.finished += 1
        line = self.lines.get(event.run)
        if line:
            self._close(event.run, line["stage"])
        for stage in self.of_unit.get(event.run, ()):
            self.left.pop(stage.name, None)
        if not self.console.is_terminal:
            words = f"{event.run} {event.what}, {self.finished} of {self.total} done, {self._words()} left"
            self.console.print(words, markup=False, highlight=False)

    def _close(self, unit: str, stage: str) -> None:
        began, first = self.since.pop(stage)
        line = self.lines.pop(unit)
        share = 1 - first / line["steps"]
        if share > 0:
            self.pace[line["kind"]].append((time.monotonic() - began) / share)
        self.left.pop(stage, None)

    def _words(self) -> str:
        left = self.seconds_left()
        return "?" if left is None else f"about {clock(left)}"

    def seconds_left(self) -> float | None:
        """None before a step was done."""
        active = {line["stage"]: line for line in self.lines.values()}
        total, unknown = 0.0, 0
        means = {kind: sum(paces) / len(paces) for kind, paces in self.pace.items()}
        for name, line in active.items():
            began, first = self.since[name]
            if line["step"] > first:
                whole = (time.monotonic() - began) * line["steps"] / (line["step"] - first)
                means.setdefault(line["kind"], whole)
        for name, stage in self.left.items():
            share = 1 - active[name]["step"] / active[name]["steps"] if name in active else 1.0
            if stage.kind in means:
                total += share * means[stage.kind]
            else:
                unknown += 1
        if not means:
            return None
        return (total + unknown * sum(means.values()) / len(means)) / self.parallel

    def __rich__(self) -> RenderableType:
        elapsed = clock(time.monotonic() - self.began)
        head = Text(f"{self.finished} of {self.total} units done   {elapsed} so far, {self._words()} left")
        grid = Table(box=None, padding=(0, 2))
        for name in ("unit", "stage", "", "step"):
            grid.add_column(name)
        for name, line in sorted(self.lines.items()):
            grid.add_row(
                Text(name),
                line["kind"],
                ProgressBar(line["steps"], line["step"], width=24),
                f"{line['step']}/{line['steps']}",
            )
        return Group(head, ProgressBar(max(self.total, 1), self.finished), grid)
