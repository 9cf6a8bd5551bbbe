"""Aggregation of rollouts into groups in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

COLUMNS: dict[str, tuple[Any, Any]] = {
    "step": (np.int64, None),
    "row": (np.int64, None),
    "group": (np.int64, None),
    "part": (np.int32, None),
    "successes": (np.int32, np.add),
    "trials": (np.int32, np.add),
    "length": (np.int64, np.add),
    "truncated": (np.int32, np.add),
    "low": (np.float32, np.minimum),
    "high": (np.float32, np.maximum),
    "advantage": (np.float32, np.maximum),
    "predicted": (np.float32, np.maximum),
    "random": (np.int8, np.maximum),
    "where": (np.int64, np.minimum),
}
"""Columns of the table: type, and how the rollouts of a group are joined (None: what a group is identified by).

`low` and `high` are the smallest and largest reward, `advantage` the largest absolute one (-1: not logged)."""
KEYS = ("step", "row", "group", "part")
FILE_BITS = 40
"""A place, `where`, is the number of the file above this many bits, and the offset or the row in it below."""
PENDING = 500_000
"""Rollouts that wait before they are joined into groups."""


class GroupTable:
    """Groups of rollouts by step, prompt, group key and part; memory grows with the groups, not with the rollouts."""

    def __init__(self) -> None:
        self._parts: list[dict[str, np.ndarray]] = []
        self._pending = 0

    def add(self, **columns: Any) -> None:
        """Append rollouts: one array (n,) or one scalar for each column."""
        n = len(columns["step"])
        part = {}
        for name, (kind, _) in COLUMNS.items():
            part[name] = np.broadcast_to(np.asarray(columns[name], kind), (n,))
        self._parts.append(part)
        self._pending += n
        if self._pending > PENDING:
            self.columns()

    def forget(self, file: int) -> None:
        """Drop what was read from a file."""
        held = self.columns()
        keep = held["where"] >> FILE_BITS != file
        self._parts = [{name: values[keep] for name, values in held.items()}]

    def columns(self) -> dict[str, np.ndarray]:
        """One array (groups,) a column, sorted by step, then by place in the files."""
        if not self._parts:
            return {name: np.empty(0, kind) for name, (kind, _) in COLUMNS.items()}
        if self._pending or len(self._parts) > 1:
            together = {name: np.concatenate([part[name] for part in self._parts]) for name in COLUMNS}
            self._parts, self._pending = [joined(together)], 0
        return self._parts[0]


def joined(columns: dict[str, np.ndarray], by: Sequence[str] = KEYS) -> dict[str, np.ndarray]:
    """Rows with equal values of the keys `by` made one, sorted by step, then by place in the files."""
    order = np.lexsort([columns[name] for name in reversed(by)])
    keys = [columns[name][order] for name in by]
    changed = np.ones(len(order), bool)
    changed[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    starts = np.flatnonzero(changed)
    result = {}
    for name, (_, join) in COLUMNS.items():
        values = columns[name][order]
        result[name] = values[starts] if join is None else join.reduceat(values, starts)
    order = np.lexsort([result["where"], result["step"]])
    return {name: values[order] for name, values in result.items()}
