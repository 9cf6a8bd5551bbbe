"""Rules that do not choose by success rates still predict them."""

from __future__ import annotations

from edgewise.beliefs import BetaBelief, CategoryPrior
from edgewise.pool import PromptPool
from edgewise.selectors.believing import BelievingSelector


class OnlookerSelector(BelievingSelector):
    """Watches success rates without choosing by them, so that `predict` answers.

    The belief is a Beta posterior a prompt around its category's learned prior, with MoPPS's discount of 0.5.
    """

    def __init__(self, pool: PromptPool, seed: int = 0):
        super().__init__(pool, BetaBelief(pool, CategoryPrior(pool), discount=0.5), seed)
