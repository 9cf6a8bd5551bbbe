"""MoPPS: model predictive prompt selection (arXiv 2507.04632)."""

from __future__ import annotations

from edgewise.acquisition import Acquisition, Band, Closest
from edgewise.beliefs import BetaBelief, FixedPrior, KnownRates, Prior
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.bandit import BanditSelector
from edgewise.selectors.base import selectors


@selectors.register("mopps")
def mopps(
    pool: PromptPool,
    target: float = 0.5,
    decay: float = 0.5,
    prior: tuple[float, float] = (1.0, 1.0),
    known_rates: list[float] | None = None,
    strength: float = 4.0,
    threshold: tuple[float, float] | None = None,
    candidate_factor: float | None = None,
    by: str = "thompson",
    seed: int = 0,
) -> BanditSelector:
    """One Beta posterior a prompt, one Thompson draw a candidate, the B closest to the target.

    Args:
        pool: the prompts.
        target: gamma*, the success rate to be closest to.
        decay: lambda; 1.0 for MATH, 0.5 for Countdown and Geometry3k in the paper.
        prior: (alpha0, beta0).
        known_rates: pass rate of each prompt known beforehand, NaN where unknown; replaces `prior`.
        strength: rollouts that a known rate is worth.
        threshold: (low, high) for threshold selection instead of Top-B.
        candidate_factor: candidates for each selected prompt; 16 for MATH in the paper; None: the whole pool.
        by: "thompson", or "mean" for the posterior mean (the paper's ablation).
        seed: of draws and samples.
    """
    start: Prior
    if known_rates is not None:
        start = KnownRates(pool, known_rates, strength)
    else:
        if len(prior) != 2:
            raise ConfigError(f"prior must be (alpha0, beta0), got {prior}")
        start = FixedPrior(pool, *prior)
    acquisition: Acquisition = Band(*threshold) if threshold is not None else Closest(target)
    return BanditSelector(pool, BetaBelief(pool, start, decay), acquisition, by, candidate_factor, seed)
