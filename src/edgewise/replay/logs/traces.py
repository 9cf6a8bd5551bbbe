"""Logs that are saved traces: success counts of prompts over policy steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgewise.errors import ConfigError
from edgewise.replay.logs.log import RunLog, grouped
from edgewise.replay.trace import Trace


class TraceReader:
    """Reader of a saved `Trace`; it is read again when the file has changed."""

    def __init__(self, name: str, path: Path):
        self.name, self.path = name, path
        self._stamp: tuple[int, int] | None = None
        self._log: RunLog | None = None

    def poll(self, progress: Any = None) -> bool:
        try:
            status = self.path.stat()
        except OSError as error:
            raise ConfigError(f"cannot read {self.path}: {error.strerror}") from error
        stamp = (status.st_size, status.st_mtime_ns)
        if stamp == self._stamp:
            return False
        self._log = log_of_trace(Trace.load(self.path), self.name)
        self._stamp = stamp
        return True

    @property
    def log(self) -> RunLog:
        if self._log is None:
            self.poll()
        assert self._log is not None
        return self._log

    def completions(self, row: int, most: int = 8) -> list[dict[str, Any]]:
        """A trace holds counts alone: none."""
        return []


def log_of_trace(trace: Trace, name: str = "trace") -> RunLog:
    """A trace as a log; a trace of whole evaluations is one of uniform picks."""
    pool, n = trace.pool, len(trace)
    prompt_codes = np.zeros(len(pool), np.int64) if pool.categories is None else pool.categories.astype(np.int64)
    return RunLog(
        name=name,
        source="Edgewise trace",
        steps=trace.steps[trace.index],
        rows=trace.rows,
        successes=trace.successes,
        trials=trace.trials,
        silent=((trace.successes == 0) | (trace.successes == trace.trials)) & grouped(trace.trials),
        lengths=np.full(n, -1, np.int64),
        truncated=np.full(n, -1, np.int64),
        predicted=np.full(n, np.nan),
        random=np.zeros(n, bool),
        codes=prompt_codes[trace.rows],
        where=np.full(n, -1, np.int64),
        ids=pool.ids,
        prompt_codes=prompt_codes,
        category_names=pool.category_names,
        pool_size=len(pool),
        given_pool=pool,
    )
