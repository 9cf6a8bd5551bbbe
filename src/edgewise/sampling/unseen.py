"""Choice among prompts that were never observed, without a visit to them."""

from __future__ import annotations

import numpy as np

from edgewise.arrays import Rows
from edgewise.beliefs.base import Exchangeable
from edgewise.pool import PromptPool
from edgewise.seen import without

MANY = 64
"""Classes from which members are drawn for all of them at a time."""


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

    def excluded_seen(self) -> Rows:
        """Prompts observed that may not be chosen, sorted."""
        return self._exclude[self.seen.slots(self._exclude) >= 0]

    def sample(self, classes: Rows, rng: np.random.Generator) -> Rows:
        """A distinct row of each of `classes`, uniformly, in the order of classes."""
        counts = np.bincount(classes, minlength=len(self.sizes))
        if np.count_nonzero(counts) > MANY:
            return self._sample_many(np.sort(classes), rng)
        return self._sample_each(counts, rng)

    def _sample_each(self, counts: Rows, rng: np.random.Generator) -> Rows:
        whole_pool = not (self._by_category and self._pool.has_categories)
        found = [
            self.seen.sample_unseen(
                None if whole_pool else self._pool.members(code),
                int(counts[code]),
                int(self.sizes[code]),
                self._exclude,
                rng,
            )
            for code in counts.nonzero()[0].tolist()
        ]
        return np.concatenate([np.empty(0, np.int64), *found]).astype(np.int64)

    def _sample_many(self, classes: Rows, rng: np.random.Generator) -> Rows:
        """One member for all classes at a time, drawn again where it is seen, excluded or chosen already."""
        found = np.full(len(classes), -1, np.int64)
        for _ in range(16):
            open_ = np.flatnonzero(found < 0)
            if not len(open_):
                return found
            rows = self._pool.random_members(classes[open_], rng)
            _, first = np.unique(rows, return_index=True)
            usable = (self.seen.slots(rows) < 0) & ~np.isin(rows, self._exclude) & ~np.isin(rows, found)
            usable &= np.isin(np.arange(len(rows)), first)
            found[open_[usable]] = rows[usable]
        # Classes with few prompts left: leaving out what was chosen is exact, and there are few of them.
        taken = found[found >= 0]
        rest = Unseen.__new__(Unseen)
        rest.__dict__.update(self.__dict__)
        rest._exclude = np.union1d(self._exclude, taken)
        rest.sizes = self.sizes - np.bincount(self._pool.category_index(taken), minlength=len(self.sizes))
        open_ = np.flatnonzero(found < 0)
        found[open_] = rest._sample_each(np.bincount(classes[open_], minlength=len(self.sizes)), rng)
        return found
