"""Watcher of runs: reads what their logs have gained and keeps the views up to date."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgewise.errors import EdgewiseError
from edgewise.replay.logs import LogReader
from edgewise.replay.logs.rollouts import Progress
from edgewise.watch.view import view

LOAD = 5.0
"""Reading takes at most one part in this many of the time."""


class Watcher:
    """Views of some runs; `update` brings them up to date.

    Args:
        readers: of the runs.

    Attributes:
        views: one a run, see `edgewise.watch.view.view`.
        version: counts the updates that changed something.
        lock: held while the logs change.
    """

    def __init__(self, readers: Sequence[LogReader]):
        self.readers = list(readers)
        self.views: list[dict[str, Any]] = []
        self.version = 0
        self.lock = threading.RLock()
        self._stop = threading.Event()

    def update(self, progress: Progress | None = None) -> bool:
        """Read what is new; whether anything was.

        Raises:
            EdgewiseError: a log that cannot be read, at the first update; later ones keep the last view and say so in it.
        """
        with self.lock:
            first = not self.views
            changed, views = first, []
            for number, reader in enumerate(self.readers):
                try:
                    fresh = reader.poll(progress) or first
                    shown = view(reader.log, written(reader)) if fresh else self.views[number]
                except EdgewiseError as error:
                    if first:
                        raise
                    fresh, shown = False, {**self.views[number], "notes": [str(error)]}
                changed |= fresh
                if not fresh and (when := written(reader)) is not None:
                    shown = {**shown, "idle": max(0.0, time.time() - when)}
                views.append(shown)
            self.views = views
            self.version += changed
            return changed

    def follow(self, every: float) -> None:
        """Update from a thread of its own, at most every `every` seconds, until `stop`."""

        def work() -> None:
            pause = every
            while not self._stop.wait(pause):
                began = time.monotonic()
                self.update()
                pause = max(every, LOAD * (time.monotonic() - began))

        threading.Thread(target=work, daemon=True).start()

    def stop(self) -> None:
        self._stop.set()


def written(reader: LogReader) -> float | None:
    """When the newest file of a run was last written, in seconds since the epoch; None if it cannot be seen."""
    times = []
    for path in _files(reader):
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times, default=None)


def _files(reader: LogReader) -> list[Path]:
    files = getattr(reader, "files", None)
    if callable(files):
        return list(files())
    path = getattr(reader, "path", None)
    return [path] if isinstance(path, Path) else []
