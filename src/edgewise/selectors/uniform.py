"""Uniform sampling: shuffled epochs over the pool, as every trainer does by default."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.beliefs import BetaBelief
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Counts, Floats, Selector, selectors


@selectors.register("uniform")
class UniformSelector(Selector):
    """Every prompt once in random order, then again in a new order.

    Rows that cannot be used now (not among the candidates, or excluded) keep their place in the epoch. It also keeps
    MoPPS's belief on the side, so that `predict` answers; the belief never influences the choice.
    """

    def __init__(self, pool: PromptPool, seed: int = 0):
        super().__init__(pool, seed)
        self.epoch = 0
        self._queue = self.rng.permutation(len(pool))
        self._size = len(pool)
        self._belief = BetaBelief(pool)

    def _choose(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows:
        chosen, queue = self._take(n, self._queue, candidates, exclude)
        if len(chosen) < n:
            # The epoch is over: what it could not serve stays in front of the next one.
            self.epoch += 1
            renewed = self.rng.permutation(len(self.pool))
            barred = np.concatenate([exclude, chosen])
            extra, renewed = self._take(n - len(chosen), renewed, candidates, barred)
            left_over = ~np.isin(renewed, queue)
            chosen, queue = np.concatenate([chosen, extra]), np.concatenate([queue, renewed[left_over]])
        self._queue = queue
        return chosen

    def _take(self, n: int, queue: Rows, candidates: Rows | None, exclude: Rows) -> tuple[Rows, Rows]:
        """The first n usable rows of the queue, and the queue without them; reads no further than it has to."""
        if candidates is None and exclude.size == 0:
            return queue[:n], queue[n:]
        if candidates is None:
            # At most len(exclude) of the first n + len(exclude) rows are barred.
            window = queue[: n + len(exclude)]
            usable = np.flatnonzero(~np.isin(window, exclude))[:n]
        else:
            usable = np.flatnonzero(np.isin(queue, candidates) & ~np.isin(queue, exclude))[:n]
        end = int(usable[-1]) + 1 if usable.size else 0
        kept = np.delete(queue[:end], usable)
        return queue[usable], np.concatenate([kept, queue[end:]]) if kept.size else queue[end:]

    def _learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        self._belief.observe(rows, successes, trials)

    def _age(self) -> None:
        self._belief.advance()

    def _predict(self, rows: Rows) -> Floats:
        return self._belief.mean(rows)

    def grow(self) -> None:
        new = np.arange(self._size, len(self.pool), dtype=np.int64)
        self._size = len(self.pool)
        self._belief.grow()
        self._queue = self.rng.permutation(np.concatenate([self._queue, new]))

    def metrics(self) -> dict[str, float]:
        return {"epoch": float(self.epoch), **self._belief.metrics()}

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "epoch": self.epoch,
            "queue": self._queue.copy(),
            "belief": self._belief.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        queue = np.asarray(state["queue"], np.int64)
        super().load_state_dict(state, remap)
        self._belief.load_state_dict(state["belief"], remap)
        self.epoch = int(state["epoch"])
        if remap is not None:
            queue = remap[queue]
            new = np.setdiff1d(np.arange(len(self.pool)), remap[remap >= 0])
            queue = np.concatenate([queue[queue >= 0], new])
            if new.size:
                queue = self.rng.permutation(queue)
        self._queue = queue
