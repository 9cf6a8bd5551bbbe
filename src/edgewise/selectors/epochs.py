"""Shuffled passes over the pool: the order in which every trainer serves its dataset by default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgewise.errors import CheckpointError
from edgewise.pool import PromptPool, Rows


class Epochs:
    """Serves its members once in random order, then again in a new order.

    Args:
        pool: the prompts.
        rng: the generator of the selector that owns this.
        members: rows of the pass that begins now, distinct; the whole pool if None.
    """

    def __init__(self, pool: PromptPool, rng: np.random.Generator, members: Callable[[], Rows] | None = None):
        self.pool, self.rng = pool, rng
        self._members = members if members is not None else lambda: np.arange(len(pool), dtype=np.int64)
        self.number = 0
        self._queue: Rows = rng.permutation(self._members())

    def take(
        self,
        n: int,
        candidates: Rows | None,
        exclude: Rows,
        accept: Callable[[Rows], np.ndarray] | None = None,
    ) -> Rows:
        """The next n rows, distinct; fewer if a whole pass does not hold as many.

        Rows that cannot be used now (not among the candidates, or excluded) keep their place. Rows for which `accept`
        answers False are done with until the next pass.
        """
        chosen: Rows = np.empty(0, np.int64)
        waiting: Rows = np.empty(0, np.int64)
        renewed = False
        while len(chosen) < n:
            if len(self._queue) == 0:
                if renewed:
                    break
                # The pass is over: what it could not serve stays in front of the next one.
                renewed = True
                self.number += 1
                members = self.rng.permutation(self._members())
                self._queue = members[~np.isin(members, waiting)]
                continue
            missing = n - len(chosen)
            # Without candidates nearly every row is usable: reading no more than is missing leaves the pass in place.
            size = missing if candidates is None else len(self._queue)
            window, self._queue = self._queue[:size], self._queue[size:]
            usable = ~np.isin(window, exclude)
            if candidates is not None:
                usable &= np.isin(window, candidates)
            if renewed:
                usable &= ~np.isin(window, chosen)
            waiting = np.concatenate([waiting, window[~usable]])
            ready = window[usable]
            ready = ready if accept is None else ready[accept(ready)]
            chosen = np.concatenate([chosen, ready[:missing]])
            if len(ready) > missing:
                self._queue = np.concatenate([ready[missing:], self._queue])
        if len(waiting):
            self._queue = np.concatenate([waiting, self._queue])
        return chosen

    def add(self, rows: Rows) -> None:
        """New members join the pass under way at random places."""
        if len(rows):
            self._queue = self.rng.permutation(np.concatenate([self._queue, rows]))

    def state_dict(self) -> dict[str, Any]:
        return {"number": self.number, "queue": self._queue.copy()}

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        queue = np.asarray(state["queue"], np.int64)
        number = int(state["number"])
        if remap is not None:
            queue = remap[queue]
            queue = queue[queue >= 0]
        if len(queue) and (queue.min() < 0 or queue.max() >= len(self.pool) or len(np.unique(queue)) != len(queue)):
            raise CheckpointError("the saved pass over the prompts does not fit the pool")
        self._queue, self.number = queue, number
        if remap is not None:
            self.add(np.setdiff1d(self._members(), remap))
