"""SEC: a bandit over categories that follows the absolute advantage (arXiv 2505.14970)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from edgewise.arrays import Counts, Floats, Rows
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.base import selectors
from edgewise.selectors.categories import CategorySelector


@selectors.register("sec")
class SECSelector(CategorySelector):
    """Self-evolving curriculum: category c with probability softmax(Q(c) / temperature).

    After each step Q(c) <- rate r(c) + (1 - rate) Q(c) with r(c) the mean absolute advantage of the step's rollouts in c;
    categories without rollouts keep theirs; Q starts at 0 (TD(0), section 3 of the paper). The paper tunes rate and
    temperature for each dataset; the defaults are ours.

    Args:
        pool: prompts with categories.
        rate: learning rate in (0, 1].
        temperature: > 0.
        seed: seed of the draws.

    Example:
        >>> import edgewise as ew
        >>> selector = SECSelector(ew.PromptPool(range(4), ["easy", "easy", "hard", "hard"]))
        >>> selector.observe([0, 2], [8, 4], 8)
        >>> selector.advance()
        >>> selector.probabilities()[1:].round(2).tolist()
        [0.08, 0.92]
    """

    by_category: ClassVar[Mapping[str, float]] = {"values": 0.0}

    def __init__(self, pool: PromptPool, *, rate: float = 0.5, temperature: float = 0.2, seed: int = 0):
        super().__init__(pool, seed=seed)
        if not 0 < rate <= 1:
            raise ConfigError(f"rate must lie in (0, 1], got {rate}")
        if not 0 < temperature < np.inf:
            raise ConfigError(f"temperature must be positive, got {temperature}")
        self.rate, self.temperature = float(rate), float(temperature)
        self.values = np.zeros(len(pool.category_names) + 1)

    def probabilities(self) -> Floats:
        return self.softmax(self.values / self.temperature)

    def reward(self, category: Rows, advantage: Floats, trials: Counts) -> None:
        size = len(self.values)
        rollouts = np.bincount(category, trials, size)
        seen = rollouts > 0
        reward = np.bincount(category, advantage * trials, size)[seen] / rollouts[seen]
        self.values[seen] += self.rate * (reward - self.values[seen])
