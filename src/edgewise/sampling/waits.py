"""Exponential waits of the prompts observed, of which only the short ones are needed."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edgewise.arrays import Floats, Rows
from edgewise.sampling.unseen import Unseen

PLAIN = 2**16
"""Prompts observed up to which a wait is drawn for each; where there are more, work follows the short waits."""


class Waits(Protocol):
    """A unit exponential wait of each prompt observed that may be chosen; `size`: how many these are."""

    size: int

    def within(self, limit: float) -> tuple[Rows, Floats]:
        """All rows whose wait is at most `limit`, ascending, and the waits, (m,) each."""


class AllWaits:
    """Waits drawn for every row.

    Args:
        unseen: what was observed, and what may be chosen.
        rng: source of randomness.
    """

    def __init__(self, unseen: Unseen, rng: np.random.Generator):
        self._rows = unseen.seen_rows()
        self._waits = rng.exponential(size=len(self._rows))
        self.size = len(self._rows)

    def within(self, limit: float) -> tuple[Rows, Floats]:
        inside = (self._waits <= limit).nonzero()[0]
        return self._rows[inside], self._waits[inside]


class ShortWaits:
    """Waits drawn up to a limit that rises; distributed as those of `AllWaits`.

    The number of waits that end in an interval is binomial, the rows that they belong to are any of those left, and they are
    independent within it. Rows that may not be chosen have waits too, which nothing reads.

    Args:
        unseen: what was observed, and what may be chosen.
        rng: source of randomness.
    """

    def __init__(self, unseen: Unseen, rng: np.random.Generator):
        self._seen, self._rng, self._total = unseen.seen, rng, len(unseen.seen)
        self._excluded = unseen.excluded_seen()
        self.size = self._total - len(self._excluded)
        # Positions among the sorted rows observed, and their waits.
        self._ranks, self._waits, self._limit = np.empty(0, np.int64), np.empty(0), 0.0

    def within(self, limit: float) -> tuple[Rows, Floats]:
        if limit > self._limit:
            share = -np.expm1(self._limit - limit)
            fresh = self._more(int(self._rng.binomial(self._total - len(self._ranks), share)))
            ends = self._limit - np.log1p(-self._rng.random(len(fresh)) * share)
            ranks, waits = np.concatenate([self._ranks, fresh]), np.concatenate([self._waits, ends])
            order = np.argsort(ranks)
            self._ranks, self._waits, self._limit = ranks[order], waits[order], limit
        inside = self._waits <= limit
        rows, waits = self._seen.sorted_at(self._ranks[inside]), self._waits[inside]
        allowed = ~np.isin(rows, self._excluded)
        return rows[allowed], waits[allowed]

    def _more(self, n: int) -> Rows:
        """n distinct ranks without a wait, uniformly."""
        left = self._total - len(self._ranks)
        if 4 * n > left or 4 * len(self._ranks) > self._total:
            free = np.delete(np.arange(self._total), self._ranks)
            return free if n == left else self._rng.choice(free, n, replace=False)
        found: Rows = np.empty(0, np.int64)
        while len(found) < n:
            ranks = self._rng.integers(self._total, size=2 * (n - len(found)) + 16)
            found = np.concatenate([found, ranks[~np.isin(ranks, self._ranks)]])
            _, first = np.unique(found, return_index=True)
            found = found[np.sort(first)]
        return found[:n]
