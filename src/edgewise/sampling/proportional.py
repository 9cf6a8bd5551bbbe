"""Draws in proportion to acquisition values, one prompt after the other without replacement."""

from __future__ import annotations

import math

import numpy as np

from edgewise.acquisition import Acquisition
from edgewise.arrays import Counts, Floats, Rows, smallest
from edgewise.beliefs.base import Belief
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.sampling.base import CandidateRows, Draw, draws, within
from edgewise.sampling.unseen import Unseen
from edgewise.sampling.waits import PLAIN, AllWaits, ShortWaits, Waits

MANY = 2**18
"""Classes times prompts to choose from which the times of unseen prompts are drawn up to a common limit."""
FAINT = -600.0
"""Logarithm of a weight below which times are computed as logarithms alone, since weights come near to 0 in double precision."""


@draws.register("proportional")
class Proportional(Draw):
    """n distinct rows drawn one after the other with probability proportional to value^sharpness.

    Each prompt gets an exponential time with its weight as rate; the n shortest are the draw (Efraimidis and Spirakis
    2006). Exchangeable prompts share a weight, so the shortest of their times are a sum of exponential gaps, however many
    there are: work follows the number of prompts seen.

    Args:
        pool: the prompts.
        sharpness: inverse temperature, >= 0: 0 draws uniformly, a high one nearly takes the best.

    Example:
        >>> import edgewise as ew
        >>> from edgewise.acquisition import PInformative
        >>> from edgewise.beliefs import BetaBelief
        >>> pool = ew.PromptPool(range(5))
        >>> belief = BetaBelief(pool)
        >>> belief.observe(np.array([1, 3]), np.array([8, 4]), np.array([8, 8]))
        >>> candidates = ew.selectors.Candidates(pool, rows=np.array([1, 3]))
        >>> Proportional(pool).choose(1, candidates, belief, PInformative(), np.random.default_rng(0)).tolist()
        [3]
    """

    keeps_room = True

    def __init__(self, pool: PromptPool, *, sharpness: float = 4.0):
        super().__init__(pool)
        if not 0 <= sharpness < np.inf:
            raise ConfigError(f"sharpness must be finite and >= 0, got {sharpness}")
        self.sharpness = float(sharpness)

    def check(self, acquisition: Acquisition) -> None:
        if not acquisition.positive:
            raise ConfigError(
                f"values of {type(acquisition).__name__} are below 0, so nothing can be drawn in proportion to them: use"
                " acquisition=p_informative or learnability, or draw=top or thompson"
            )

    def log_weight(self, value: Floats) -> Floats:
        """Logarithm of the weight of an acquisition value, (n,)."""
        return self.sharpness * np.log(np.maximum(value, 1e-12))

    def choose(
        self, n: int, candidates: CandidateRows, belief: Belief, acquisition: Acquisition, rng: np.random.Generator
    ) -> Rows:
        exchangeable = belief.exchangeable() if candidates.is_pool else None
        if exchangeable is not None and (exchangeable.by_category or candidates.room is None):
            unseen = Unseen(self.pool, exchangeable, candidates.exclude)
            return self._races(n, unseen, candidates.room, belief, acquisition, rng)
        rows = candidates.rows
        # Gumbel noise on the logarithm of the weight: the highest n are a draw without replacement.
        key = self.log_weight(acquisition.of(belief.distribution(rows), rows)) + rng.gumbel(size=len(rows))
        return rows[_first(n, -key, self.pool.category_index(rows), candidates.room)]

    def _races(
        self,
        n: int,
        unseen: Unseen,
        room: Counts | None,
        belief: Belief,
        acquisition: Acquisition,
        rng: np.random.Generator,
    ) -> Rows:
        bounded = math.isfinite(acquisition.highest) and len(unseen.seen) > PLAIN
        waits: Waits = ShortWaits(unseen, rng) if bounded else AllWaits(unseen, rng)
        classes = unseen.sizes.nonzero()[0]
        log_weight = self.log_weight(acquisition.of(unseen.distribution[classes]))
        sizes = unseen.sizes[classes]
        if len(classes) * n <= MANY or log_weight.min() < FAINT:
            index, others = order_statistics(n, log_weight, sizes, rng)
        else:
            index, others = first_arrivals(n, log_weight, sizes, rng, None if room is None else room[classes])
        fresh = classes[index]
        near, chosen = self._shortest(n, waits, others, fresh, room, belief, acquisition)
        seen = chosen.searchsorted(len(near))
        return np.concatenate([near[chosen[:seen]], unseen.sample(fresh[chosen[seen:] - len(near)], rng)])

    def _shortest(
        self,
        n: int,
        waits: Waits,
        others: Floats,
        fresh: Rows,
        room: Counts | None,
        belief: Belief,
        acquisition: Acquisition,
    ) -> tuple[Rows, Rows]:
        """Rows observed whose time wait / weight may be among the n shortest, ascending, and which times these are.

        The times are those of the rows, then `others`; their positions are ascending. No weight exceeds that of
        `Acquisition.highest`, so a row whose wait would be too long even with it cannot be chosen, and its weight need not be
        computed: the draw is the same as if all weights were.

        Args:
            n: number of rows to choose.
            waits: of the prompts observed.
            others: log times of the prompts never observed, and `fresh`: their category codes.
            room: most rows of each code.
        """
        bounded = math.isfinite(acquisition.highest) and waits.size > 16 * n
        largest = acquisition.highest**self.sharpness if bounded else 1.0
        limit = 8.0 * n / waits.size if bounded else np.inf
        while True:
            near, wait = waits.within(limit)
            times = np.log(wait) - self.log_weight(acquisition.of(belief.distribution(near), near))
            times = np.concatenate([times, others])
            chosen = _first(n, times, np.concatenate([self.pool.category_index(near), fresh]), room)
            if n == 0 or len(near) == waits.size:
                return near, chosen
            last = largest * np.exp(times[chosen].max()) if len(chosen) == n else np.inf
            if last <= limit:
                return near, chosen
            limit = min(last, 4.0 * limit)


