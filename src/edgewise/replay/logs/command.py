"""The `edgewise replay LOGS` command, without its command line."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgewise.checkpoint import require_place, write_json, writing_to
from edgewise.errors import CheckpointError, ConfigError, printable
from edgewise.replay.logs.answer import answer, to_dict
from edgewise.replay.logs.folders import open_log
from edgewise.replay.logs.rollouts import Progress
from edgewise.replay.logs.savings import Savings, count_waste, estimate_savings
from edgewise.replay.logs.traces import log_of_trace
from edgewise.replay.trace import Trace

FOLLOWED = ("edge", "mopps")
NOT_FOLLOWED = ("uniform", "ds", "epochs")
"""Methods that choose without predictions: their row is the run's own, or follows from it."""


def is_log(path: str | os.PathLike[str]) -> bool:
    """Whether a path is the log of a run, rather than a complete trace that selectors can choose from freely."""
    place = Path(path)
    if place.is_dir() or (place.is_file() and place.suffix != ".npz"):
        return True
    if place.suffix == ".npz" and place.is_file():
        try:
            return not Trace.load(place).complete
        except CheckpointError:
            return False
    return False


def main(
    path: str | os.PathLike[str],
    methods: Sequence[str] = FOLLOWED,
    *,
    columns: str | None = None,
    success: float | None = None,
    scale: tuple[float, float] | None = None,
    out: str | os.PathLike[str] | None = None,
    as_json: bool = False,
) -> Savings:
    """Print what a run wasted and what selectors would have saved.

    Args:
        path: log of one run.
        methods: in one word each; `uniform` and `ds` are always part of the answer.
        columns, success, scale: see `edgewise.replay.logs.open_logs`.
        out: JSON file for everything behind the answer.
        as_json: print that instead of words.

    Raises:
        ConfigError: no log, or one that cannot be read.
    """
    require_place(out, read=[path])
    reader = open_log(Path(path), columns=columns, success=success, scale=scale)
    with reading_bar("reading") as show:
        reader.poll(show)
    log = reader.log
    count_waste(log)
    chosen = [name for name in dict.fromkeys(name.removesuffix("+ds") for name in methods) if name not in NOT_FOLLOWED]
    steps = len(log.starts[0])
    with reading_bar("following the log") as show:
        total = steps * max(len(chosen), 1)
        savings = estimate_savings(
            log,
            chosen,
            progress=None if show is None else lambda done, name: show(chosen.index(name) * steps + done, total),
        )
    result = to_dict(savings)
    if out is not None:
        with writing_to(out):
            write_json(out, result)
    print(json.dumps(result, indent=1) if as_json else printable(answer(savings), keep="\n"))
    return savings


@contextmanager
def reading_bar(title: str) -> Iterator[Progress | None]:
    """A bar on a terminal, where rich is installed; nothing elsewhere."""
    if not sys.stderr.isatty() or importlib.util.find_spec("rich") is None:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    # A step of a large log may take a minute, and the time left is estimated from several.
    with Bar(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=600.0) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=max(total, 1))


__all__ = ["ConfigError", "is_log", "log_of_trace", "main"]
