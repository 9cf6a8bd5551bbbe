"""E2H: a schedule from easy to hard levels (arXiv 2506.06632)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from edgewise.arrays import Floats
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.base import selectors
from edgewise.selectors.categories import CategorySelector
from edgewise.selectors.difficulty import Levels


@selectors.register("e2h")
class E2HSelector(CategorySelector):
    """Levels 0..K-1 with probabilities that depend on the policy step t of T alone.

    cosine:   a (K - k) / S + (1 - a) (k + 1) / S with a = (1 + cos(pi t / T)) / 2 and S = K (K + 1) / 2
    gaussian: f + (1 - K f) q(k) with q(k) ~ exp(-(k - m)^2 / (2 sigma^2)) and m = (t / T)^beta (K - 1)

    (E2H-C and E2H-G, schedulers of the paper in the form of its code, which gives every level at least f = 2 / (K (K + 1));
    beta = sigma = 0.5.) After T steps the last probabilities stay.

    Args:
        pool: prompts, each with a category that is its level.
        steps: T, policy steps of the whole run.
        schedule: "cosine" or "gaussian".
        levels: category names, easiest first; not needed if all are numbers.
        beta: exponent of the Gaussian's mean, > 0; below 1 leaves easy levels sooner.
        sigma: its width in levels, > 0.
        floor: f, smallest probability of a level in the Gaussian schedule, in [0, 1 / K]; None: as published.
        seed: seed of the draws.

    Example:
        >>> import edgewise as ew
        >>> selector = E2HSelector(ew.PromptPool(range(3), ["1", "2", "3"]), steps=10)
        >>> selector.level_probabilities().round(2).tolist()
        [0.5, 0.33, 0.17]
    """

    def __init__(
        self,
        pool: PromptPool,
        *,
        steps: int | None = None,
        schedule: Literal["cosine", "gaussian"] = "cosine",
        levels: Sequence[Any] | None = None,
        beta: float = 0.5,
        sigma: float = 0.5,
        floor: float | None = None,
        seed: int = 0,
    ):
        super().__init__(pool, seed=seed)
        self.levels = Levels(pool, levels)
        if steps is None or int(steps) != steps or steps < 1:
            raise ConfigError(f"e2h follows a schedule: give steps=, the policy steps of the run (>= 1), got {steps}")
        if schedule not in ("cosine", "gaussian"):
            raise ConfigError(f"schedule must be 'cosine' or 'gaussian', got '{schedule}'")
        if not (0 < beta < np.inf and 0 < sigma < np.inf):
            raise ConfigError(f"beta and sigma must be positive, got {beta} and {sigma}")
        if floor is not None and not 0 <= floor <= 1 / len(self.levels.names):
            raise ConfigError(f"floor must lie in [0, 1 / {len(self.levels.names)} levels], got {floor}")
        self.steps, self.schedule, self.floor = int(steps), schedule, floor
        self.beta, self.sigma = float(beta), float(sigma)

    @property
    def progress(self) -> float:
        """t / T, in [0, 1]."""
        return min(self.now / self.steps, 1.0)

    def level_probabilities(self) -> Floats:
        """Probability of each level, easiest first, (K,)."""
        count = len(self.levels.names)
        k = np.arange(count)
        least = 2.0 / (count * (count + 1))
        if self.schedule == "cosine":
            early = 0.5 * (1.0 + np.cos(np.pi * self.progress))
            return (early * (count - k) + (1.0 - early) * (k + 1)) * least
        floor = min(least if self.floor is None else self.floor, 1.0 / count)
        distance = (k - self.progress**self.beta * (count - 1)) ** 2
        # Relative to the nearest level, so that a narrow bell between two levels does not vanish.
        bell = np.exp((distance.min() - distance) / (2.0 * self.sigma**2))
        return floor + (1.0 - count * floor) * bell / bell.sum()

    def probabilities(self) -> Floats:
        ranks = self.levels.ranks()
        return np.where(ranks < 0, 0.0, self.level_probabilities()[ranks])

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), "progress": self.progress}
