"""DPS: dynamics-predictive sampling (arXiv 2603.10887, ICLR 2026)."""

from __future__ import annotations

from typing import Literal

from edgewise.acquisition import PInformative
from edgewise.beliefs import MarkovBelief
from edgewise.pool import PromptPool
from edgewise.sampling import Top
from edgewise.selectors.bandit import BanditSelector
from edgewise.selectors.base import selectors


@selectors.register("dps")
def dps(
    pool: PromptPool,
    *,
    retention: float = 0.5,
    transitions: float | Literal["progress", "stability", "local"] = 1.0,
    candidate_factor: float | None = None,
    seed: int = 0,
) -> BanditSelector:
    """Takes the prompts most likely to be in the partial state, some rollouts right and some wrong: hmm x p_informative x top.

    Under the three states P(informative) is a constant times P(partial), the same for any number of rollouts.

    Args:
        pool: the prompts.
        retention: share of the transition counts that survives a step; 0.7 for MATH, 0.5 for Countdown and Geometry3k.
        transitions: prior counts of the moves between states, or the name of a published prior.
        candidate_factor: candidates for each selected prompt; None: the whole pool.
        seed: seed of ties and samples.

    Example:
        >>> import edgewise as ew
        >>> selector = ew.make_selector("dps", ew.PromptPool(range(3)))
        >>> selector.observe([0, 1], [0, 4], 8)
        >>> selector.select(1).tolist()
        [1]
    """
    belief = MarkovBelief(pool, retention=retention, transitions=transitions)
    selector = BanditSelector(pool, belief, PInformative(), Top(pool), candidate_factor=candidate_factor, seed=seed)
    selector.rollouts = None
    return selector
