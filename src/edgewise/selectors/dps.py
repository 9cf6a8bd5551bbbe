"""DPS: dynamics-predictive sampling (arXiv 2603.10887, ICLR 2026)."""

from __future__ import annotations

from edgewise.acquisition import Learnability, top
from edgewise.beliefs.hmm import MarkovBelief
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.bandit import BanditSelector
from edgewise.selectors.base import selectors


@selectors.register("dps")
class DPSSelector(BanditSelector):
    """Takes the prompts most likely to be in the partial state, some rollouts right and some wrong; ties at random.

    Args:
        pool: the prompts.
        decay: share of the transition counts that survives a step; 0.7 for MATH, 0.5 for Countdown and Geometry3k.
        transitions: prior counts of the moves between states, or the name of a published prior.
        candidate_factor: candidates for each selected prompt; None: the whole pool.
        seed: of ties and samples.
    """

    def __init__(
        self,
        pool: PromptPool,
        decay: float = 0.5,
        transitions: float | str = 1.0,
        candidate_factor: float | None = None,
        seed: int = 0,
    ):
        self._markov = MarkovBelief(pool, decay, transitions)
        super().__init__(pool, self._markov, Learnability(), "mean", candidate_factor, seed)

    def _choose(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows:
        rows = self._candidates(n, candidates, exclude)
        return self.rng.permutation(rows[top(self._markov.partial(rows), n, self.rng)])
