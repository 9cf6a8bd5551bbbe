"""Choice among prompts that were never observed, without a visit to them."""

from __future__ import annotations

import numpy as np

from edgewise.arrays import Rows
from edgewise.beliefs.base import Exchangeable
from edgewise.pool import PromptPool
from edgewise.seen import without


class Unseen:
    """Prompts never observed that may be chosen, by class.

    Args:
        pool: the prompts.
        exchangeable: classes of prompts never observed.
        exclude: rows not to choose, sorted.

    Attributes:
        distribution: of a prompt of each class, (classes,).
        sizes: number of prompts of each class that may be chosen, int64 (classes,).
    """

    def __init__(self, pool: PromptPool, exchangeable: Exchangeable, exclude: Rows):
        self.distribution, sizes, self._by_category, self.seen = exchangeable
        self._pool, self._exclude = pool, exclude
        unseen = exclude[self.seen.slots(exclude) < 0]
        code = pool.category_index(unseen) if self._by_category else np.zeros(len(unseen), np.int64)
        self.sizes = sizes - np.bincount(code, minlength=len(sizes))

    def seen_rows(self) -> Rows:
        """Prompts observed that may be chosen, sorted."""
        return without(self.seen.sorted_rows(), self._exclude)

    def sample(self, classes: Rows, rng: np.random.Generator) -> Rows:
        """A distinct row of each of `classes`, uniformly, in the order of classes."""
        counts = np.bincount(classes, minlength=len(self.sizes))
        whole_pool = not (self._by_category and self._pool.has_categories)
        found = [
            self.seen.sample_unseen(
                None if whole_pool else self._pool.members(code),
                int(counts[code]),
                int(self.sizes[code]),
                self._exclude,
                rng,
            )
            for code in np.flatnonzero(counts).tolist()
        ]
        return np.concatenate([np.empty(0, np.int64), *found]).astype(np.int64)
