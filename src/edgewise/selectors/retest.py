"""Re-test floor: a share of every selection for prompts believed hopeless or mastered, so that no category is starved (ours)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from edgewise.arrays import Counts, Rows, distinct
from edgewise.errors import ConfigError
from edgewise.parts import Part
from edgewise.pool import PromptPool
from edgewise.selectors.candidates import Candidates
from edgewise.selectors.groups import LastGroups

SAMPLE = 4096
"""Seen prompts that are looked at in one selection; a uniform sample where there are more."""


class Retest(Part):
    """Chooses prompts whose last group was all wrong or all right: those of the category observed longest ago first.

    A rule that follows its belief never corrects a wrong one about what it no longer tries: a category whose grader was
    broken stays hopeless after the repair, and a prompt mastered once is not seen to be forgotten. The floor tries them at a
    fixed cost. Within a category, and where there are none, the prompt with the oldest group comes first; ties are drawn.

    Args:
        pool: the prompts.
        share: of every selection, in [0, 1]; fractions of a prompt are rounded at random.

    Example:
        >>> retest = Retest(PromptPool(range(3)), share=0.5)
        >>> retest.observe(np.array([0, 2]), np.array([0, 5]), np.array([8, 8]))
        >>> retest.choose(2, Candidates(retest.pool), np.random.default_rng(0)).tolist()
        [0]
    """

    # Policy step of the last group of each category; -1 before the first.
    by_category: ClassVar[Mapping[str, float]] = {"observed": -1.0}

    def __init__(self, pool: PromptPool, *, share: float = 0.02):
        super().__init__(pool)
        if not 0 <= share <= 1:
            raise ConfigError(f"retest is a share of every selection in [0, 1], got {share}")
        self.share = float(share)
        self.groups = self.add("groups", LastGroups(pool))
        self.observed = np.full(len(pool.category_names) + 1, -1.0)

    def observe(self, rows: Rows, successes: Counts, trials: Counts, age: Counts | None = None) -> None:
        super().observe(rows, successes, trials, age)
        self.observed[self.pool.category_index(rows)] = self.now

    def choose(self, n: int, candidates: Candidates, rng: np.random.Generator) -> Rows:
        """The share of a selection of n, int64 (m,) distinct; fewer where fewer such prompts are among the candidates."""
        count = int(n * self.share + rng.random())
        seen = self.groups.table
        if not count or not len(seen):
            return np.empty(0, np.int64)
        if len(seen) > SAMPLE:
            rows = seen.sorted_at(distinct(rng.integers(len(seen), size=SAMPLE)))
        else:
            rows = seen.sorted_rows()
        slots = seen.slots(rows)
        successes = seen["successes"][slots]
        silent = (successes == 0) | (successes == seen["trials"][slots])
        rows, slots = rows[silent], slots[silent]
        allowed = candidates.allow(rows)
        rows, slots = rows[allowed], slots[allowed]
        # One key: age of the category, then of the prompt's group, then chance.
        age = self.now - self.observed[self.pool.category_index(rows)]
        key = age * 2.0**20 + (self.now - seen["step"][slots]) + rng.random(len(rows))
        return rows[np.argpartition(-key, count - 1)[:count]] if count < len(rows) else rows

    def metrics(self) -> dict[str, float]:
        """Longest time since a category was observed, in policy steps."""
        known = self.observed[self.observed >= 0]
        return {"longest_unobserved": float(self.now - known.min())} if len(known) else {}
