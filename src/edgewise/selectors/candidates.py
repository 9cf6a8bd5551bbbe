"""Rows that a selector may choose from, without a visit to the pool where none is needed."""

from __future__ import annotations

import numpy as np

from edgewise.arrays import Flags, Rows
from edgewise.pool import PromptPool


class Candidates:
    """The whole pool without `exclude`, or a list of rows.

    Args:
        pool: the prompts.
        rows: distinct rows; None: the whole pool.
        exclude: rows of the pool not to choose, sorted; empty where `rows` are given.
        closed: codes of categories not to choose from, sorted; empty where `rows` are given.

    Example:
        >>> candidates = Candidates(PromptPool(range(5)), exclude=np.array([1, 3]))
        >>> len(candidates), candidates.rows.tolist(), candidates.is_pool
        (3, [0, 2, 4], True)
    """

    def __init__(
        self, pool: PromptPool, rows: Rows | None = None, exclude: Rows | None = None, closed: Rows | None = None
    ):
        self.pool = pool
        self.exclude = np.empty(0, np.int64) if exclude is None else exclude
        self.closed = np.empty(0, np.int64) if closed is None else closed
        self._rows = rows
        self.is_pool = rows is None

    def __len__(self) -> int:
        if self._rows is not None:
            return len(self._rows)
        free = len(self.pool) - len(self.exclude)
        if not len(self.closed):
            return free
        inside = np.isin(self.pool.category_index(self.exclude), self.closed)
        return free - int(self.pool.category_sizes()[self.closed].sum()) + int(inside.sum())

    @property
    def rows(self) -> Rows:
        """All candidates, int64 (n,); work proportional to the pool where they are the pool."""
        if self._rows is None:
            everything = np.arange(len(self.pool), dtype=np.int64)
            rows = np.delete(everything, self.exclude) if self.exclude.size else everything
            self._rows = rows[self._open(rows)]
        return self._rows

    def allow(self, rows: Rows) -> Flags:
        """Which of `rows` are candidates, (n,)."""
        return ~np.isin(rows, self.exclude) & self._open(rows) if self.is_pool else np.isin(rows, self.rows)

    def without(self, rows: Rows) -> Candidates:
        """The candidates but `rows`, some of them."""
        if self.is_pool:
            return Candidates(self.pool, None, np.union1d(self.exclude, rows), self.closed)
        return Candidates(self.pool, self.rows[~np.isin(self.rows, rows)])

    def closing(self, codes: Rows) -> Candidates:
        """The candidates but those in categories with these codes."""
        if self.is_pool:
            return Candidates(self.pool, None, self.exclude, np.union1d(self.closed, codes))
        return Candidates(self.pool, self.rows[~np.isin(self.pool.category_index(self.rows), codes)])

    def sample(self, n: int, rng: np.random.Generator) -> Rows:
        """n distinct candidates, uniformly and in random order; work proportional to n, unless categories are closed."""
        if self.is_pool and not len(self.closed):
            return self.pool.sample(n, rng, self.exclude)
        return self.rows[rng.choice(len(self), n, replace=False)]

    def _open(self, rows: Rows) -> Flags:
        """Which of `rows` are in categories that may be chosen from, (n,)."""
        if not len(self.closed):
            return np.ones(len(rows), bool)
        return ~np.isin(self.pool.category_index(rows), self.closed)
