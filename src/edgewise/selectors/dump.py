"""DUMP: upper confidence bounds over data distributions (arXiv 2504.09710)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from edgewise.arrays import Counts, Floats, Rows, whole_number
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.base import selectors
from edgewise.selectors.categories import CategorySelector


@selectors.register("dump")
class DUMPSelector(CategorySelector):
    """Category d with probability softmax(UCB(d) / temperature), UCB(d) = L(d) + sqrt(2 ln(N + 1) / (n_d + 1)).

    L(d) is the mean absolute advantage over the last `window` rollouts of d, n_d the number of all its rollouts so far and N
    their sum (the paper's UCB over distributions, temperature 0.1, window 300). Rollouts of one step have no order: where
    the window ends within a step, that step counts with its mean.

    Args:
        pool: prompts with categories.
        temperature: > 0.
        window: rollouts a category, >= 1.
        seed: seed of the draws.

    Example:
        >>> import edgewise as ew
        >>> selector = DUMPSelector(ew.PromptPool(range(4), ["easy", "easy", "hard", "hard"]))
        >>> selector.observe([0, 2], [8, 4], 8)
        >>> selector.advance()
        >>> selector.learnability().tolist()
        [0.0, 0.0, 1.0]
    """

    by_category: ClassVar[Mapping[str, float]] = {"seen": 0.0}

    def __init__(self, pool: PromptPool, *, temperature: float = 0.1, window: int = 300, seed: int = 0):
        super().__init__(pool, seed=seed)
        if not 0 < temperature < np.inf:
            raise ConfigError(f"temperature must be positive, got {temperature}")
        self.temperature, self.window = float(temperature), whole_number("window", window, 1, ConfigError)
        # Rollouts by category so far.
        self.seen = np.zeros(len(pool.category_names) + 1)
        # A row for each step and category, oldest first: category, mean absolute advantage, rollouts within the window.
        self.recent = np.empty((0, 3))

    def learnability(self) -> Floats:
        """L(d) by category code, 0 before any rollout, (C + 1,)."""
        category, advantage, rollouts = self.recent[:, 0].astype(np.int64), self.recent[:, 1], self.recent[:, 2]
        size = len(self.seen)
        held = np.bincount(category, rollouts, size)
        return np.bincount(category, advantage * rollouts, size) / np.maximum(held, 1.0)

    def probabilities(self) -> Floats:
        bound = self.learnability() + np.sqrt(2.0 * np.log(self.seen.sum() + 1.0) / (self.seen + 1.0))
        return self.softmax(bound / self.temperature)

    def reward(self, category: Rows, advantage: Floats, trials: Counts) -> None:
        size = len(self.seen)
        rollouts = np.bincount(category, trials, size)
        self.seen += rollouts
        seen = np.flatnonzero(rollouts)
        mean = np.bincount(category, advantage * trials, size)[seen] / rollouts[seen]
        recent = np.concatenate([self.recent, np.stack([seen, mean, rollouts[seen]], axis=1)])
        for code in seen:
            own = np.flatnonzero(recent[:, 0] == code)[::-1]
            held = recent[own, 2]
            recent[own, 2] = np.clip(self.window - (np.cumsum(held) - held), 0, held)
        self.recent = recent[recent[:, 2] > 0]

    def grow(self) -> None:
        names = self._categories
        super().grow()
        self._renumber(self.recent, names)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "recent": self.recent.copy()}

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        super().restore(state, remap)
        recent = np.array(state["recent"], np.float64)
        if recent.ndim != 2 or recent.shape[1] != 3:
            raise CheckpointError(f"the saved window has shape {recent.shape}, expected (n, 3)")
        self._renumber(recent, state["categories"])

    def _renumber(self, recent: Floats, names: list[str]) -> None:
        source = self.pool.match_categories(names)
        present = np.full(len(names) + 1, -1)
        present[source[source >= 0]] = np.flatnonzero(source >= 0)
        recent = recent.copy()
        recent[:, 0] = present[recent[:, 0].astype(np.int64)]
        self.recent = recent[recent[:, 0] >= 0]
