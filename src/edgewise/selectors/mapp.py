"""MaPP: prompts drawn in proportion to their expected P(informative) under a Beta posterior (arXiv 2609.34990)."""

from __future__ import annotations

import numpy as np

from edgewise.acquisition import PInformative
from edgewise.beliefs import BetaBelief, FixedPrior
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.sampling import Proportional
from edgewise.selectors.bandit import BanditSelector
from edgewise.selectors.base import selectors


@selectors.register("mapp")
def mapp(
    pool: PromptPool,
    *,
    rollouts: int = 8,
    decay: float = 0.5,
    prior: tuple[float, float] = (1.0, 1.0),
    candidate_factor: float | None = None,
    seed: int = 0,
) -> BanditSelector:
    """q_i proportional to E[1 - g^k - (1 - g)^k], g ~ Beta(alpha_i, beta_i): beta x p_informative x proportional.

    Eq. 6, 15 and 16 of the paper, which draws from a uniform sample of 8 prompts for each one selected (`candidate_factor=8`). Its
    second part, an advantage, is `algorithm: mapp` of the laboratory, with counts of its own.

    Args:
        pool: the prompts.
        rollouts: k, rollouts of a prompt.
        decay: lambda, once for each step in which a prompt is observed.
        prior: (alpha0, beta0).
        candidate_factor: candidates for each selected prompt; None: the whole pool.
        seed: seed of the draws.

    Example:
        >>> import edgewise as ew
        >>> selector = ew.make_selector("mapp", ew.PromptPool(range(100)), rollouts=4)
        >>> len(selector.select(8))
        8
    """
    if np.shape(prior) != (2,):
        raise ConfigError(f"prior must be (alpha0, beta0), got {prior}")
    belief = BetaBelief(pool, FixedPrior(pool, *prior), decay=decay)
    draw = Proportional(pool, sharpness=1.0)
    return BanditSelector(pool, belief, PInformative(rollouts), draw, candidate_factor=candidate_factor, seed=seed)
