"""A belief and an acquisition make a selector: MoPPS is one pairing, `edge` another."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.acquisition import Acquisition, top
from edgewise.beliefs.base import Belief
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Counts, Floats, Selector


class BanditSelector(Selector):
    """Picks the prompts whose believed success rate is worth most.

    Args:
        pool: the prompts.
        belief: distribution over every prompt's success rate.
        acquisition: worth of a success rate.
        by: "thompson" judges one draw from the belief, "mean" its mean.
        candidate_factor: judge a uniform sample of this many prompts for each one selected (16 for MoPPS on MATH);
            None judges the whole pool.
        seed: of draws and samples.
    """

    def __init__(
        self,
        pool: PromptPool,
        belief: Belief,
        acquisition: Acquisition,
        by: str = "thompson",
        candidate_factor: float | None = None,
        seed: int = 0,
    ):
        super().__init__(pool, seed)
        if by not in ("thompson", "mean"):
            raise ConfigError(f"by must be 'thompson' or 'mean', got '{by}'")
        if candidate_factor is not None and not candidate_factor >= 1:
            raise ConfigError(f"candidate_factor must be at least 1, got {candidate_factor}")
        self.belief, self.acquisition, self.by, self.candidate_factor = belief, acquisition, by, candidate_factor

    def _choose(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows:
        rows = self._closest(n, candidates, exclude)
        if rows is None:
            rows = self._candidates(n, candidates, exclude)
            rates = self.belief.draw(rows, self.rng) if self.by == "thompson" else self.belief.mean(rows)
            rows = rows[top(self.acquisition.worth(rates), n, self.rng)]
        # In random order: mini-batches cut from the batch in turn are then alike.
        return self.rng.permutation(rows)

    def _closest(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows | None:
        """The choice by a way that does not visit the pool, if there is one."""
        peak = self.acquisition.peak
        if candidates is not None or self.candidate_factor is not None or self.by != "thompson" or peak is None:
            return None
        return self.belief.closest(n, peak, exclude, self.rng)

    def _candidates(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows:
        if self.candidate_factor is None:
            return self._available(candidates, exclude)
        free = len(self.pool) - len(exclude) if candidates is None else len(candidates)
        size = min(free, max(n, int(np.ceil(self.candidate_factor * n))))
        if candidates is None:
            return self.pool.sample(size, self.rng, exclude)
        return candidates[self.rng.choice(free, size, replace=False)]

    def _learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        self.belief.observe(rows, successes, trials)

    def _age(self) -> None:
        self.belief.advance()

    def _predict(self, rows: Rows) -> Floats:
        return self.belief.mean(rows)

    def grow(self) -> None:
        self.belief.grow()

    def metrics(self) -> dict[str, float]:
        return self.belief.metrics()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "belief": self.belief.state_dict()}

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        super()._load(state, remap)
        self.belief.load_state_dict(state["belief"], remap)
