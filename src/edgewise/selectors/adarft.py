"""AdaRFT: a target difficulty that follows the reward (arXiv 2504.05520)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgewise.acquisition import top
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Counts, Floats, Selector, selectors
from edgewise.selectors.difficulty import OfflineDifficulty


@selectors.register("adarft")
class AdaRFTSelector(Selector):
    """Takes the prompts with the smallest |d_i - T|, ties at random; after each step T <- clip(T + eta tanh(alpha (R - beta))).

    R is the mean success rate of the step's rollouts (algorithm 1 of the paper, constants from its code: alpha = 2,
    eta = 50, beta = 0.5, difficulty from 0 to 100, T = 0 at first). Prompts of unknown difficulty come last (`relaxed`).

    Args:
        pool: the prompts.
        difficulty: by row, higher is harder, within `bounds`, NaN where unknown (in the paper 100 minus the pass rate of
            another model in percent); None: the pool's categories in order, spread evenly over the bounds.
        levels: category names, easiest first; not needed if all are numbers.
        bounds: (easiest, hardest) difficulty; T stays within.
        start: first T; None: the easiest.
        sensitivity: alpha, > 0.
        step: eta, > 0; None: half the width of the bounds, which is 50 for (0, 100).
        target: beta, the success rate to hold, in [0, 1].
        seed: of ties.
    """

    def __init__(
        self,
        pool: PromptPool,
        difficulty: Any = None,
        levels: Sequence[Any] | None = None,
        bounds: tuple[float, float] = (0.0, 100.0),
        start: float | None = None,
        sensitivity: float = 2.0,
        step: float | None = None,
        target: float = 0.5,
        seed: int = 0,
    ):
        super().__init__(pool, seed)
        self._difficulty = OfflineDifficulty(pool, difficulty, levels, bounds)
        low, high = self._difficulty.low, self._difficulty.high
        self.step = float(step) if step is not None else (high - low) / 2
        self.sensitivity, self.target = float(sensitivity), float(target)
        if not (0 < self.step < np.inf and 0 < self.sensitivity < np.inf):
            raise ConfigError(f"step and sensitivity must be positive, got {step} and {sensitivity}")
        if not 0 <= self.target <= 1:
            raise ConfigError(f"target is a success rate and must lie in [0, 1], got {target}")
        self.level = low if start is None else float(start)
        if not low <= self.level <= high:
            raise ConfigError(f"start is a difficulty in [{low:g}, {high:g}], got {start}")
        self.relaxed = 0
        # Successes and trials of the step under way.
        self._told_now = np.zeros(2, np.int64)

    def _choose(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows:
        rows = self._available(candidates, exclude)
        distance = np.abs(self._difficulty.values[rows] - self.level)
        unknown = np.isnan(distance)
        self.relaxed += max(n - int((~unknown).sum()), 0)
        worth = np.where(unknown, -np.inf, -distance)
        return self.rng.permutation(rows[top(worth, n, self.rng)])

    def _learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        self._told_now += successes.sum(), trials.sum()

    def _age(self) -> None:
        correct, total = self._told_now
        moved = self.level + self.step * np.tanh(self.sensitivity * (correct / total - self.target))
        self.level = float(np.clip(moved, self._difficulty.low, self._difficulty.high))
        self._told_now[:] = 0

    def _predict(self, rows: Rows) -> Floats:
        """What the difficulty stands for, 1 for the easiest and 0 for the hardest thinkable; 0.5 where it is unknown."""
        return np.nan_to_num(self._difficulty.rates[rows], nan=0.5)

    def grow(self) -> None:
        self._difficulty.grow()

    def metrics(self) -> dict[str, float]:
        unknown = float(np.isnan(self._difficulty.values).mean())
        return {"target_difficulty": self.level, "unknown": unknown, "relaxed": float(self.relaxed)}

    def state_dict(self) -> dict[str, Any]:
        own = {"level": self.level, "told_now": self._told_now.copy(), "relaxed": self.relaxed}
        return {**super().state_dict(), **own}

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        super()._load(state, remap)
        told, level = np.array(state["told_now"], np.int64), float(state["level"])
        if told.shape != (2,) or not self._difficulty.low <= level <= self._difficulty.high:
            raise CheckpointError(f"the saved target difficulty {level} does not fit the bounds")
        self._told_now, self.level, self.relaxed = told, level, int(state["relaxed"])
