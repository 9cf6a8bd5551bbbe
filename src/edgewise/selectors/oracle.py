"""Oracle: the prompts likeliest to be informative by their true success rates, the limit of every belief."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgewise.acquisition import PInformative, top
from edgewise.arrays import Floats, Rows, as_array
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.sampling import Proportional
from edgewise.selectors.base import Selector, selectors
from edgewise.selectors.candidates import Candidates


@selectors.register("oracle")
class OracleSelector(Selector):
    """The n prompts with the highest P(informative) under the true success rates, or a draw in proportion to it.

    True success rates are known in replays and in the simulator alone, where the method `oracle` gets them.

    Args:
        pool: the prompts.
        truth: called for the true success rate of every prompt now, (pool,) in [0, 1].
        rollouts: k, rollouts of a prompt.
        sharpness: None takes the highest; a number draws with probability proportional to P(informative)^sharpness, as
            `edge` does by what it believes.
        seed: seed of the draws.

    Example:
        >>> import edgewise as ew
        >>> pool = ew.PromptPool(range(3))
        >>> OracleSelector(pool, truth=lambda: [0.0, 0.5, 1.0]).select(1).tolist()
        [1]
    """

    def __init__(
        self,
        pool: PromptPool,
        *,
        truth: Callable[[], npt.ArrayLike],
        rollouts: int = 8,
        sharpness: float | None = None,
        seed: int = 0,
    ):
        super().__init__(pool, seed=seed)
        if not callable(truth):
            raise ConfigError(f"truth is a function without arguments, got {truth!r}")
        self.truth, self.informative = truth, PInformative(rollouts)
        self.rollouts = self.informative.rollouts
        self.draw = None if sharpness is None else Proportional(pool, sharpness=sharpness)

    def choose(self, n: int, candidates: Candidates) -> Rows:
        rows = candidates.rows
        value = self.informative.value(self.rates(rows))
        if self.draw is not None:
            value = self.draw.log_weight(value) + self.rng.gumbel(size=len(rows))
        return rows[top(value, n, self.rng)]

    def rates(self, rows: Rows) -> Floats:
        rates = np.asarray(as_array(self.truth()), np.float64)
        if rates.shape != (len(self.pool),):
            raise ConfigError(f"truth must return one success rate a prompt, ({len(self.pool)},), got {rates.shape}")
        return rates[rows]
