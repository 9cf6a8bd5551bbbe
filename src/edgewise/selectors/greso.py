"""GRESO: skip prompts that keep giving no signal (arXiv 2506.02177)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.errors import ConfigError
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Counts, selectors
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
        seed: of the order and the skips.
    """

    CHANGE, LOW, HIGH, LEAST = 0.01, 0.05, 0.95, 0.01

    def __init__(self, pool: PromptPool, p_easy: float = 0.5, p_hard: float = 0.5, target: float = 0.25, seed: int = 0):
        super().__init__(pool, seed)
        if not (0 < p_easy <= 1 and 0 < p_hard <= 1):
            raise ConfigError(f"p_easy and p_hard are probabilities in (0, 1], got {p_easy} and {p_hard}")
        if not 0 <= target <= 1:
            raise ConfigError(f"target is a share of groups in [0, 1], got {target}")
        self.p_easy, self.p_hard, self.target = float(p_easy), float(p_hard), float(target)
        # `streak` is that before the last group: c > 0 all-right groups in a row, -c all-wrong ones.
        self._groups = LastGroups(len(pool), {"streak": np.int32}, self._close)

    def keep_probability(self, rows: Rows) -> np.ndarray:
        """Probability not to be skipped, (n,)."""
        slots = self._groups.table.slots(rows)
        streak = np.zeros(len(rows), np.int64)
        streak[slots >= 0] = self._streak(slots[slots >= 0])
        base = np.where(streak > 0, self.p_easy, self.p_hard)
        return np.maximum(base ** np.abs(streak), self.LEAST)

    def _accept(self, rows: Rows) -> np.ndarray:
        return self.rng.random(len(rows)) < self.keep_probability(rows)

    def _learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        super()._learn(rows, successes, trials)
        self._groups.observe(rows, successes, trials)

    def _age(self) -> None:
        super()._age()
        rates = self._groups.rates(self._groups.now())
        # The first epoch has no history to skip by, so its groups say nothing about p.
        if self._epochs.begun > 1 and len(rates):
            self.p_easy = self._moved(self.p_easy, (rates == 1).mean() >= self.target / 3)
            self.p_hard = self._moved(self.p_hard, (rates == 0).mean() >= self.target * 2 / 3)
        self._groups.advance()

    def _moved(self, p: float, too_many: bool) -> float:
        return max(p - self.CHANGE, self.LOW) if too_many else min(p + self.CHANGE, self.HIGH)

    def _streak(self, slots: Slots) -> np.ndarray:
        """Zero-variance groups in a row, the last one included, signed, (n,)."""
        before, rates = self._groups.table["streak"][slots], self._groups.rates(slots)
        return np.select([rates == 1, rates == 0], [np.maximum(before, 0) + 1, np.minimum(before, 0) - 1], 0)

    def _close(self, slots: Slots) -> None:
        self._groups.table["streak"][slots] = self._streak(slots)

    def grow(self) -> None:
        super().grow()
        self._groups.grow(len(self.pool))

    def metrics(self) -> dict[str, float]:
        own = {"p_easy": self.p_easy, "p_hard": self.p_hard}
        return {**super().metrics(), **self._groups.metrics(len(self.pool)), **own}

    def state_dict(self) -> dict[str, Any]:
        own = {"p": [self.p_easy, self.p_hard], "groups": self._groups.state_dict()}
        return {**super().state_dict(), **own}

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        super()._load(state, remap)
        self._groups.load_state_dict(state["groups"], remap)
        self.p_easy, self.p_hard = map(float, state["p"])
