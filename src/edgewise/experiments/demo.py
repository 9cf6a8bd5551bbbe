"""The demo: a comparison with live progress, a table in the terminal and one page."""

from __future__ import annotations

import dataclasses
import time
import webbrowser
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from edgewise.checkpoint import write_json
from edgewise.errors import ConfigError
from edgewise.experiments.comparison import ComparisonConfig, compare, preset
from edgewise.experiments.runs import Event, Interrupted
from edgewise.experiments.summary import summarise
from edgewise.report import build_report, table


def run_demo(
    task: str,
    methods: tuple[str, ...] | None,
    seeds: int | None,
    first_seed: int | None,
    changes: dict[str, Any],
    out: Path,
    workers: int | None,
    show: bool,
) -> None:
    """Compare, print, write the page; options that are None keep the preset's value."""
    config = _configure(preset(task), methods, seeds, first_seed, changes)
    console = Console()
    monitor = Monitor(config, console)
    began = time.monotonic()
    try:
        with Live(monitor, console=console, refresh_per_second=4, transient=True):
            summary = compare(config, out, workers, monitor.tell)
    except (Interrupted, KeyboardInterrupt):
        console.print(f"Stopped after {monitor.done} of {monitor.total} steps. Everything done is kept in {out};")
        console.print("the same command goes on from there.")
        raise KeyboardInterrupt from None
    console.print(table(summary))
    page = build_report(out)
    console.print(
        f"{_clock(time.monotonic() - began)} for this command. Report: [link={page.resolve().as_uri()}]{page}[/link]"
    )
    # Only for a person at a terminal: a browser found by a batch job would be a text browser.
    if show and console.is_terminal:
        webbrowser.open(page.resolve().as_uri())


def write_report(folder: Path, show: bool) -> None:
    """Summary and page of a folder as it is now."""
    if not (folder / "config.yaml").exists():
        raise ConfigError(f"{folder} does not hold a comparison: it has no config.yaml")
    write_json(folder / "summary.json", summarise(folder))
    page = build_report(folder)
    print(page)
    if show:
        webbrowser.open(page.resolve().as_uri())


def _configure(
    config: ComparisonConfig,
    methods: tuple[str, ...] | None,
    seeds: int | None,
    first: int | None,
    changes: dict[str, Any],
) -> ComparisonConfig:
    chosen = {name: value for name, value in changes.items() if value is not None}
    pool = {key: chosen.pop(name) for name, key in (("pool", "size"), ("labels", "labels")) if name in chosen}
    run = dataclasses.replace(config.run, **chosen, pool=dataclasses.replace(config.run.pool, **pool))
    count = len(config.seeds) if seeds is None else seeds
    if count < 1:
        raise ConfigError(f"a comparison needs at least one seed, got {count}")
    start = config.seeds[0] if first is None else first
    return dataclasses.replace(
        config, run=run, methods=methods or config.methods, seeds=tuple(range(start, start + count))
    )


class Monitor:
    """What the terminal shows while runs are under way."""

    def __init__(self, config: ComparisonConfig, console: Console):
        self.console = console
        names = list(config.runs())
        self.lines: dict[str, dict[str, Any]] = {}
        self.active: set[str] = set()
        self.steps = dict.fromkeys(names, 0)
        self.per_run = config.run.steps
        self.finished = 0
        self.kept = 0
        self.began = time.monotonic()

    @property
    def total(self) -> int:
        return self.per_run * len(self.steps)

    @property
    def done(self) -> int:
        return sum(self.steps.values())

    def tell(self, event: Event) -> None:
        if event.what == "step":
            if event.run not in self.active:
                # A resumed run begins where it was: what it had done before took none of this command's time.
                self.kept += event.line["step"] - 1
                self.active.add(event.run)
            self.lines[event.run] = event.line
            self.steps[event.run] = event.line["step"]
        else:
            self.finished += 1
            self.active.discard(event.run)
            if not self.console.is_terminal:
                self.console.print(
                    f"{event.run} {event.what}, {self.finished} of {len(self.steps)} runs done, {self._left()} left"
                )
            if event.what == "kept":
                self.kept += self.per_run
            self.steps[event.run] = self.per_run

    def _left(self) -> str:
        fresh = self.done - self.kept
        elapsed = time.monotonic() - self.began
        return _clock(elapsed * (self.total - self.done) / fresh) if fresh > 0 else "?"

    def __rich__(self) -> RenderableType:
        elapsed = _clock(time.monotonic() - self.began)
        head = Text(f"{self.finished} of {len(self.steps)} runs done   {elapsed} so far, about {self._left()} left")
        grid = Table(box=None, padding=(0, 2))
        for name in ("run", "", "step", "reward", "effective ratio", "rollouts", "left"):
            grid.add_column(name, justify="left" if name in ("run", "") else "right")
        for name in sorted(self.active):
            line = self.lines[name]
            speed = line["seconds"] / line["step"]
            grid.add_row(
                name.replace("/seed_", " seed "),
                ProgressBar(line["steps"], line["step"], width=24),
                f"{line['step']}/{line['steps']}",
                f"{line['reward']:.2f}",
                f"{line['effective_ratio']:.2f}",
                f"{line['rollouts']:,}",
                _clock(speed * (line["steps"] - line["step"])),
            )
        return Group(head, ProgressBar(self.total, self.done), grid)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
