"""The command `edgewise demo`: a comparison with live progress, its table and its page."""

from __future__ import annotations

import time
import webbrowser
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from edgewise.experiments.comparison import compare, configured, preset
from edgewise.experiments.monitor import Monitor, clock
from edgewise.experiments.workers import Interrupted
from edgewise.report.page import write
from edgewise.report.terminal import table


def demo(
    task: str,
    methods: tuple[str, ...] | None,
    seeds: int | None,
    first_seed: int | None,
    placebo: bool,
    changes: dict[str, Any],
    out: Path,
    workers: int | None,
    show: bool,
) -> None:
    """Compare, print, write the page; options that are None keep the preset's value."""
    config = configured(preset(task), methods, seeds, first_seed, placebo, changes)
    console = Console()
    monitor = Monitor(config, console)
    began = time.monotonic()
    try:
        with Live(monitor, console=console, refresh_per_second=4, transient=True):
            summary = compare(config, out, workers, monitor.update)
    except (Interrupted, KeyboardInterrupt):
        raise KeyboardInterrupt(
            f"stopped after {monitor.done} of {monitor.total} steps, which are kept in {out}; the same command goes on"
        ) from None
    page = write(out)
    console.print(table(summary))
    link = f"[link={page.resolve().as_uri()}]{page}[/link]"
    console.print(f"{clock(time.monotonic() - began)} for this command. Report: {link}")
    # Only at a terminal: in a batch job the browser would be a text browser.
    if show and console.is_terminal:
        webbrowser.open(page.resolve().as_uri())
