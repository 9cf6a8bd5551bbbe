"""Watcher of runs: reads what their logs have gained and keeps the views up to date."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgewise.errors import EdgewiseError
from edgewise.replay.logs import LogReader
from edgewise.replay.logs.folders import place_of
from edgewise.replay.logs.rollouts import Progress
from edgewise.watch.view import view

LOAD = 5.0
"""Reading takes at most one part in this many of the time."""


class Watcher:
    """Views of some runs; `update` brings them up to date.

    Args:
        readers: of the runs.
        find: finds the readers of all runs anew, those that have begun since among them, and appends to the list that it is
            given a sentence for each place that it cannot read; None: the runs stay the same.

    Attributes:
        views: one a run, see `edgewise.watch.view.view`.
        version: counts the updates that changed something.
        lock: held while the logs change.
    """

    def __init__(self, readers: Sequence[LogReader], find: Callable[[list[str]], Sequence[LogReader]] | None = None):
        self.readers = list(readers)
        self._find = find
        self._places = {place_of(reader): reader for reader in self.readers}
        self.views: list[dict[str, Any]] = []
        self.version = 0
        self.lock = threading.RLock()
        self._stop = threading.Event()

    def update(self, progress: Progress | None = None) -> bool:
        """Read what is new; whether anything was.

        Raises:
            EdgewiseError: a log that cannot be read, at the first update; later ones keep the last view and say so in it, and
                name the places that are left out.
        """
        with self.lock:
            first = not self.views
            changed, readers, views = first, [], []
            left_out: list[str] = []
            begun = {} if first else self._begun(left_out)
            for number, reader in enumerate([*self.readers, *begun.values()]):
                before = None if number >= len(self.views) else self.views[number]
                try:
                    fresh, notes = reader.poll(progress), [*reader.log.notes, *left_out]
                    fresh = fresh or before is None or before["notes"] != notes
                    shown = view(reader.log, written(reader)) if before is None or fresh else before
                except EdgewiseError as error:
                    if first:
                        raise
                    if before is None:  # it has changed since it was found, and is found again
                        continue
                    notes = [str(error), *left_out]
                    fresh, shown = before["notes"] != notes, before
                fresh |= shown["name"] != reader.name
                changed |= fresh
                when = None if fresh else written(reader)
                idle = shown["idle"] if when is None else max(0.0, time.time() - when)
                readers.append(reader)
                views.append({**shown, "name": reader.name, "idle": idle, "notes": notes})
            self.readers, self.views = readers, views
            self._places |= {place: reader for place, reader in begun.items() if reader in readers}
            self.version += changed
            return changed

    def _begun(self, left_out: list[str]) -> dict[Path, LogReader]:
        """Readers of the runs that have begun since, by place; those that are known take the names that keep all of them apart.

        What cannot be read is found again, and may be whole by then; until then a sentence in `left_out` names it.
        """
        refused: list[str] = []
        found: dict[Path, LogReader] = {}
        try:
            found |= {place_of(reader): reader for reader in (self._find(refused) if self._find is not None else ())}
        except EdgewiseError as error:  # such as files that have gone since they were found
            refused.append(str(error))
        begun = {}
        for place, reader in found.items():
            if place in self._places:
                self._places[place].name = reader.name
                continue
            try:
                reader.poll()
                len(reader.log)
            except EdgewiseError as error:
                refused.append(str(error))
            else:
                begun[place] = reader
        left_out += [f"Left out: {why}" for why in refused]
        return begun

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
