"""Offline selection by what was measured or labelled before the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Floats, Rows
from edgewise.beliefs import KnownRates
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.base import selectors
from edgewise.selectors.difficulty import OfflineDifficulty
from edgewise.selectors.epochs import EpochSelector


@selectors.register("static")
class StaticSelector(EpochSelector):
    """Shuffled epochs over the share of the pool whose known success rate is closest to the target.

    The offline counterpart of MoPPS's Top-B (arXiv 2507.04632 compares the two) and of the balanced filter (arXiv
    2504.03380): it never learns. Prompts of unknown rate come last. Where a batch does not find enough prompts in the
    share, others fill it (metric `fallback_picks`).

    Args:
        pool: the prompts; its priors are the known rates where neither `known_rates` nor `difficulty` is given.
        known_rates: success rate of each prompt in [0, 1], by row, NaN where unknown; None: 1 minus the scaled difficulty.
        difficulty: by row, higher is harder, within `bounds`; None: from the order of the pool's categories.
        levels: category names, easiest first; not needed if all are numbers.
        bounds: (easiest, hardest) difficulty.
        target: success rate to be closest to.
        share: part of the pool that is trained on, in (0, 1].
        seed: seed of the order.

    Example:
        >>> import edgewise as ew
        >>> selector = StaticSelector(ew.PromptPool(range(4)), known_rates=[0.0, 0.4, 0.6, 1.0])
        >>> sorted(selector.select(2).tolist())
        [1, 2]
    """

    def __init__(
        self,
        pool: PromptPool,
        *,
        known_rates: npt.ArrayLike | None = None,
        difficulty: npt.ArrayLike | None = None,
        levels: Sequence[Any] | None = None,
        bounds: tuple[float, float] = (0.0, 100.0),
        target: float = 0.5,
        share: float = 0.5,
        seed: int = 0,
    ):
        super().__init__(pool, seed=seed)
        if known_rates is not None and difficulty is not None:
            raise ConfigError("give known_rates or difficulty, not both")
        if not 0 <= target <= 1:
            raise ConfigError(f"target is a success rate and must lie in [0, 1], got {target}")
        if not 0 < share <= 1:
            raise ConfigError(f"share is a part of the pool in (0, 1], got {share}")
        self.target, self.share = float(target), float(share)
        self.known: KnownRates | OfflineDifficulty
        if known_rates is not None or (difficulty is None and levels is None and pool.priors is not None):
            self.known = self.add("known", KnownRates(pool, known_rates))
        else:
            self.known = self.add("known", OfflineDifficulty(pool, difficulty, levels, bounds))

    def members(self) -> Rows:
        distance = np.abs(self._known_rates() - self.target)
        size = max(round(self.share * len(distance)), 1)
        # Stable: equally close prompts in order of their rows, NaN last.
        return np.argsort(distance, kind="stable")[:size].astype(np.int64)

    def rates(self, rows: Rows) -> Floats:
        """The known rate; 0.5 where it is unknown."""
        return np.nan_to_num(self._known_rates()[rows], nan=0.5)

    def _known_rates(self) -> Floats:
        rates = self.known.rates
        return np.full(len(self.pool), np.nan) if rates is None else rates
