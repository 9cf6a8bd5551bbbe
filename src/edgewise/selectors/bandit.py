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
        rows = self._available(candidates, exclude)
        if self.candidate_factor is not None:
            size = min(len(rows), max(n, int(np.ceil(self.candidate_factor * n))))
            rows = rows[self.rng.choice(len(rows), size, replace=False)]
        rates = self.belief.draw(rows, self.rng) if self.by == "thompson" else self.belief.mean(rows)
        return rows[top(self.acquisition.worth(rates), n, self.rng)]

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
