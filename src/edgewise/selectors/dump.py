"""DUMP: upper confidence bounds over data distributions (arXiv 2504.09710)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Counts, Floats, selectors
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
        seed: of the draws.
    """

    def __init__(self, pool: PromptPool, temperature: float = 0.1, window: int = 300, seed: int = 0):
        super().__init__(pool, arms=1, seed=seed)
        if not 0 < temperature < np.inf:
            raise ConfigError(f"temperature must be positive, got {temperature}")
        if int(window) != window or window < 1:
            raise ConfigError(f"window must be a whole number of rollouts >= 1, got {window}")
        self.temperature, self.window = float(temperature), int(window)
        # A row for each step and category, oldest first: arm, mean absolute advantage, rollouts within the window.
        self._recent = np.empty((0, 3))

    def learnability(self) -> Floats:
        """L(d) of each arm, 0 before any rollout, (arms,)."""
        arm, advantage, rollouts = self._recent[:, 0].astype(np.int64), self._recent[:, 1], self._recent[:, 2]
        size = self._arms.shape[1]
        held = np.bincount(arm, rollouts, size)
        return np.bincount(arm, advantage * rollouts, size) / np.maximum(held, 1.0)

    def probabilities(self) -> Floats:
        seen = self._arms[0]
        bound = self.learnability() + np.sqrt(2.0 * np.log(seen.sum() + 1.0) / (seen + 1.0))
        return self.softmax(bound / self.temperature)

    def _reward(self, arm: np.ndarray, advantage: Floats, trials: Counts) -> None:
        size = self._arms.shape[1]
        rollouts = np.bincount(arm, trials, size)
        self._arms[0] += rollouts
        seen = np.flatnonzero(rollouts)
        mean = np.bincount(arm, advantage * trials, size)[seen] / rollouts[seen]
        recent = np.concatenate([self._recent, np.stack([seen, mean, rollouts[seen]], axis=1)])
        for category in seen:
            mine = np.flatnonzero(recent[:, 0] == category)[::-1]
            held = recent[mine, 2]
            recent[mine, 2] = np.clip(self.window - (np.cumsum(held) - held), 0, held)
        self._recent = recent[recent[:, 2] > 0]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "recent": self._recent.copy()}

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        super()._load(state, remap)
        recent = np.array(state["recent"], np.float64)
        if recent.ndim != 2 or recent.shape[1] != 3:
            raise CheckpointError(f"the saved window has shape {recent.shape}, expected (n, 3)")
        source = self._saved_arms(state["names"])
        present = np.full(len(state["names"]) + 1, -1)
        present[source[source >= 0]] = np.flatnonzero(source >= 0)
        recent[:, 0] = present[recent[:, 0].astype(np.int64)]
        self._recent = recent[recent[:, 0] >= 0]
