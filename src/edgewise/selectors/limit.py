"""Limit on the share of a selection that one category may take, so that training does not narrow to the nearest skill (ours)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from edgewise.arrays import Rows
from edgewise.errors import ConfigError
from edgewise.parts import Part
from edgewise.pool import PromptPool
from edgewise.selectors.candidates import Candidates


class CategoryLimit(Part):
    """Keeps each category's share of the selections at or below a limit, where others can take the rest.

    The category with the most informative groups may be one that is guessed: a rule that follows the prediction alone spends
    half of a step on it, meets its few prompts again and again, and finds no other skill. A limit costs little where the
    prompts worth training on belong to many categories.

    Fractions of a prompt are carried from selection to selection, up to a whole one: selections of one prompt keep the
    share as well. Where categories are few the limit is three times an even share, so that two or three categories are not limited at all.

    Args:
        pool: the prompts.
        share: of every selection that a category may take, in (0, 1].

    Example:
        >>> from edgewise.sampling.base import within
        >>> pool = PromptPool(range(100), [f"family {i // 10}" for i in range(100)])
        >>> limit = CategoryLimit(pool, share=0.25)
        >>> def first(n, candidates):
        ...     codes = candidates.pool.category_index(candidates.rows)
        ...     return candidates.rows[within(codes, candidates.room, n)]
        >>> pool.category_index(limit.choose(8, Candidates(pool), first)).tolist()
        [1, 1, 1, 2, 2, 2, 3, 3]
    """

    # What a category may take beyond its share of the next selection, in prompts, at most 1.
    by_category: ClassVar[Mapping[str, float]] = {"credit": 1.0}

    def __init__(self, pool: PromptPool, *, share: float):
        super().__init__(pool)
        if not 0 < share <= 1:
            raise ConfigError(f"category_share is a share of every selection in (0, 1], got {share}")
        self.share = float(share)
        self.credit = np.ones(len(pool.category_names) + 1)

    def choose(self, n: int, candidates: Candidates, draw: Callable[[int, Candidates], Rows]) -> Rows:
        """n rows of the candidates, int64 (n,): by a draw that keeps the candidates' room; beyond the limit only where it cannot be kept."""
        filled = np.count_nonzero(self.pool.category_sizes()) if self.pool.has_categories else 1
        share = max(self.share, 3.0 / filled)
        if share >= 1 or not n:
            return draw(n, candidates)
        allowed = self.credit + share * n
        limited = candidates.limited(np.floor(allowed + 1e-9).astype(np.int64))
        rows = draw(min(n, len(limited)), limited)
        if len(rows) < n:
            # The limit cannot be kept.
            rows = np.concatenate([rows, draw(n - len(rows), candidates.without(rows))])
        taken = np.bincount(self.pool.category_index(rows), minlength=len(allowed))
        self.credit = np.minimum(np.maximum(allowed - taken, 0.0), 1.0)
        return rows
