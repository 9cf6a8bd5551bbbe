"""SEC: a bandit over categories that follows the absolute advantage (arXiv 2505.14970)."""

from __future__ import annotations

import numpy as np

from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.base import Counts, Floats, selectors
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
        seed: of the draws.
    """

    def __init__(self, pool: PromptPool, rate: float = 0.5, temperature: float = 0.2, seed: int = 0):
        super().__init__(pool, arms=1, seed=seed)
        if not 0 < rate <= 1:
            raise ConfigError(f"rate must lie in (0, 1], got {rate}")
        if not 0 < temperature < np.inf:
            raise ConfigError(f"temperature must be positive, got {temperature}")
        self.rate, self.temperature = float(rate), float(temperature)

    def probabilities(self) -> Floats:
        return self.softmax(self._arms[0] / self.temperature)

    def _reward(self, arm: np.ndarray, advantage: Floats, trials: Counts) -> None:
        size = self._arms.shape[1]
        rollouts = np.bincount(arm, trials, size)
        seen = rollouts > 0
        reward = np.bincount(arm, advantage * trials, size)[seen] / rollouts[seen]
        self._arms[0, seen] += self.rate * (reward - self._arms[0, seen])
