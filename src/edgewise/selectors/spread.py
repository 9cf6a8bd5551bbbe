"""Limit on the share of a selection that one category may take, so that training does not narrow to the nearest skill (ours)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from edgewise.arrays import Counts, Rows
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
    share as well. Where categories are few the limit is twice an even share, so that two categories are not limited at all.

    Args:
        pool: the prompts.
        share: of every selection that a category may take, in (0, 1].

    Example:
        >>> pool = PromptPool(range(100), [f"family {i // 10}" for i in range(100)])
        >>> limit = CategoryLimit(pool, share=0.25)
        >>> first = lambda n, candidates: candidates.rows[:n]
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
        """n rows of the candidates, int64 (n,): as `draw(n, candidates)` gives them, within the limit as far as possible."""
        filled = np.count_nonzero(self.pool.category_sizes()) if self.pool.has_categories else 1
        share = max(self.share, 2.0 / filled)
        if share >= 1 or not n:
            return draw(n, candidates)
        allowed = self.credit + share * n
        left, chosen, open_ = np.floor(allowed + 1e-9).astype(np.int64), np.empty(0, np.int64), candidates
        while len(chosen) < n:
            wanted = n - len(chosen)
            if len(open_) < wanted:
                # The limit cannot be kept.
                chosen = np.concatenate([chosen, draw(len(open_), open_)])
                chosen = np.concatenate([chosen, draw(n - len(chosen), candidates.without(chosen))])
                break
            kept = self._kept(draw(wanted, open_), left, draw)
            left -= self._counts(kept)
            chosen = np.concatenate([chosen, kept])
            open_ = candidates.without(chosen).closing(np.flatnonzero(left <= 0))
        self.credit = np.clip(allowed - self._counts(chosen), 0.0, 1.0)
        return chosen

    def _kept(self, rows: Rows, left: Counts, draw: Callable[[int, Candidates], Rows]) -> Rows:
        """Those of `rows` that the categories have room for; of a category with too many, a draw."""
        code = self.pool.category_index(rows)
        crowded = np.flatnonzero(self._counts(rows) > left)
        parts = [rows[~np.isin(code, crowded)]]
        parts += [draw(int(left[own]), Candidates(self.pool, rows[code == own])) for own in crowded if left[own] > 0]
        return np.concatenate(parts)

    def _counts(self, rows: Rows) -> Counts:
        return np.bincount(self.pool.category_index(rows), minlength=len(self.credit))
