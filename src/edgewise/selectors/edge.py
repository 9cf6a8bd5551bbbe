"""Edge, our default: per-prompt evidence over a prior that categories share and learn online."""

from __future__ import annotations

from edgewise.acquisition import Closest
from edgewise.beliefs import BetaBelief, CategoryPrior
from edgewise.pool import PromptPool
from edgewise.selectors.bandit import BanditSelector
from edgewise.selectors.base import selectors


@selectors.register("edge")
def edge(
    pool: PromptPool,
    target: float = 0.5,
    ageing: float = 0.95,
    memory: float = 20.0,
    candidate_factor: float | None = None,
    seed: int = 0,
) -> BanditSelector:
    """MoPPS's evidence that fades with every policy step towards its category's learned prior.

    Where categories tell nothing, their priors learn that (strength near zero) and what remains is MoPPS with ageing.

    Args:
        pool: the prompts; categories sharpen the prior, none are needed.
        target: success rate to be closest to.
        ageing: share of a prompt's evidence that survives a policy step.
        memory: steps after which what a category showed counts 1/e.
        candidate_factor: candidates for each selected prompt; None: the whole pool.
        seed: of draws and samples.
    """
    belief = BetaBelief(pool, CategoryPrior(pool, memory), discount=1.0, ageing=ageing)
    return BanditSelector(pool, belief, Closest(target), "thompson", candidate_factor, seed)