def _first(n: int, times: Floats, codes: Rows, room: Counts | None) -> Rows:
    """Positions of the n shortest times within the room of their category codes, ascending."""
    if room is None:
        return smallest(times, n)
    # Mostly a few of the shortest will do, and they need not be found among all in order.
    few = 4 * n
    while 0 < few < len(times):
        inside = (times <= np.partition(times, few - 1)[few - 1]).nonzero()[0]
        order = inside[times[inside].argsort(kind="stable")]
        fitting = order[within(codes[order], room, n)]
        if len(fitting) == n:
            return np.sort(fitting)
        few *= 8
    order = times.argsort(kind="stable")
    return np.sort(order[within(codes[order], room, n)])


def order_statistics(n: int, log_weight: Floats, sizes: Counts, rng: np.random.Generator) -> tuple[Rows, Floats]:
    """The n shortest times of each class: class of each time and its logarithm, (m,) each.

    The i-th shortest of s exponential times is a sum of gaps with rates s, s - 1, ...

    Args:
        n: number of times wanted of each class, as far as it has as many prompts.
        log_weight: logarithm of the rate of a prompt by class, (classes,).
        sizes: prompts by class, >= 1, (classes,).
    """
    ranks, size = np.arange(min(n, int(sizes.max(initial=0)))), sizes[:, None]
    gaps = rng.exponential(size=(len(sizes), len(ranks))) / np.maximum(size - ranks, 1)
    shortest = np.log(gaps.cumsum(axis=1)) - log_weight[:, None]
    exists = ranks < size
    return np.arange(len(sizes)).repeat(exists.sum(1)), shortest[exists]


def first_arrivals(
    n: int, log_weight: Floats, sizes: Counts, rng: np.random.Generator, room: Counts | None = None
) -> tuple[Rows, Floats]:
    """All times of all classes up to one that is late enough for n of them; distributed as those of `order_statistics`.

    The number of a class's times in an interval is binomial, and they are independent within it: work follows the number of
    classes and n, not their product.

    Args:
        n, log_weight, sizes: see `order_statistics`.
        room: times of each class that count towards n, (classes,); none is drawn of one that has as many. None: all count.
    """
    room = sizes if room is None else np.minimum(room, sizes)
    weight, left = np.exp(log_weight), sizes.copy()
    owners, times, begin, fit = [np.empty(0, np.int64)], [np.empty(0)], 0.0, 0
    # Expected arrivals are at most weight x size x time.
    length = 1.5 * n / max(float(weight @ left), 1e-300)
    while fit < n and left.any():
        share = -np.expm1(-weight * length)
        counts = rng.binomial(left, share)
        owner = np.repeat(np.arange(len(left)), counts)
        inside = -np.log1p(-rng.random(len(owner)) * share[owner]) / weight[owner]
        owners.append(owner)
        times.append(begin + inside)
        left, begin, length = left - counts, begin + length, 2.0 * length
        arrived = sizes - left
        fit = int(np.minimum(arrived, room).sum())
        left[arrived >= room] = 0
    with np.errstate(divide="ignore"):
        return np.concatenate(owners), np.log(np.concatenate(times))
