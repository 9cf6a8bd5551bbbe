"""Rejection sampling of the draws that fall closest to a target, without a draw for every prompt; exact in distribution.

Only draws inside a narrow window around the target can be chosen. A prompt's draw x falls into the window with density
f(x), so proposals from any flat envelope above f, each kept with probability f(x) / envelope, are exactly the draws that
fall inside: nothing is approximated, no integral is computed. Draws outside are needed only when the window held too few,
and are then made conditionally on lying outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from edgewise.arrays import Floats, Rows, smallest
from edgewise.distributions import Distribution

STRIPS = 32
"""Strips of equal width that the envelope of exchangeable prompts is made of."""


class PartialDraws(Protocol):
    """Draws of some prompts: all that lie within `radius` of the target, maybe some beyond."""

    labels: np.ndarray  # (m,), the prompt, or the class of the prompt, of each draw
    distance: Floats  # (m,)
    radius: float

    def complete(self) -> None:
        """Make the other draws, given that they lie farther than `radius`, which becomes infinite."""


def nearest(parts: Sequence[PartialDraws], n: int) -> list[np.ndarray]:
    """Labels of the n draws closest to the target over all parts, by part; n at most the number of prompts."""
    while True:
        narrow = min(parts, key=lambda part: part.radius)
        if sum(np.count_nonzero(part.distance <= narrow.radius) for part in parts) >= n or narrow.radius == np.inf:
            break
        narrow.complete()
    distance = np.concatenate([part.distance for part in parts])
    chosen = smallest(distance, n)
    ends = np.cumsum([len(part.distance) for part in parts])
    return [
        part.labels[chosen[(chosen >= end - len(part.distance)) & (chosen < end)] - (end - len(part.distance))]
        for part, end in zip(parts, ends, strict=True)
    ]


class AllDraws:
    """Draws already made of every prompt."""

    def __init__(self, labels: np.ndarray, distance: Floats):
        self.labels, self.distance, self.radius = labels, distance, np.inf

    def complete(self) -> None:
        """Nothing is missing."""


class ExchangeableDraws:
    """Draws of many prompts that share a distribution by class: cost independent of how many there are.

    Args:
        distribution: of each class, (classes,).
        sizes: number of prompts of each class, (classes,).
        n: number of draws wanted.
        target: in (0, 1).
        rng: source of randomness.

    `labels` are classes.
    """

    def __init__(self, distribution: Distribution, sizes: Rows, n: int, target: float, rng: np.random.Generator):
        self._distribution, self._target, self._rng = distribution, target, rng
        if sizes.sum() <= 4 * target_count(n):
            self._left = np.zeros_like(sizes)
            self.labels, self.distance, self.radius = *self._every(sizes), np.inf
            return
        self.radius = half_width(distribution, sizes, target, n)
        edges = target + self.radius * np.linspace(-1.0, 1.0, STRIPS + 1)
        width = 2.0 * self.radius / STRIPS
        peak = np.exp(distribution.log_peak(edges[:-1], edges[1:]))
        # A margin for rounding keeps the envelope above the density.
        share = peak * width * (1.0 + 1e-9)
        # A class whose envelope does not fit into a probability has nearly all its prompts inside: those are few.
        whole = share.sum(axis=1) > 1.0
        labels, distance = self._every(np.where(whole, sizes, 0))
        share[whole] = 0.0
        rest = np.maximum(1.0 - share.sum(axis=1, keepdims=True), 0.0)
        counts = rng.multinomial(np.where(whole, 0, sizes), np.concatenate([share, rest], axis=1))[:, :-1]
        label, strip = (np.repeat(index, counts.ravel()) for index in np.divmod(np.arange(counts.size), STRIPS))
        offset = (strip + rng.random(len(strip))) * width - self.radius
        density = np.exp(distribution[label].log_density(target + offset))
        kept = rng.random(len(label)) * share[label, strip] < density * width
        self._left = np.where(whole, 0, sizes) - np.bincount(label[kept], minlength=len(sizes))
        self.labels = np.concatenate([labels, label[kept]])
        self.distance = np.concatenate([distance, np.abs(offset[kept])])

    def complete(self) -> None:
        labels, distance = self._every(self._left)
        while (inside := np.flatnonzero(distance <= self.radius)).size:
            distance[inside] = np.abs(self._distribution[labels[inside]].draw(self._rng) - self._target)
        self.labels = np.concatenate([self.labels, labels])
        self.distance = np.concatenate([self.distance, distance])
        self._left, self.radius = np.zeros_like(self._left), np.inf

    def _every(self, sizes: Rows) -> tuple[Rows, Floats]:
        labels = np.repeat(np.arange(len(sizes)), sizes)
        return labels, np.abs(self._distribution[labels].draw(self._rng) - self._target)


def target_count(n: int) -> float:
    """Expected number of draws inside the window for a select of n: fewer than n has a chance below 1e-9."""
    return 1.25 * n + 8.0 * n**0.5 + 24.0


def half_width(distribution: Distribution, weight: np.ndarray, target: float, n: int) -> float:
    """Half the window around the target in which about `target_count(n)` of `weight` draws fall; never reaches 0 or 1."""
    limit, wanted = widest(target), target_count(n)
    middle, edges = np.zeros(2), np.linspace(-1.0, 1.0, STRIPS + 1)

    def expected(half: float, points: Floats) -> float:
        value = distribution.log_density(target + half * points[:, None])
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


def widest(target: float) -> float:
    """Largest half width of a window around the target."""
    return 0.98 * min(target, 1.0 - target)


def draw_outside(distribution: Distribution, target: float, radius: float, rng: np.random.Generator) -> Floats:
    """Distances of draws to the target, given that they are more than `radius`."""
    distance = np.abs(distribution.draw(rng) - target)
    while (inside := np.flatnonzero(distance <= radius)).size:
        distance[inside] = np.abs(distribution[inside].draw(rng) - target)
    return distance
