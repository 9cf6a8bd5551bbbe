"""Rows that a selector may choose from, without a visit to the pool where none is needed."""

from __future__ import annotations

import numpy as np

from edgewise.arrays import Counts, Flags, Rows
from edgewise.pool import PromptPool


class Candidates:
    """The whole pool without `exclude`, or a list of rows.

    Args:
        pool: the prompts.
        rows: distinct rows; None: the whole pool.
        exclude: rows of the pool not to choose, sorted; empty where `rows` are given.
        room: most rows that may be chosen of each category code, (C + 1,); None: any number.

    Example:
        >>> candidates = Candidates(PromptPool(range(5)), exclude=np.array([1, 3]))
        >>> len(candidates), candidates.rows.tolist(), candidates.is_pool
        (3, [0, 2, 4], True)
    """

    def __init__(
        self, pool: PromptPool, rows: Rows | None = None, exclude: Rows | None = None, room: Counts | None = None
    ):
        self.pool = pool
        self.exclude = np.empty(0, np.int64) if exclude is None else exclude
        self.room = room
        self._rows = rows
        self.is_pool = rows is None

    def __len__(self) -> int:
        """How many rows may be chosen."""
        if self.room is not None:
            return int(np.minimum(self.room, self._by_category()).sum())
        return len(self.pool) - len(self.exclude) if self._rows is None else len(self._rows)

    @property
    def rows(self) -> Rows:
        """All candidates, int64 (n,); work proportional to the pool where they are the pool."""
        if self._rows is None:
            everything = np.arange(len(self.pool), dtype=np.int64)
            self._rows = np.delete(everything, self.exclude) if self.exclude.size else everything
        return self._rows

    def allow(self, rows: Rows) -> Flags:
        """Which of `rows` are candidates, (n,)."""
        if not self.is_pool:
            return np.isin(rows, self.rows)
        return ~np.isin(rows, self.exclude) if self.exclude.size else np.ones(len(rows), np.bool_)

    def without(self, rows: Rows) -> Candidates:
        """The candidates but `rows`, some of them."""
        if self.is_pool:
            return Candidates(self.pool, None, np.union1d(self.exclude, rows), self.room)
        return Candidates(self.pool, self.rows[~np.isin(self.rows, rows)], room=self.room)

    def limited(self, room: Counts) -> Candidates:
        """The candidates, of which no more than `room` may be chosen of each category code, (C + 1,)."""
        return Candidates(self.pool, None if self.is_pool else self.rows, self.exclude, room)

    def sample(self, n: int, rng: np.random.Generator) -> Rows:
        """n distinct candidates, uniformly and in random order; work proportional to n."""
        if self.is_pool:
            return self.pool.sample(n, rng, self.exclude)
        return self.rows[rng.choice(len(self), n, replace=False)]

    def _by_category(self) -> Counts:
        """Number of candidates by category code, whatever the room."""
        if not self.is_pool:
            return np.bincount(self.pool.category_index(self.rows), minlength=len(self.pool.category_names) + 1)
        sizes = self.pool.category_sizes()
        return sizes - np.bincount(self.pool.category_index(self.exclude), minlength=len(sizes))
