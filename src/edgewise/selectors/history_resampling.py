"""History resampling: every epoch leaves out what the last one showed to be mastered (SRPO, arXiv 2504.14286)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Counts, selectors
from edgewise.selectors.epochs import EpochSelector
from edgewise.selectors.groups import LastGroups


@selectors.register("history_resampling")
class HistoryResamplingSelector(EpochSelector):
    """Shuffled epochs over the prompts whose last group was not all right (the paper's section on history resampling).

    Mixed and all-wrong groups stay: the latter may become solvable. As published, a dropped prompt is not tested again. Only
    where too few others are left do dropped ones fill the batch, and one that fails then returns to the next epoch.
    """

    def __init__(self, pool: PromptPool, seed: int = 0):
        super().__init__(pool, seed)
        self._groups = LastGroups(len(pool))

    def _members(self) -> Rows:
        mastered = self._groups.table.rows[self._groups.rates() == 1]
        return np.delete(np.arange(len(self.pool), dtype=np.int64), mastered)

    def _learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        super()._learn(rows, successes, trials)
        self._groups.observe(rows, successes, trials)

    def _age(self) -> None:
        super()._age()
        self._groups.advance()

    def grow(self) -> None:
        super().grow()
        self._groups.grow(len(self.pool))

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), **self._groups.metrics(len(self.pool))}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "groups": self._groups.state_dict()}

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        # The groups first: they decide which new prompts join the epoch under way.
        self._groups.load_state_dict(state["groups"], remap)
        super()._load(state, remap)
