"""Live progress of a comparison: runs, steps and time left."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from edgewise.experiments.comparison import ComparisonConfig
from edgewise.experiments.workers import Event


class Monitor:
    """Live progress of a comparison in the terminal."""

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

    def update(self, event: Event) -> None:
        if event.what == "step":
            if event.run not in self.active:
                # A resumed run begins where it was: its earlier steps took none of this command's time.
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
        return clock(elapsed * (self.total - self.done) / fresh) if fresh > 0 else "?"

    def __rich__(self) -> RenderableType:
        elapsed = clock(time.monotonic() - self.began)
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
                clock(speed * (line["steps"] - line["step"])),
            )
        return Group(head, ProgressBar(self.total, self.done), grid)


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
