"""Selectors that keep a belief: what all of them do with it."""

from __future__ import annotations

from typing import Any

from edgewise.beliefs.base import Belief
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Counts, Floats, Selector


class BelievingSelector(Selector):
    """Learns, ages, predicts and saves through its belief; subclasses choose.

    Args:
        pool: the prompts.
        belief: distribution over every prompt's success rate.
        seed: of whatever the choice draws.
    """

    def __init__(self, pool: PromptPool, belief: Belief, seed: int = 0):
        super().__init__(pool, seed)
        self.belief = belief

    def _learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        self.belief.observe(rows, successes, trials)

    def _age(self) -> None:
        self.belief.advance()

    def _predict(self, rows: Rows) -> Floats:
        return self.belief.mean(rows)

    def grow(self) -> None:
        self.belief.grow()

    def metrics(self) -> dict[str, float]:
        return self.belief.metrics()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "belief": self.belief.state_dict()}

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        super()._load(state, remap)
        self.belief.load_state_dict(state["belief"], remap)
