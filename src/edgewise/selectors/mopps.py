"""MoPPS: model predictive prompt selection (arXiv 2507.04632)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from edgewise.acquisition import Acquisition, Band, Closest
from edgewise.beliefs import BetaBelief, FixedPrior
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.sampling import Draw, Thompson, Top
from edgewise.selectors.bandit import BanditSelector
from edgewise.selectors.base import selectors


@selectors.register("mopps")
def mopps(
    pool: PromptPool,
    *,
    target: float = 0.5,
    decay: float = 0.5,
    prior: tuple[float, float] = (1.0, 1.0),
    known_rates: npt.ArrayLike | None = None,
    strength: float | None = None,
    threshold: tuple[float, float] | None = None,
    candidate_factor: float | None = None,
    by: Literal["thompson", "mean", "ucb"] = "thompson",
    seed: int = 0,
) -> BanditSelector:
    """One Beta posterior a prompt, one Thompson draw a candidate, the B closest to the target: beta x closest x thompson.

    Args:
        pool: the prompts.
        target: gamma*, the success rate to be closest to.
        decay: lambda, once for each step in which a prompt is observed; 1.0 for MATH, 0.5 for Countdown and Geometry3k in
            the paper.
        prior: (alpha0, beta0).
        known_rates: pass rate of each prompt known beforehand, by row, NaN where unknown; None: the pool's priors.
        strength: rollouts that a known rate is worth; None: the pool's `prior_strength`.
        threshold: (low, high) for threshold selection instead of Top-B.
        candidate_factor: candidates for each selected prompt; 16 for MATH in the paper; None: the whole pool.
        by: "thompson"; "mean" for the posterior mean (the paper's ablation); "ucb" for the best rate within one standard
            deviation of it.
        seed: seed of draws and samples.

    Example:
        >>> import edgewise as ew
        >>> selector = ew.make_selector("mopps", ew.PromptPool(range(100)), target=0.5)
        >>> len(selector.select(8))
        8
    """
    if np.shape(prior) != (2,):
        raise ConfigError(f"prior must be (alpha0, beta0), got {prior}")
    if threshold is not None and np.shape(threshold) != (2,):
        raise ConfigError(f"threshold must be (low, high), got {threshold}")
    if by not in ("thompson", "mean", "ucb"):
        raise ConfigError(f"by must be 'thompson', 'mean' or 'ucb', got '{by}'")
    belief = BetaBelief(pool, FixedPrior(pool, *prior), decay=decay, known_rates=known_rates, strength=strength)
    acquisition: Acquisition = Band(*threshold) if threshold is not None else Closest(target)
    draw: Draw = Thompson(pool) if by == "thompson" else Top(pool, optimism=float(by == "ucb"))
    return BanditSelector(pool, belief, acquisition, draw, candidate_factor=candidate_factor, seed=seed)
