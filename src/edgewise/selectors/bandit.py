"""A belief and an acquisition make a selector: MoPPS is one pairing, `edge` another."""

from __future__ import annotations

import numpy as np

from edgewise.acquisition import Acquisition, BeliefAcquisition, capped, optimistic, top
from edgewise.beliefs.base import Belief
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Floats
from edgewise.selectors.believing import BelievingSelector


class BanditSelector(BelievingSelector):
    """Picks the prompts whose believed success rate is worth most.

    Args:
        pool: the prompts.
        belief: distribution over every prompt's success rate.
        acquisition: worth of a success rate.
        by: "thompson" judges one draw from the belief, "mean" its mean, "ucb" the best rate within one spread of the mean.
            An acquisition that weighs uncertainty itself (`BeliefAcquisition`) judges mean and spread whatever this says.
        candidate_factor: judge a uniform sample of this many prompts for each one selected (16 for MoPPS on MATH);
            None judges the whole pool.
        category_cap: share of a selection that one category may take while others have prompts left, in (0, 1].
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
        category_cap: float | None = None,
    ):
        super().__init__(pool, belief, seed)
        if by not in ("thompson", "mean", "ucb"):
            raise ConfigError(f"by must be 'thompson', 'mean' or 'ucb', got '{by}'")
        if candidate_factor is not None and not candidate_factor >= 1:
            raise ConfigError(f"candidate_factor must be at least 1, got {candidate_factor}")
        if category_cap is not None and not 0 < category_cap <= 1:
            raise ConfigError(f"category_cap is a share in (0, 1], got {category_cap}")
        self.category_cap = category_cap
        self.acquisition, self.by, self.candidate_factor = acquisition, by, candidate_factor

    def _choose(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows:
        rows = self._closest(n, candidates, exclude)
        if rows is None:
            rows = self._candidates(n, candidates, exclude)
            worth, codes = self._worth(rows), self.pool.categories
            if self.category_cap is None or codes is None:
                rows = rows[top(worth, n, self.rng)]
            else:
                rows = rows[capped(worth, n, codes[rows], self.category_cap, self.rng)]
        # In random order: mini-batches cut from the batch in turn are then alike.
        return self.rng.permutation(rows)

    def _worth(self, rows: Rows) -> Floats:
        if isinstance(self.acquisition, BeliefAcquisition):
            return self.acquisition.believed(self.belief.mean(rows), self.belief.spread(rows))
        if self.by == "ucb":
            return optimistic(self.acquisition, self.belief.mean(rows), self.belief.spread(rows))
        rates = self.belief.draw(rows, self.rng) if self.by == "thompson" else self.belief.mean(rows)
        return self.acquisition.worth(rates)

    def _closest(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows | None:
        """The choice by a way that does not visit the pool, if there is one."""
        peak = self.acquisition.peak
        if candidates is not None or self.candidate_factor is not None or self.by != "thompson" or peak is None:
            return None
        if self.category_cap is not None and self.pool.categories is not None:
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
