"""Which of many Beta draws fall closest to a target, without a draw for every prompt; exact in distribution.

Only draws inside a narrow window around the target can be chosen. A prompt's draw x falls into the window with density
f(x), so proposals from any flat envelope above f, each kept with probability f(x) / envelope, are exactly the draws that
fall inside: nothing is approximated, no integral is computed. What stays outside is needed only when the window held too
few, and is then drawn conditionally on lying outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgewise.beliefs.seen import SeenTable
from edgewise.pool import Rows

Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.int64]
Posterior = Callable[[Any], tuple[Floats, Floats]]

# Strips of equal width that the envelope of prompts with one common prior is made of.
STRIPS = 32
# Prompts of an index are kept in buckets by powers of two of their envelope; less than 2**-31 counts as that.
BUCKETS = 32


class Near(Protocol):
    """Draws of some prompts: all that lie within `radius` of the target, maybe some beyond."""

    labels: np.ndarray  # (m,), what identifies each draw's prompt
    distance: Floats  # (m,)
    radius: float

    def complete(self) -> None:
        """Draw the rest, given that it lies farther than `radius`, which becomes infinite."""


def closest(parts: Sequence[Near], n: int) -> list[np.ndarray]:
    """Labels of the n draws closest to the target over all parts, by part; n at most the number of prompts."""
    while True:
        narrow = min(parts, key=lambda part: part.radius)
        if sum(np.count_nonzero(part.distance <= narrow.radius) for part in parts) >= n or narrow.radius == np.inf:
            break
        narrow.complete()
    distance = np.concatenate([part.distance for part in parts])
    chosen = np.argpartition(distance, n - 1)[:n] if n < len(distance) else np.arange(len(distance))
    ends = np.cumsum([len(part.distance) for part in parts])
    return [
        part.labels[chosen[(chosen >= end - len(part.distance)) & (chosen < end)] - (end - len(part.distance))]
        for part, end in zip(parts, ends, strict=True)
    ]


class Drawn:
    """Draws already made of every prompt."""

    def __init__(self, labels: np.ndarray, distance: Floats):
        self.labels, self.distance, self.radius = labels, distance, np.inf

    def complete(self) -> None:
        """Nothing is missing."""


class Alike:
    """Draws of many prompts that share a prior by kind: cost independent of how many there are.

    Args:
        alpha, beta: prior of each kind, (kinds,).
        sizes: number of prompts of each kind, (kinds,).
        n: draws wanted.
        target: in (0, 1).

    `labels` are kinds.
    """

    def __init__(self, alpha: Floats, beta: Floats, sizes: Slots, n: int, target: float, rng: np.random.Generator):
        self._alpha, self._beta, self._target, self._rng = alpha, beta, target, rng
        if sizes.sum() <= 4 * aim(n):
            self._left = np.zeros_like(sizes)
            self.labels, self.distance, self.radius = *self._plain(sizes), np.inf
            return
        self.radius = self._half_width(sizes, n)
        edges = target + self.radius * np.linspace(-1.0, 1.0, STRIPS + 1)
        width = 2.0 * self.radius / STRIPS
        peak = np.exp(self._log_peak(edges[:-1], edges[1:]))
        # A margin for rounding keeps the envelope above the density.
        share = peak * width * (1.0 + 1e-9)
        # A kind whose envelope does not fit into a probability has nearly all its prompts inside: those are few.
        whole = share.sum(axis=1) > 1.0
        labels, distance = self._plain(np.where(whole, sizes, 0))
        share[whole] = 0.0
        rest = np.maximum(1.0 - share.sum(axis=1, keepdims=True), 0.0)
        counts = rng.multinomial(np.where(whole, 0, sizes), np.concatenate([share, rest], axis=1))[:, :-1]
        kind, strip = (np.repeat(index, counts.ravel()) for index in np.divmod(np.arange(counts.size), STRIPS))
        offset = (strip + rng.random(len(strip))) * width - self.radius
        density = np.exp(self._log_density(target + offset, kind))
        kept = rng.random(len(kind)) * share[kind, strip] < density * width
        self._left = np.where(whole, 0, sizes) - np.bincount(kind[kept], minlength=len(sizes))
        self.labels = np.concatenate([labels, kind[kept]])
        self.distance = np.concatenate([distance, np.abs(offset[kept])])

    def complete(self) -> None:
        kinds = np.repeat(np.arange(len(self._left)), self._left)
        distance = np.abs(self._draw(kinds) - self._target)
        while (inside := np.flatnonzero(distance <= self.radius)).size:
            distance[inside] = np.abs(self._draw(kinds[inside]) - self._target)
        self.labels = np.concatenate([self.labels, kinds])
        self.distance = np.concatenate([self.distance, distance])
        self._left, self.radius = np.zeros_like(self._left), np.inf

    def _plain(self, sizes: Slots) -> tuple[Slots, Floats]:
        kinds = np.repeat(np.arange(len(sizes)), sizes)
        return kinds, np.abs(self._draw(kinds) - self._target)

    # What a family of distributions other than Beta replaces:

    def _half_width(self, sizes: Slots, n: int) -> float:
        return half_width(self._alpha, self._beta, sizes, self._target, n)

    def _log_peak(self, low: Floats, high: Floats) -> Floats:
        """At least the largest log density of each kind on each [low, high], (kinds, strips)."""
        return log_peak(self._alpha[:, None], self._beta[:, None], low, high)

    def _log_density(self, x: Floats, kinds: Slots) -> Floats:
        return log_density(x, self._alpha[kinds], self._beta[kinds])

    def _draw(self, kinds: Slots) -> Floats:
        return self._rng.beta(self._alpha[kinds], self._beta[kinds])


class WindowIndex:
    """Seen prompts in the order of the probability that their draw falls into a window around the target.

    The table itself is kept in that order: bucket b > 0 holds prompts whose envelope 2 half max f is in
    (2**-(b + 1), 2**-b], bucket 0 those above 1/2, which are drawn plainly; behind the last bucket are prompts that came
    since. So the index costs a few numbers, and a select visits a binomial number of prompts of each bucket.

    Posteriors may change only where `touch` is told.
    """

    def __init__(self, table: SeenTable, posterior: Posterior, target: float):
        self.table, self.posterior, self.target = table, posterior, target
        # Largest select the window serves, half its width, and how many draws fell into it last time.
        self.n, self.half, self._found = 0, 0.0, 0
        self.starts = np.zeros(BUCKETS + 1, np.int64)
        self._touched: Rows = np.empty(0, np.int64)

    def touch(self, rows: Rows) -> None:
        """These rows have been observed."""
        self._touched = np.union1d(self._touched, rows)

    def near(self, n: int, exclude: Rows, rng: np.random.Generator) -> _Hits:
        """Draws of the seen prompts around the target, without those of `exclude` (rows)."""
        self._prepare(n)
        hits = _Hits(self, exclude, rng)
        self._found = int(np.count_nonzero(hits.distance <= hits.radius))
        return hits

    def _prepare(self, n: int) -> None:
        """Before a select of n: choose the window anew where it has become much too wide or hardly wide enough."""
        limit = _limit(self.target)
        if self.n == 0:
            self.table.move(slice(None), np.argsort(self.table.rows))
            sample = np.unique(np.linspace(0, len(self.table) - 1, 4096).astype(np.int64))
            weight = np.full(len(sample), len(self.table) / len(sample))
            self._build(half_width(*self.posterior(sample), weight, self.target, n), n)
            return
        few, many = n > self.n or self._found < self.n + 3.0 * self.n**0.5, self._found > 4.0 * aim(self.n)
        self._settle()
        if many or (few and self.half < limit):
            n = max(n, self.n)
            factor = np.clip(1.25 * aim(n) / max(self._found, 1), 0.1, 10.0)
            self._build(min(self.half * float(factor), limit), n)

    def _build(self, half: float, n: int) -> None:
        self.half, self.n = half, n
        bucket = np.empty(len(self.table), np.uint8)
        for start in range(0, len(bucket), 1 << 16):
            part = slice(start, min(start + (1 << 16), len(bucket)))
            bucket[part] = self._bucket(self.posterior(part))
        self.table.move(slice(None), np.argsort(bucket, kind="stable"))
        self.starts[1:] = np.cumsum(np.bincount(bucket, minlength=BUCKETS))
        self._touched = self._touched[:0]

    def _bucket(self, counts: tuple[Floats, Floats]) -> npt.NDArray[np.uint8]:
        low, high = self.target - self.half, self.target + self.half
        share = log_peak(*counts, low, high) + np.log(2.0 * self.half) + 1e-9
        return np.clip(np.floor(-share / np.log(2.0)), 0, BUCKETS - 1).astype(np.uint8)

    def _settle(self) -> None:
        """Move touched and new prompts into their buckets. The result does not depend on the order of observations."""
        table, starts, old_end = self.table, self.starts, int(self.starts[-1])
        fresh = np.arange(old_end, len(table))
        touched = table.slots(self._touched)
        slots = np.concatenate([touched[touched < old_end], fresh]).astype(np.int64)
        self._touched = self._touched[:0]
        if not len(slots):
            return
        bucket = np.searchsorted(starts, slots, side="right") - 1  # fresh ones: BUCKETS
        wanted = self._bucket(self.posterior(slots)).astype(np.int64)
        changed = bucket != wanted
        slots, wanted, bucket = slots[changed], wanted[changed], bucket[changed]
        delta = np.bincount(wanted, minlength=BUCKETS) - np.bincount(bucket, minlength=BUCKETS + 1)[:BUCKETS]
        moved = starts + np.concatenate([[0], np.cumsum(delta)])
        # Whoever stands where its bucket no longer is has to move too; all others stay.
        between = [np.arange(min(a, b), max(a, b)) for a, b in zip(starts, moved, strict=True) if a != b]
        movers = np.unique(np.concatenate([slots, *between]))
        home = np.searchsorted(starts, movers, side="right") - 1
        home[np.searchsorted(movers, slots)] = wanted
        table.move(movers, movers[np.lexsort((table.rows[movers], home))])
        self.starts = moved

    def state_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "n": self.n,
            "half": self.half,
            "found": self._found,
            "starts": self.starts.copy(),
            "touched": self._touched.copy(),
        }

    @classmethod
    def restored(cls, table: SeenTable, posterior: Posterior, state: dict[str, Any]) -> WindowIndex:
        """The index of `state_dict`, for a table with its prompts in the same order."""
        index = cls(table, posterior, float(state["target"]))
        index.n, index.half, index._found = int(state["n"]), float(state["half"]), int(state["found"])
        index.starts = np.array(state["starts"], np.int64)
        index._touched = np.array(state["touched"], np.int64)
        return index


class _Hits:
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
        alpha, beta = index.posterior(slots)
        offset = rng.uniform(-index.half, index.half, len(slots))
        density = np.exp(log_density(index.target + offset, alpha, beta))
        kept = rng.random(len(slots)) * np.repeat(bound[1:], counts) < density * 2.0 * index.half
        plain = np.arange(sizes[0])
        distance = np.abs(rng.beta(*index.posterior(plain)) - index.target)
        self._hit = slots[kept]
        self.labels, self.distance = self._usable(
            np.concatenate([plain, self._hit]), np.concatenate([distance, np.abs(offset[kept])])
        )

    def complete(self) -> None:
        index = self._index
        rest = np.ones(len(index.table), bool)
        rest[: index.starts[1]] = False
        rest[self._hit] = False
        slots = np.flatnonzero(rest)
        labels, distance = self._usable(slots, outside(*index.posterior(slots), index.target, self.radius, self._rng))
        self.labels = np.concatenate([self.labels, labels])
        self.distance = np.concatenate([self.distance, distance])
        self.radius = np.inf

    def _usable(self, slots: Slots, distance: Floats) -> tuple[np.ndarray, Floats]:
        rows = self._index.table.rows[slots]
        free = ~np.isin(rows, self._exclude)
        return rows[free], distance[free]


def aim(n: int) -> float:
    """Expected number of draws inside the window for a select of n: fewer than n has a chance below 1e-9."""
    return 1.25 * n + 8.0 * n**0.5 + 24.0


def half_width(alpha: Floats, beta: Floats, weight: np.ndarray, target: float, n: int) -> float:
    """Half the window around the target in which about `aim(n)` of `weight` Beta draws fall; never reaches 0 or 1."""
    limit, wanted, constant = _limit(target), aim(n), log_beta(alpha, beta)
    middle, edges = np.zeros(2), np.linspace(-1.0, 1.0, STRIPS + 1)

    def expected(half: float, points: Floats) -> float:
        place = target + half * points[:, None]
        value = (alpha - 1.0) * np.log(place) + (beta - 1.0) * np.log1p(-place) - constant
        # As if log density were linear between two points: good for the steep flanks of sharp posteriors too.
        slope = np.maximum(np.abs(np.diff(value, axis=0)), 1e-9)
        strip = np.exp(np.maximum(value[1:], value[:-1])) * -np.expm1(-slope) / slope
        return 2.0 * half * float((strip @ weight).mean())

    narrow, wide = 0.0, limit
    guess = limit * wanted / max(expected(limit, middle), 1e-300)
    for _ in range(60):
        half = guess if narrow < guess < wide else (narrow * wide) ** 0.5 if narrow else wide
        inside = expected(half, edges)
        if wanted <= inside <= 1.6 * wanted or (inside < wanted and half >= wide):
            break
        narrow, wide = (half, wide) if inside < wanted else (narrow, half)
        guess = half * 1.25 * wanted / max(inside, 1e-300)
    return half


def _limit(target: float) -> float:
    return 0.98 * min(target, 1.0 - target)


def outside(alpha: Floats, beta: Floats, target: float, radius: float, rng: np.random.Generator) -> Floats:
    """Distances of Beta draws to the target, given that they are more than `radius`."""
    distance = np.abs(rng.beta(alpha, beta) - target)
    while (inside := np.flatnonzero(distance <= radius)).size:
        distance[inside] = np.abs(rng.beta(alpha[inside], beta[inside]) - target)
    return distance


def log_density(x: Floats, alpha: Floats, beta: Floats) -> Floats:
    """log of the Beta density at x in (0, 1)."""
    return (alpha - 1.0) * np.log(x) + (beta - 1.0) * np.log1p(-x) - log_beta(alpha, beta)


def log_peak(alpha: Floats, beta: Floats, low: npt.ArrayLike, high: npt.ArrayLike) -> Floats:
    """Largest log density on [low, high] inside (0, 1): at an end, or at the mode where there is one in between."""
    concave = (alpha > 1.0) & (beta > 1.0)
    mode = np.where(concave, alpha - 1.0, 1.0) / np.where(concave, alpha + beta - 2.0, 2.0)
    value = np.full(np.broadcast(alpha, low).shape, -np.inf)
    for x in (np.asarray(low), np.asarray(high), np.clip(mode, low, high)):
        value = np.maximum(value, (alpha - 1.0) * np.log(x) + (beta - 1.0) * np.log1p(-x))
    return value - log_beta(alpha, beta)


def log_beta(alpha: Floats, beta: Floats) -> Floats:
    """log B(alpha, beta), to about 1e-11."""
    return _log_gamma(alpha) + _log_gamma(beta) - _log_gamma(alpha + beta)


def _log_gamma(x: Floats) -> Floats:
    """Stirling's series at x + 8, taken back by the recurrence (Abramowitz & Stegun 6.1.41, 6.1.15)."""
    product = x * (x + 1.0) * (x + 2.0) * (x + 3.0) * (x + 4.0) * (x + 5.0) * (x + 6.0) * (x + 7.0)
    z = x + 8.0
    inverse = 1.0 / z**2
    series = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / z
    return (z - 0.5) * np.log(z) - z + 0.5 * np.log(2.0 * np.pi) + series - np.log(product)
