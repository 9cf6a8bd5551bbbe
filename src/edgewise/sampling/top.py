"""Top-B: the prompts with the highest acquisition values."""

from __future__ import annotations

import numpy as np

from edgewise.acquisition import Acquisition, optimistic, top
from edgewise.arrays import Floats, Rows
from edgewise.beliefs.base import Belief
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.sampling.base import CandidateRows, Draw, draws, within


def best(values: Floats, n: int, candidates: CandidateRows, rng: np.random.Generator) -> Rows:
    """Positions among the candidates' rows of the n highest values within their room, ties at random."""
    if candidates.room is None:
        return top(values, n, rng)
    order = np.lexsort((rng.random(len(values)), -values))
    codes = candidates.pool.category_index(candidates.rows[order])
    return order[within(codes, candidates.room, n)]


@draws.register("top")
class Top(Draw):
    """The n prompts with the highest acquisition value under the belief, ties at random.

    Args:
        pool: the prompts.
        optimism: 0 values each prompt as the acquisition does (`Acquisition.of`); above, the value is the highest of any
            rate within this many standard deviations of the mean (upper confidence bound).

    Example:
        >>> import edgewise as ew
        >>> from edgewise.acquisition import Learnability
        >>> from edgewise.beliefs import BetaBelief
        >>> pool = ew.PromptPool(range(5))
        >>> belief = BetaBelief(pool)
        >>> belief.observe(np.array([1, 3]), np.array([8, 4]), np.array([8, 8]))
        >>> candidates = ew.selectors.Candidates(pool, rows=np.array([1, 3]))
        >>> Top(pool).choose(1, candidates, belief, Learnability(), np.random.default_rng(0)).tolist()
        [3]
    """

    keeps_room = True

    def __init__(self, pool: PromptPool, *, optimism: float = 0.0):
        super().__init__(pool)
        if not 0 <= optimism < np.inf:
            raise ConfigError(f"optimism is a number of standard deviations >= 0, got {optimism}")
        self.optimism = float(optimism)

    def choose(
        self, n: int, candidates: CandidateRows, belief: Belief, acquisition: Acquisition, rng: np.random.Generator
    ) -> Rows:
        rows = candidates.rows
        distribution = belief.distribution(rows)
        if self.optimism:
            value = optimistic(acquisition, distribution.mean(), distribution.std(), self.optimism)
        else:
            value = acquisition.of(distribution, rows)
        return rows[best(value, n, candidates, rng)]
