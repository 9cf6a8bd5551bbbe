"""AdaRFT: a target difficulty that follows the reward (arXiv 2504.05520)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.acquisition import top
from edgewise.arrays import Counts, Floats, Rows
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.base import Selector, selectors
from edgewise.selectors.candidates import Candidates
from edgewise.selectors.difficulty import OfflineDifficulty


@selectors.register("adarft")
class AdaRFTSelector(Selector):
    """Takes the prompts with the smallest |d_i - T|, ties at random; after each step T <- clip(T + eta tanh(alpha (R - beta))).

    R is the mean success rate of the step's rollouts (algorithm 1 of the paper, constants from its code: alpha = 2,
    eta = 50, beta = 0.5, difficulty from 0 to 100, T = 0 at first). Prompts of unknown difficulty come last (metric
    `fallback_picks`).

    Args:
        pool: the prompts.
        difficulty: by row, higher is harder, within `bounds`, NaN where unknown (in the paper 100 minus the pass rate of
            another model in percent); None: 1 minus the pool's priors, scaled, or else its categories in order, spread
            evenly over the bounds.
        levels: category names, easiest first; not needed if all are numbers.
        bounds: (easiest, hardest) difficulty; T stays within.
        start: first T; None: the easiest.
        sensitivity: alpha, > 0.
        step: eta, > 0; None: half the width of the bounds, which is 50 for (0, 100).
        target: beta, the success rate to hold, in [0, 1].
        seed: seed of ties.

    Example:
        >>> import edgewise as ew
        >>> selector = AdaRFTSelector(ew.PromptPool(range(4)), difficulty=[0, 20, 40, 60])
        >>> selector.observe([0, 1], [8, 4], 8)
        >>> sorted(selector.select(2).tolist()), round(selector.level, 1)
        ([1, 2], 23.1)
    """

    saved = ("level", "fallback_picks", "step_counts")

    def __init__(
        self,
        pool: PromptPool,
        *,
        difficulty: npt.ArrayLike | None = None,
        levels: Sequence[Any] | None = None,
        bounds: tuple[float, float] = (0.0, 100.0),
        start: float | None = None,
        sensitivity: float = 2.0,
        step: float | None = None,
        target: float = 0.5,
        seed: int = 0,
    ):
        super().__init__(pool, seed=seed)
        self.known = self.add("known", OfflineDifficulty(pool, difficulty, levels, bounds))
        low, high = self.known.low, self.known.high
        self.step = float(step) if step is not None else (high - low) / 2
        self.sensitivity, self.target = float(sensitivity), float(target)
        if not (0 < self.step < np.inf and 0 < self.sensitivity < np.inf):
            raise ConfigError(f"step and sensitivity must be positive, got {step} and {sensitivity}")
        if not 0 <= self.target <= 1:
            raise ConfigError(f"target is a success rate and must lie in [0, 1], got {target}")
        self.level = low if start is None else float(start)
        if not low <= self.level <= high:
            raise ConfigError(f"start is a difficulty in [{low:g}, {high:g}], got {start}")
        self.fallback_picks = 0
        # Successes and trials of the present step.
        self.step_counts = np.zeros(2, np.int64)

    def choose(self, n: int, candidates: Candidates) -> Rows:
        rows = candidates.rows
        distance = np.abs(self.known.values[rows] - self.level)
        unknown = np.isnan(distance)
        self.fallback_picks += max(n - int((~unknown).sum()), 0)
        return rows[top(np.where(unknown, -np.inf, -distance), n, self.rng)]

    def learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        self.step_counts += successes.sum(), trials.sum()

    def advance(self, steps: int = 1) -> None:
        correct, total = self.step_counts
        if steps and total:
            moved = self.level + self.step * np.tanh(self.sensitivity * (correct / total - self.target))
            self.level = float(np.clip(moved, self.known.low, self.known.high))
            self.step_counts[:] = 0
        super().advance(steps)

    def rates(self, rows: Rows) -> Floats:
        """What the difficulty stands for, 1 for the easiest and 0 for the hardest possible prompt; 0.5 where unknown."""
        return np.nan_to_num(self.known.rates[rows], nan=0.5)

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        super().restore(state, remap)
        if self.step_counts.shape != (2,) or not self.known.low <= self.level <= self.known.high:
            raise CheckpointError(f"the saved target difficulty {self.level} does not fit the bounds")

    def metrics(self) -> dict[str, float]:
        own = {"target_difficulty": self.level, "fallback_picks": float(self.fallback_picks)}
        return {**super().metrics(), **own}
