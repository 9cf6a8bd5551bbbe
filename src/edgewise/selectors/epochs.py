"""Shuffled passes over the pool: the order in which every trainer serves its dataset by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from edgewise.arrays import Flags, Rows
from edgewise.errors import CheckpointError
from edgewise.parts import Part
from edgewise.pool import PromptPool
from edgewise.selectors.base import Selector
from edgewise.selectors.candidates import Candidates


class Epochs(Part):
    """Serves its members once in random order, then again in a new order.

    Args:
        pool: the prompts.
        rng: generator of the selector that this belongs to.
        members: called when a pass begins: its rows, distinct.

    Example:
        >>> pool = PromptPool(range(4))
        >>> epochs = Epochs(pool, np.random.default_rng(0), lambda: np.arange(4))
        >>> rows = [epochs.take(2, Candidates(pool), lambda rows: rows >= 0) for _ in range(2)]
        >>> sorted(np.concatenate(rows).tolist())
        [0, 1, 2, 3]
    """

    saved = ("begun",)

    def __init__(self, pool: PromptPool, rng: np.random.Generator, members: Callable[[], Rows]):
        super().__init__(pool)
        self.rng, self._members = rng, members
        self.begun = 0
        self._size = len(pool)
        self._queue: Rows = np.empty(0, np.int64)
        # Rows added to the pool that have not joined the pass yet; members are known only when rows are taken.
        self._added: Rows = np.empty(0, np.int64)

    def take(self, n: int, candidates: Candidates, accept: Callable[[Rows], Flags]) -> Rows:
        """The next n rows, distinct; fewer if a whole pass does not hold as many.

        Rows that are no candidates keep their place. Rows for which `accept` is False are skipped until the next pass.
        """
        chosen: Rows = np.empty(0, np.int64)
        waiting: Rows = np.empty(0, np.int64)
        renewed = False
        self._join()
        while len(chosen) < n:
            if len(self._queue) == 0:
                if renewed:
                    break
                # The pass is over: what it could not serve goes to the front of the next one.
                renewed = True
                self.begun += 1
                members = self.rng.permutation(self._members())
                self._queue = members[~np.isin(members, waiting)]
                continue
            missing = n - len(chosen)
            # No further than to the last row that is needed: rows behind it are accepted or skipped when they are reached. In the
            # whole pool nearly every row is usable, and reading no more than is missing leaves the pass in place.
            size = missing
            if not candidates.is_pool:
                places = np.flatnonzero(candidates.allow(self._queue))
                size = int(places[missing - 1]) + 1 if len(places) >= missing else len(self._queue)
            window, self._queue = self._queue[:size], self._queue[size:]
            usable = candidates.allow(window)
            if renewed:
                usable &= ~np.isin(window, chosen)
            waiting = np.concatenate([waiting, window[~usable]])
            ready = window[usable]
            ready = ready[accept(ready)]
            chosen = np.concatenate([chosen, ready])
        if len(waiting):
            self._queue = np.concatenate([waiting, self._queue])
        return chosen

    def forget(self, rows: Rows) -> None:
        """Selected prompts without a result come back to the front of the pass."""
        if self.begun:
            self._queue = np.concatenate([rows[~np.isin(rows, self._queue)], self._queue])

    def grow(self) -> None:
        """New members join the pass at random places."""
        self._added = np.concatenate([self._added, np.arange(self._size, len(self.pool))])
        self._size = len(self.pool)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "queue": self._queue.copy(), "added": self._added.copy()}

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        super().restore(state, remap)
        queue, added = np.array(state["queue"], np.int64), np.array(state["added"], np.int64)
        if remap is not None:
            queue, added = remap[queue], remap[added]
            queue = queue[queue >= 0]
            added = np.concatenate([added[added >= 0], np.setdiff1d(np.arange(len(self.pool)), remap)])
        for rows in (queue, added):
            if len(rows) and (rows.min() < 0 or rows.max() >= len(self.pool) or len(np.unique(rows)) != len(rows)):
                raise CheckpointError("the saved pass over the prompts does not fit the pool")
        self._queue, self._added, self._size = queue, added, len(self.pool)

    def _join(self) -> None:
        if not len(self._added):
            return
        members = self._members()
        rows = members[np.isin(members, self._added)]
        self._added = self._added[:0]
        if len(rows) and self.begun:
            self._queue = self.rng.permutation(np.concatenate([self._queue, rows]))


class EpochSelector(Selector):
    """Base of the rules that walk through shuffled epochs and leave some prompts out.

    Where too few prompts pass, the batch is filled at random with ones that the rule would leave out, counted by the metric
    `fallback_picks`: a pool without good prompts never stops a run.

    Args:
        pool: the prompts.
        seed: seed of the order.

    Example:
        >>> class Odd(EpochSelector):
        ...     "Shuffled epochs over the odd rows."
        ...     def accept(self, rows):
        ...         return rows % 2 == 1
        >>> sorted(Odd(PromptPool(range(6))).select(3).tolist())
        [1, 3, 5]
    """

    saved: ClassVar[tuple[str, ...]] = ("fallback_picks",)
    permute = False

    def __init__(self, pool: PromptPool, *, seed: int = 0):
        super().__init__(pool, seed=seed)
        self.epochs = self.add("epochs", Epochs(pool, self.rng, self.members))
        self.fallback_picks = 0

    def members(self) -> Rows:
        """Rows of an epoch that begins now."""
        return np.arange(len(self.pool), dtype=np.int64)

    def accept(self, rows: Rows) -> Flags:
        """Which rows, next in the epoch, are not skipped, (n,)."""
        return np.ones(len(rows), bool)

    def choose(self, n: int, candidates: Candidates) -> Rows:
        chosen = self.epochs.take(n, candidates, self.accept)
        missing = n - len(chosen)
        if missing:
            self.fallback_picks += missing
            rest = np.setdiff1d(candidates.rows, chosen)
            chosen = np.concatenate([chosen, self.rng.choice(rest, missing, replace=False)])
        return chosen

    def metrics(self) -> dict[str, float]:
        own = {"epoch": float(max(self.epochs.begun - 1, 0)), "fallback_picks": float(self.fallback_picks)}
        return {**super().metrics(), **own}
