"""Column store of the prompts seen so far: columns grow with what was observed, not with the pool."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Rows
from edgewise.checkpoint import require_numbers
from edgewise.errors import CheckpointError
from edgewise.parts import Part
from edgewise.pool import PromptPool

FEW = 128
"""Rows up to which a Python loop takes less time than array calls."""


class SeenTable(Part):
    """Rows seen so far, each with one value a column; 4 bytes a pool row for the index, the rest per seen row.

    Args:
        pool: the prompts.
        columns: dtype of each column by name.

    Example:
        >>> table = SeenTable(PromptPool(range(5)), {"visits": np.int32})
        >>> slots, new = table.insert(np.array([3, 1]))
        >>> table["visits"][slots] += 1
        >>> table.rows.tolist(), table["visits"].tolist(), table.slots(np.array([0, 1])).tolist()
        ([3, 1], [1, 1], [-1, 1])
    """

    def __init__(self, pool: PromptPool, columns: Mapping[str, npt.DTypeLike]):
        super().__init__(pool)
        self._slot = np.full(len(pool), -1, np.int32)
        self._rows = np.empty(0, np.int32)
        # Their last element stays 0: the value at slot -1, that of rows not seen.
        self._columns: dict[str, np.ndarray] = {name: np.zeros(1, dtype) for name, dtype in columns.items()}
        self._count = 0
        # The rows in ascending order, once they were needed, and how many slots they cover.
        self._sorted: npt.NDArray[np.int32] | None = None
        self._covered = 0
        # Rows that may be unseen, of lists of members nearly all of which were seen, by the first member; -1: the pool.
        self._few: dict[int, np.ndarray] = {}
        # Rows seen by category code, (C + 1,), counted when first needed.
        self._by_code: Rows | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        """Rows seen, in the order of their first observation, (len,)."""
        return self._rows[: self._count]

    def sorted_rows(self) -> Rows:
        """Rows seen in ascending order, int64 (len,)."""
        return self._merged().astype(np.int64)

    def sorted_at(self, places: Rows) -> Rows:
        """Rows at `places` of `sorted_rows`, int64 (n,), without a pass over all of them."""
        if self._sorted is None or FEW * (self._count - self._covered) > self._count + 2**16:
            self._merged()
        assert self._sorted is not None
        # Rows that are not yet among the sorted ones, and the places that they have in the whole.
        recent = np.sort(self._rows[self._covered : self._count])
        own = np.searchsorted(self._sorted, recent) + np.arange(len(recent))
        before = np.searchsorted(own, places)
        is_recent = np.isin(places, own)
        result = np.empty(len(places), np.int64)
        result[is_recent] = recent[before[is_recent]]
        result[~is_recent] = self._sorted[(places - before)[~is_recent]]
        return result

    def __getitem__(self, column: str) -> np.ndarray:
        """A column by slot, (len,): a view, to be written in place."""
        return self._columns[column][: self._count]

    def slots(self, rows: Rows) -> npt.NDArray[np.int32]:
        """Slot of each row, (n,), -1 where a row has not been seen."""
        return self._slot[rows]

    def at(self, column: str, slots: npt.NDArray[np.int32]) -> np.ndarray:
        """Values of a column at `slots`, (n,), 0 for rows that have not been seen."""
        return self._columns[column].take(slots)

    def insert(self, rows: Rows) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        """Slots of distinct `rows`, and which of them are new; new slots hold zeros."""
        slots = self._slot[rows]
        new = slots < 0
        fresh = rows[new]
        if len(fresh):
            end = self._count + len(fresh)
            self._reserve(end)
            slots[new] = np.arange(self._count, end, dtype=np.int32)
            self._slot[fresh] = slots[new]
            self._rows[self._count : end] = fresh
            for column in self._columns.values():
                column[self._count : end] = 0
            self._count = end
            if self._by_code is not None:
                self._by_code += np.bincount(self.pool.category_index(fresh), minlength=len(self._by_code))
        return slots, new

    def unseen_sizes(self, by_code: bool) -> Rows:
        """Number of rows not seen by category code, (C + 1,), or of all, (1,)."""
        if not by_code or not self.pool.has_categories:
            return np.array([len(self.pool) - len(self)], np.int64)
        if self._by_code is None:
            size = len(self.pool.category_names) + 1
            self._by_code = np.bincount(self.pool.category_index(self.rows), minlength=size).astype(np.int64)
        return self.pool.category_sizes() - self._by_code

    def move(self, places: Any, sources: np.ndarray) -> None:
        """Reorder slots: what was at `sources` is at `places` (indices or a slice) afterwards; the same slots twice."""
        if self._sorted is not None:
            self._merged()  # new rows are found by their slots, which are about to change
        places = np.arange(self._count, dtype=np.int32)[places] if isinstance(places, slice) else places
        self._rows[places] = self._rows[sources]
        for column in self._columns.values():
            column[places] = column[sources]
        self._slot[self._rows[places]] = places

    def sample_unseen(
        self, members: np.ndarray | None, n: int, left: int, exclude: Rows, rng: np.random.Generator
    ) -> Rows:
        """n distinct unseen rows, uniformly: of `members` (ascending; the pool if None), of which `left` are unseen and not
        in `exclude` (sorted).
        """
        size = len(self._slot) if members is None else len(members)
        if 2 * n > left or 16 * left < size:
            return rng.choice(without(self._unseen_of(members, 16 * left < size), exclude), n, replace=False)
        found: Rows = np.empty(0, np.int64)
        while len(found) < n:
            rows = rng.integers(size, size=2 * (n - len(found)) * size // left + 16)
            rows = rows if members is None else members[rows]
            if len(rows) + len(exclude) <= FEW:
                # The same by a loop, which takes less time than the calls below for so few.
                taken = {*exclude.tolist(), *found.tolist()}
                usable = (row for row in dict.fromkeys(rows.tolist()) if row not in taken and self._slot.item(row) < 0)
                found = np.array([*found.tolist(), *islice(usable, n - len(found))], np.int64)
                continue
            rows = rows[self._slot[rows] < 0]
            found = np.concatenate([found, rows[~np.isin(rows, exclude)]])
            _, first = np.unique(found, return_index=True)
            found = found[np.sort(first)]
        return found[:n]

    def _unseen_of(self, members: np.ndarray | None, few: bool) -> Rows:
        """Unseen rows of `members`, ascending; where they are few, kept: the next call looks at these alone."""
        key = -1 if members is None else int(members[0])
        rows = self._few.get(key)
        if rows is None:
            rows = np.arange(len(self._slot)) if members is None else members.astype(np.int64)
        rows = rows[self._slot[rows] < 0]
        if few:
            self._few[key] = rows
        return rows

    def grow(self) -> None:
        self._few = {}
        self._by_code = None
        self._slot = np.concatenate([self._slot, np.full(len(self.pool) - len(self._slot), -1, np.int32)])

    def state_dict(self) -> dict[str, Any]:
        """Rows and columns, in the order of rows, whatever order they were observed in."""
        order = np.argsort(self.rows)
        return {"rows": self.rows[order], **{name: self[name][order] for name in self._columns}}

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        try:
            rows = np.asarray(state["rows"], np.int64)
            columns = {name: np.asarray(state[name], old.dtype) for name, old in self._columns.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the saved table of seen prompts lacks {error}") from error
        if any(len(column) != len(rows) for column in columns.values()):
            raise CheckpointError("the saved table of seen prompts has columns of unequal length")
        for name, column in columns.items():
            require_numbers(f"column {name} of the table of seen prompts", column)
        if remap is not None:
            rows = remap[rows]
        kept = rows >= 0
        rows = rows[kept]
        if rows.size and (rows.max() >= len(self._slot) or len(np.unique(rows)) != len(rows)):
            raise CheckpointError("the saved table of seen prompts does not fit the pool")
        self._slot.fill(-1)
        self._count = 0
        self._sorted, self._covered, self._by_code, self._few = None, 0, None, {}
        self.insert(rows)
        for name, column in columns.items():
            self[name][:] = column[kept]

    def _merged(self) -> npt.NDArray[np.int32]:
        """All rows seen, in ascending order."""
        if self._sorted is None:
            self._sorted = np.sort(self.rows)
        elif self._covered < self._count:
            recent = self._rows[self._covered : self._count]
            # A stable sort merges what is sorted already.
            self._sorted = np.sort(np.concatenate([self._sorted, recent]), kind="stable")
        self._covered = self._count
        return self._sorted

    def _reserve(self, size: int) -> None:
        capacity = len(self._rows)
        if size <= capacity:
            return
        capacity = min(max(size, capacity + capacity // 2, 1024), max(size, len(self._slot)))
        self._rows = _resized(self._rows, capacity, self._count)
        self._columns = {name: _resized(old, capacity + 1, self._count) for name, old in self._columns.items()}


class OpenGroups(SeenTable):
    """A table of seen prompts that also holds the groups of the step that has not ended.

    Columns `successes` and `trials` are the rollouts of the present step; 0 for prompts without any.

    Args:
        pool: the prompts.
        columns: dtype of each further column by name.
        counts: dtype of successes and trials.

    Example:
        >>> table = OpenGroups(PromptPool(range(5)), {})
        >>> slots, _ = table.insert(np.array([3, 1]))
        >>> table.add_rollouts(slots, np.array([2, 0]), np.array([4, 4]))
        >>> table.rows[table.open()].tolist()
        [3, 1]
        >>> table.close()
        >>> table["trials"].tolist(), len(table.open())
        ([0.0, 0.0], 0)
    """

    def __init__(self, pool: PromptPool, columns: Mapping[str, npt.DTypeLike], counts: npt.DTypeLike = np.float32):
        super().__init__(pool, {**columns, "successes": counts, "trials": counts})
        self._open: list[np.ndarray] = []

    def add_rollouts(self, slots: np.ndarray, successes: npt.ArrayLike, trials: npt.ArrayLike) -> None:
        """Add rollouts to the present step's groups of distinct slots.

        A late result so old that its weight rounds to 0 begins no group: a group without rollouts has no success rate.
        """
        closed = self["trials"][slots] == 0
        self["successes"][slots] += successes
        self["trials"][slots] += trials
        self._open.append(slots[closed & (self["trials"][slots] > 0)])

    def add_group(self, rows: Rows, successes: npt.ArrayLike, trials: npt.ArrayLike, step: int) -> None:
        """The same by distinct rows; new ones get `step` in the column of this name."""
        slots, new = self.insert(rows)
        self["step"][slots[new]] = step
        self.add_rollouts(slots, successes, trials)

    def open(self) -> npt.NDArray[np.int32]:
        """Slots with a group in the present step, in the order in which the groups began."""
        return np.concatenate([np.empty(0, np.int32), *self._open])

    def close(self) -> None:
        """The step has ended: no group is open."""
        slots = self.open()
        self["successes"][slots] = self["trials"][slots] = 0
        self._open = []

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        super().restore(state, remap)
        self._open = [np.flatnonzero(self["trials"] > 0).astype(np.int32)]


def _resized(old: np.ndarray, capacity: int, used: int) -> np.ndarray:
    new = np.empty(capacity, old.dtype)
    new[:used], new[-1] = old[:used], 0
    return new


def without(rows: np.ndarray, exclude: Rows) -> np.ndarray:
    """Sorted `rows` without those of sorted `exclude`."""
    if not len(exclude) or not len(rows):
        return rows
    place = rows.searchsorted(exclude.astype(rows.dtype))
    return np.delete(rows, place[rows.take(place, mode="clip") == exclude])
