"""Edge, our default: prompts drawn by their expected chance to be informative, from a belief that prompts share (ours)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.acquisition import Informativeness, informative
from edgewise.beliefs.ability import AbilityBelief
from edgewise.beliefs.features import FeatureBelief
from edgewise.beliefs.logistic import UNSEEN, LogisticBelief
from edgewise.beliefs.logits import mean_rate, moments
from edgewise.errors import ConfigError
from edgewise.offsets import Offsets
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Floats, selectors
from edgewise.selectors.believing import BelievingSelector

KINDS = 4
"""Prompts not seen yet, and those whose last group was all wrong, partly right or all right."""


@selectors.register("edge")
class EdgeSelector(BelievingSelector):
    """Draws prompts with probability proportional to E[P(informative)]^sharpness under the belief.

    Dynamic sampling trains on prompts in proportion to their P(informative) = 1 - p^k - (1-p)^k, and pays for it with the
    rollouts it throws away. Drawing by the predicted P(informative) trains on nearly the same mixture without them. Taking
    the B best instead narrows training to one difficulty, and what lies above and below it is forgotten.

    The belief: each category's ability drifts with the policy and is learned from all its prompts, each prompt keeps its
    own difficulty, so one observation moves every related prompt. Where categories tell nothing, prompts speak for
    themselves. Features have drifting weights of their own, beside the categories' abilities where there are both.

    No belief fits a pool whose prompts are in part out of reach for good. So what it says of prompts not seen yet, and of
    those whose last group was all wrong, partly right or all right, is corrected by what came of its earlier forecasts.

    Args:
        pool: the prompts; categories or features sharpen the belief, none are needed.
        rollouts: k, rollouts of a prompt.
        sharpness: 0 draws uniformly; the higher, the closer to taking the best.
        curiosity: standard deviations by which untried prompts are judged above their expectation, >= 0.
        drift: how far the policy's ability moves in a step, in logits.
        ageing: share of the evidence about a prompt's difficulty that survives a policy step.
        seed: of the draws.
    """

    belief: LogisticBelief

    def __init__(
        self,
        pool: PromptPool,
        rollouts: int = 8,
        sharpness: float = 4.0,
        curiosity: float = 0.5,
        drift: float = 0.1,
        ageing: float = 0.998,
        seed: int = 0,
    ):
        if not 0 <= sharpness < np.inf:
            raise ConfigError(f"sharpness must be finite and >= 0, got {sharpness}")
        if not 0 <= curiosity < np.inf:
            raise ConfigError(f"curiosity must be finite and >= 0, got {curiosity}")
        kind = AbilityBelief if pool.features is None else FeatureBelief
        super().__init__(pool, kind(pool, drift=drift, ageing=ageing), seed)
        self.acquisition = Informativeness(rollouts)
        self.sharpness, self.curiosity = float(sharpness), float(curiosity)
        # What is picked is what looks best: raising the forecasts of its kind would raise the worst of that kind as well.
        self._worth, self._rate = Offsets(KINDS, highest=0.0), Offsets(KINDS)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "worth": self._worth.state_dict(), "rate": self._rate.state_dict()}

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        super()._load(state, remap)
        self._worth.load_state_dict(state["worth"])
        self._rate.load_state_dict(state["rate"])

    def _age(self) -> None:
        _, successes, trials, mean, variance, shown = self.belief.underway()
        self._rate.learn(mean_rate(mean, variance), shown, successes / trials)
        worth, _ = moments(lambda rates: informative(rates, trials[:, None]), mean, variance)
        self._worth.learn(worth, shown, ((successes > 0) & (successes < trials)).astype(np.float64))
        super()._age()

    def _predict(self, rows: Rows) -> Floats:
        return self._rate.apply(self.belief.mean(rows), self.belief.shown(rows))

    def _choose(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows:
        rows = self.belief.weighted(n, self._log_weight, exclude, self.rng) if candidates is None else None
        if rows is None:
            available = self._available(candidates, exclude)
            # Gumbel noise on the logarithm of the weight: the highest n are a draw without replacement.
            weight = self._log_weight(*self.belief.logits(available), self.belief.shown(available))
            key = weight + self.rng.gumbel(size=len(available))
            rows = available[np.argpartition(-key, n - 1)[:n]] if 0 < n < len(available) else available[:n]
        return self.rng.permutation(rows)

    def _log_weight(self, mean: Floats, variance: Floats, shown: np.ndarray) -> Floats:
        expected, deviation = moments(self.acquisition.worth, mean, variance)
        worth = self._worth.apply(expected, shown) + self.curiosity * deviation * (shown == UNSEEN)
        return self.sharpness * np.log(np.minimum(np.maximum(worth, 1e-12), 1.0))
