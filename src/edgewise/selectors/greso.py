"""GRESO: prompts that keep giving no signal are skipped (arXiv 2506.02177)."""

from __future__ import annotations

import numpy as np

from edgewise.arrays import Flags, Floats, Rows
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.base import selectors
from edgewise.selectors.epochs import EpochSelector
from edgewise.selectors.groups import LastGroups, Slots


@selectors.register("greso")
class GRESOSelector(EpochSelector):
    """Shuffled epochs in which a prompt with c zero-variance groups in a row is skipped with probability 1 - max(p^c, 0.01).

    p is p_easy after all-right groups and p_hard after all-wrong ones. After each step of the second and later epochs,
    either moves by 0.01 within [0.05, 0.95]: down when such groups made up at least their share of the step, else up. Of
    the tolerated share of zero-variance groups a third may be easy and two thirds hard, since hard prompts change more
    (the paper's probabilistic filtering with adaptive exploration; constants from the authors' code). Skipped prompts wait
    for the next epoch.

    Args:
        pool: the prompts.
        p_easy: initial p after all-right groups, in (0, 1].
        p_hard: initial p after all-wrong groups, in (0, 1].
        target: tolerated share of zero-variance groups, in [0, 1].
        seed: seed of the order and the skips.

    Example:
        >>> import edgewise as ew
        >>> selector = GRESOSelector(ew.PromptPool(range(3)))
        >>> selector.observe([0, 1], [8, 3], 8)
        >>> selector.keep_probability(np.arange(3)).tolist()
        [0.5, 1.0, 1.0]
    """

    saved = (*EpochSelector.saved, "p_easy", "p_hard")
    CHANGE, LOW, HIGH, LEAST = 0.01, 0.05, 0.95, 0.01

    def __init__(
        self, pool: PromptPool, *, p_easy: float = 0.5, p_hard: float = 0.5, target: float = 0.25, seed: int = 0
    ):
        super().__init__(pool, seed=seed)
        if not (0 < p_easy <= 1 and 0 < p_hard <= 1):
            raise ConfigError(f"p_easy and p_hard are probabilities in (0, 1], got {p_easy} and {p_hard}")
        if not 0 <= target <= 1:
            raise ConfigError(f"target is a share of groups in [0, 1], got {target}")
        self.p_easy, self.p_hard, self.target = float(p_easy), float(p_hard), float(target)
        # `streak` is that before the last group: c > 0 all-right groups in a row, -c all-wrong ones.
        self.groups = self.add("groups", LastGroups(pool, {"streak": np.int32}, self._close))

    def keep_probability(self, rows: Rows) -> Floats:
        """Probability not to be skipped, (n,)."""
        slots = self.groups.table.slots(rows)
        streak = np.zeros(len(rows), np.int64)
        streak[slots >= 0] = self._streak(slots[slots >= 0])
        base = np.where(streak > 0, self.p_easy, self.p_hard)
        return np.maximum(base ** np.abs(streak), self.LEAST)

    def accept(self, rows: Rows) -> Flags:
        return self.rng.random(len(rows)) < self.keep_probability(rows)

    def advance(self, steps: int = 1) -> None:
        rates = self.groups.rates(self.groups.current())
        # The first epoch has no history to skip by, so its groups say nothing about p.
        if steps and self.epochs.begun > 1 and len(rates):
            self.p_easy = self._moved(self.p_easy, (rates == 1).mean() >= self.target / 3)
            self.p_hard = self._moved(self.p_hard, (rates == 0).mean() >= self.target * 2 / 3)
        super().advance(steps)

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), "p_easy": self.p_easy, "p_hard": self.p_hard}

    def _moved(self, p: float, too_many: bool) -> float:
        return max(p - self.CHANGE, self.LOW) if too_many else min(p + self.CHANGE, self.HIGH)

    def _streak(self, slots: Slots) -> Rows:
        """Zero-variance groups in a row, the last one included, signed, (n,)."""
        before, rates = self.groups.table["streak"][slots], self.groups.rates(slots)
        return np.select([rates == 1, rates == 0], [np.maximum(before, 0) + 1, np.minimum(before, 0) - 1], 0)

    def _close(self, slots: Slots) -> None:
        self.groups.table["streak"][slots] = self._streak(slots)
