"""Rules that do not choose by success rates still predict them."""

from __future__ import annotations

from typing import Any

from edgewise.beliefs import BetaBelief, CategoryPrior
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Counts, Floats, Selector


class OnlookerSelector(Selector):
    """Watches success rates without choosing by them, so that `predict` answers.

    The belief is a Beta posterior a prompt around its category's learned prior, with MoPPS's discount of 0.5.
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
