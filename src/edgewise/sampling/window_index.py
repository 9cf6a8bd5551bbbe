"""Index of seen prompts by the probability that their draw falls into a window around a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Floats, Rows, distinct
from edgewise.beliefs.base import Belief
from edgewise.distributions import Distribution
from edgewise.sampling.nearest import draw_outside, half_width, target_count, widest
from edgewise.seen import SeenTable

BUCKETS = 32
"""Prompts are kept in buckets by powers of two of their envelope; less than 2**-31 counts as that."""


class WindowIndex:
    """Seen prompts in the order of the probability that their draw falls into a window around the target.

    The belief's table itself is kept in that order: bucket b > 0 holds prompts whose envelope 2 half max f is in
    (2**-(b + 1), 2**-b], bucket 0 those above 1/2, which are drawn plainly; behind the last bucket are prompts seen
    since. So the index costs a few numbers, and a select visits a binomial number of prompts of each bucket.

    Args:
        belief: static: a distribution changes only when its prompt is observed (`update`).
        table: the prompts that the belief has seen; no other part may rely on the order of its slots.
        target: in (0, 1).
    """

    def __init__(self, belief: Belief, table: SeenTable, target: float):
        self.belief, self.table, self.target = belief, table, target
        # Largest select the window serves, half its width, and how many draws fell into it last time.
        self.n, self.half, self.found = 0, 0.0, 0
        self.starts = np.zeros(BUCKETS + 1, np.int64)

    def draws(self, n: int, exclude: Rows, observed: Rows, rng: np.random.Generator) -> IndexedDraws:
        """Draws of the seen prompts around the target, without those of `exclude`; `observed` since the last call."""
        self.update(n, observed)
        draws = IndexedDraws(self, exclude, rng)
        self.found = int(np.count_nonzero(draws.distance <= draws.radius))
        return draws

    def distribution(self, slots: Any) -> Distribution:
        return self.belief.distribution(self.table.rows[slots])

    def update(self, n: int, observed: Rows) -> None:
        """Prepare a select of n: move prompts observed since, widen or narrow the window where it fits badly."""
        limit = widest(self.target)
        if self.n == 0:
            self.table.move(slice(None), np.argsort(self.table.rows))
            sample = np.unique(np.linspace(0, len(self.table) - 1, 4096).astype(np.int64))
            weight = np.full(len(sample), len(self.table) / len(sample))
            self._build(half_width(self.distribution(sample), weight, self.target, n), n)
            return
        few, many = n > self.n or self.found < self.n + 3.0 * self.n**0.5, self.found > 4.0 * target_count(self.n)
        self._reindex(observed)
        if many or (few and self.half < limit):
            n = max(n, self.n)
            factor = np.clip(1.25 * target_count(n) / max(self.found, 1), 0.1, 10.0)
            self._build(min(self.half * float(factor), limit), n)

    def _build(self, half: float, n: int) -> None:
        self.half, self.n = half, n
        bucket = np.empty(len(self.table), np.uint8)
        for start in range(0, len(bucket), 1 << 16):
            part = slice(start, min(start + (1 << 16), len(bucket)))
            bucket[part] = self._bucket(self.distribution(part))
        self.table.move(slice(None), np.argsort(bucket, kind="stable"))
        self.starts[1:] = np.cumsum(np.bincount(bucket, minlength=BUCKETS))

    def _bucket(self, distribution: Distribution) -> npt.NDArray[np.uint8]:
        low, high = self.target - self.half, self.target + self.half
        share = distribution.log_peak(low, high) + np.log(2.0 * self.half) + 1e-9
        return np.clip(np.floor(-share / np.log(2.0)), 0, BUCKETS - 1).astype(np.uint8)

    def _reindex(self, observed: Rows) -> None:
        """Move observed and new prompts into their buckets. The result does not depend on the order of observations."""
        table, starts, old_end = self.table, self.starts, int(self.starts[-1])
        fresh = np.arange(old_end, len(table))
        touched = table.slots(observed)
        slots = np.concatenate([touched[touched < old_end], fresh]).astype(np.int64)
        if not len(slots):
            return
        bucket = np.searchsorted(starts, slots, side="right") - 1  # fresh ones: BUCKETS
        wanted = self._bucket(self.distribution(slots)).astype(np.int64)
        changed = bucket != wanted
        slots, wanted, bucket = slots[changed], wanted[changed], bucket[changed]
        delta = np.bincount(wanted, minlength=BUCKETS) - np.bincount(bucket, minlength=BUCKETS + 1)[:BUCKETS]
        moved = starts + np.concatenate([[0], np.cumsum(delta)])
        # Entries displaced by a moved bucket boundary are moved as well.
        between = [np.arange(min(a, b), max(a, b)) for a, b in zip(starts, moved, strict=True) if a != b]
        movers = distinct(np.concatenate([slots, *between]))
        home = np.searchsorted(starts, movers, side="right") - 1
        home[np.searchsorted(movers, slots)] = wanted
        table.move(movers, movers[np.lexsort((table.rows[movers], home))])
        self.starts = moved

    def state_dict(self) -> dict[str, Any]:
        order = self.table.rows[: self.starts[-1]].copy()
        numbers = {"target": self.target, "n": self.n, "half": self.half, "found": self.found}
        return {**numbers, "starts": self.starts.copy(), "order": order}

    @classmethod
    def restored(cls, belief: Belief, table: SeenTable, state: Mapping[str, Any]) -> WindowIndex:
        """The index of a `state_dict`; puts the table back into its order."""
        index = cls(belief, table, float(state["target"]))
        index.n, index.half, index.found = int(state["n"]), float(state["half"]), int(state["found"])
        index.starts = np.array(state["starts"], np.int64)
        indexed = table.slots(np.asarray(state["order"], np.int64))
        others = np.ones(len(table), bool)
        others[indexed] = False
        others_slots = np.flatnonzero(others)
        others_slots = others_slots[np.argsort(table.rows[others_slots])]
        table.move(slice(None), np.concatenate([indexed, others_slots]))
        return index


class IndexedDraws:
    """One select's draws of an index's prompts; `labels` are rows."""

    def __init__(self, index: WindowIndex, exclude: Rows, rng: np.random.Generator):
        self._index, self._exclude, self._rng = index, exclude, rng
        self.radius = index.half
        sizes = np.diff(index.starts)
        bound = 0.5 ** np.arange(BUCKETS)
        counts = rng.binomial(sizes[1:], bound[1:])
        picks = [
            index.starts[b] + rng.choice(sizes[b], counts[b - 1], replace=False) for b in 1 + np.flatnonzero(counts)
        ]
        slots = np.concatenate([np.empty(0, np.int64), *picks])
        offset = rng.uniform(-index.half, index.half, len(slots))
        density = np.exp(index.distribution(slots).log_density(index.target + offset))
        kept = rng.random(len(slots)) * np.repeat(bound[1:], counts) < density * 2.0 * index.half
        plain = np.arange(sizes[0])
        distance = np.abs(index.distribution(plain).draw(rng) - index.target)
        self._hit = slots[kept]
        self.labels, self.distance = self._allowed(
            np.concatenate([plain, self._hit]), np.concatenate([distance, np.abs(offset[kept])])
        )

    def complete(self) -> None:
        index = self._index
        rest = np.ones(len(index.table), bool)
        rest[: index.starts[1]] = False
        rest[self._hit] = False
        slots = np.flatnonzero(rest)
        distance = draw_outside(index.distribution(slots), index.target, self.radius, self._rng)
        labels, distance = self._allowed(slots, distance)
        self.labels = np.concatenate([self.labels, labels])
        self.distance = np.concatenate([self.distance, distance])
        self.radius = np.inf

    def _allowed(self, slots: np.ndarray, distance: Floats) -> tuple[np.ndarray, Floats]:
        rows = self._index.table.rows[slots]
        allowed = ~np.isin(rows, self._exclude)
        return rows[allowed], distance[allowed]
