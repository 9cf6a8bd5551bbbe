"""KGPS: a Kalman filter on the logit of each prompt's success rate (arXiv 2607.27610)."""

from __future__ import annotations

from edgewise.acquisition import PInformative
from edgewise.beliefs import KalmanBelief
from edgewise.pool import PromptPool
from edgewise.sampling import Thompson
from edgewise.selectors.bandit import BanditSelector
from edgewise.selectors.base import selectors


@selectors.register("kgps")
def kgps(
    pool: PromptPool,
    *,
    rollouts: int = 8,
    noise: float = 0.05,
    spread: float = 1.5,
    candidate_factor: float | None = None,
    seed: int = 0,
) -> BanditSelector:
    """One filtered logit a prompt, one draw of each, the B likeliest to be informative: kalman x p_informative x thompson.

    The paper could not be had when this was written: belief and process noise are those of a second-hand account, which
    does not say how prompts are chosen; Thompson sampling by P(informative) is ours.

    Args:
        pool: the prompts.
        rollouts: k, rollouts of a prompt.
        noise: variance that a policy step adds to every logit; the paper scales it by the size of the policy update.
        spread: standard deviation of the logits before any data.
        candidate_factor: candidates for each selected prompt; None: the whole pool.
        seed: seed of the draws.

    Example:
        >>> import edgewise as ew
        >>> selector = ew.make_selector("kgps", ew.PromptPool(range(100)), noise=0.1)
        >>> len(selector.select(8))
        8
    """
    belief = KalmanBelief(pool, noise=noise, spread=spread)
    return BanditSelector(
        pool, belief, PInformative(rollouts), Thompson(pool), candidate_factor=candidate_factor, seed=seed
    )
