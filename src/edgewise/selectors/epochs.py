"""Shuffled passes over the pool: the order in which every trainer serves its dataset by default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgewise.errors import CheckpointError
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.onlooker import OnlookerSelector


class Epochs:
    """Serves its members once in random order, then again in a new order.

    Args:
        pool: the prompts.
        rng: the generator of the selector that owns this.
        members: called when a pass begins: its rows, distinct.
    """

    def __init__(self, pool: PromptPool, rng: np.random.Generator, members: Callable[[], Rows]):
        self.pool, self.rng, self._members = pool, rng, members
        self.begun = 0
        self._queue: Rows = np.empty(0, np.int64)

    def take(
        self,
        n: int,
        candidates: Rows | None,
        exclude: Rows,
        accept: Callable[[Rows], np.ndarray],
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
                self.begun += 1
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
            ready = ready[accept(ready)]
            chosen = np.concatenate([chosen, ready[:missing]])
            if len(ready) > missing:
                self._queue = np.concatenate([ready[missing:], self._queue])
        if len(waiting):
            self._queue = np.concatenate([waiting, self._queue])
        return chosen

    def add(self, rows: Rows) -> None:
        """New members join the pass under way at random places."""
        if len(rows) and self.begun:
            self._queue = self.rng.permutation(np.concatenate([self._queue, rows]))

    def state_dict(self) -> dict[str, Any]:
        return {"begun": self.begun, "queue": self._queue.copy()}

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        queue = np.asarray(state["queue"], np.int64)
        begun = int(state["begun"])
        if remap is not None:
            queue = remap[queue]
            queue = queue[queue >= 0]
        if len(queue) and (queue.min() < 0 or queue.max() >= len(self.pool) or len(np.unique(queue)) != len(queue)):
            raise CheckpointError("the saved pass over the prompts does not fit the pool")
        self._queue, self.begun = queue, begun
        if remap is not None:
            self.add(np.setdiff1d(self._members(), remap))


class EpochSelector(OnlookerSelector):
    """Base of the rules that walk through shuffled epochs, leaving some prompts out.

    Where too few prompts pass, the batch is filled at random with ones that the rule would leave out, and the metric
    `relaxed` counts them: a pool without good prompts never stops a run.
    """

    def __init__(self, pool: PromptPool, seed: int = 0):
        super().__init__(pool, seed)
        self._epochs = Epochs(pool, self.rng, self._members)
        self._size = len(pool)
        self.relaxed = 0

    def _members(self) -> Rows:
        """Rows of an epoch that begins now."""
        return np.arange(len(self.pool), dtype=np.int64)

    def _accept(self, rows: Rows) -> np.ndarray:
        """Which rows, next in the epoch, are not skipped, (n,)."""
        return np.ones(len(rows), bool)

    def _choose(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows:
        chosen = self._epochs.take(n, candidates, exclude, self._accept)
        missing = n - len(chosen)
        if missing:
            self.relaxed += missing
            rest = np.setdiff1d(self._available(candidates, exclude), chosen)
            chosen = np.concatenate([chosen, self.rng.choice(rest, missing, replace=False)])
        return chosen

    def grow(self) -> None:
        super().grow()
        members = self._members()
        self._epochs.add(members[members >= self._size])
        self._size = len(self.pool)

    def metrics(self) -> dict[str, float]:
        return {"epoch": float(max(self._epochs.begun - 1, 0)), "relaxed": float(self.relaxed)}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "epochs": self._epochs.state_dict(), "relaxed": self.relaxed}

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        super()._load(state, remap)
        self.relaxed = int(state["relaxed"])
        self._epochs.load_state_dict(state["epochs"], remap)
