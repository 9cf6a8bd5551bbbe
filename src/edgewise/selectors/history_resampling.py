"""History resampling: every epoch leaves out what the last one showed to be mastered (SRPO, arXiv 2504.14286)."""

from __future__ import annotations

import numpy as np

from edgewise.arrays import Rows
from edgewise.pool import PromptPool
from edgewise.selectors.base import selectors
from edgewise.selectors.epochs import EpochSelector
from edgewise.selectors.groups import LastGroups


@selectors.register("history_resampling")
class HistoryResamplingSelector(EpochSelector):
    """Shuffled epochs over the prompts whose last group was not all right (the paper's section on history resampling).

    Mixed and all-wrong groups stay: the latter may become solvable. As published, a dropped prompt is not tested again. Only
    where too few others are left do dropped ones fill the batch, and one that fails then returns to the next epoch.

    Args:
        pool: the prompts.
        seed: seed of the order.

    Example:
        >>> import edgewise as ew
        >>> selector = HistoryResamplingSelector(ew.PromptPool(range(3)))
        >>> selector.observe(selector.select(3), [8, 8, 8], 8)
        >>> selector.select(2).shape, selector.metrics()["fallback_picks"]
        ((2,), 2.0)
    """

    def __init__(self, pool: PromptPool, *, seed: int = 0):
        super().__init__(pool, seed=seed)
        self.groups = self.add("groups", LastGroups(pool))

    def members(self) -> Rows:
        mastered = self.groups.table.rows[self.groups.rates() == 1]
        return np.delete(np.arange(len(self.pool), dtype=np.int64), mastered)
