"""Uniform sampling: shuffled epochs over the pool, as every trainer does by default."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.beliefs import BetaBelief, CategoryPrior
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Counts, Floats, Selector, selectors
from edgewise.selectors.epochs import Epochs


class OnlookerSelector(Selector):
    """Base of the rules that do not choose by success rates: they believe in them all the same, so `predict` answers.

    The belief (a Beta posterior a prompt around its category's learned prior) never influences the choice.
    """

    def __init__(self, pool: PromptPool, seed: int = 0):
        super().__init__(pool, seed)
        self._belief = BetaBelief(pool, CategoryPrior(pool), discount=0.5)

    def _learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        self._belief.observe(rows, successes, trials)

    def _age(self) -> None:
        self._belief.advance()

    def _predict(self, rows: Rows) -> Floats:
        return self._belief.mean(rows)

    def grow(self) -> None:
        self._belief.grow()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "belief": self._belief.state_dict()}

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        super()._load(state, remap)
        self._belief.load_state_dict(state["belief"], remap)


@selectors.register("uniform")
class UniformSelector(OnlookerSelector):
    """Every prompt once in random order, then again in a new order.

    Rows that cannot be used now (not among the candidates, or excluded) keep their place in the epoch.
    """

    def __init__(self, pool: PromptPool, seed: int = 0):
        super().__init__(pool, seed)
        self._epochs = Epochs(pool, self.rng)
        self._size = len(pool)

    def _choose(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows:
        return self._epochs.take(n, candidates, exclude)

    def grow(self) -> None:
        super().grow()
        self._epochs.add(np.arange(self._size, len(self.pool), dtype=np.int64))
        self._size = len(self.pool)

    def metrics(self) -> dict[str, float]:
        return {"epoch": float(self._epochs.number)}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "epochs": self._epochs.state_dict()}

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        super()._load(state, remap)
        self._epochs.load_state_dict(state["epochs"], remap)
