"""Offline selection: what was measured or labelled before the run decides once and for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgewise.errors import ConfigError
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Floats, selectors
from edgewise.selectors.difficulty import OfflineDifficulty, by_row, padded
from edgewise.selectors.epochs import EpochSelector


@selectors.register("static")
class StaticSelector(EpochSelector):
    """Shuffled epochs over the share of the pool whose known success rate is closest to the target.

    The offline counterpart of MoPPS's Top-B (arXiv 2507.04632 compares the two) and of the balanced filter (arXiv
    2504.03380): it never learns. Prompts of unknown rate come last. Where a batch does not find enough prompts in the
    share, others fill it (`relaxed`).

    Args:
        pool: the prompts.
        known_rates: success rate of each prompt in [0, 1], by row, NaN where unknown; None: 1 minus the scaled difficulty.
        difficulty: by row, higher is harder, within `bounds`; None: from the order of the pool's categories.
        levels: category names, easiest first; not needed if all are numbers.
        bounds: (easiest, hardest) difficulty.
        target: success rate to be closest to.
        share: part of the pool that is trained on, in (0, 1].
        seed: of the order.
    """

    def __init__(
        self,
        pool: PromptPool,
        known_rates: Any = None,
        difficulty: Any = None,
        levels: Sequence[Any] | None = None,
        bounds: tuple[float, float] = (0.0, 100.0),
        target: float = 0.5,
        share: float = 0.5,
        seed: int = 0,
    ):
        super().__init__(pool, seed)
        if known_rates is not None and difficulty is not None:
            raise ConfigError("give known_rates or difficulty, not both")
        if not 0 <= target <= 1:
            raise ConfigError(f"target is a success rate and must lie in [0, 1], got {target}")
        if not 0 < share <= 1:
            raise ConfigError(f"share is a part of the pool in (0, 1], got {share}")
        self.target, self.share = float(target), float(share)
        self._difficulty = OfflineDifficulty(pool, difficulty, levels, bounds) if known_rates is None else None
        self._rates = (
            by_row("known_rates", known_rates, pool, 0.0, 1.0) if self._difficulty is None else self._difficulty.rates
        )

    def _members(self) -> Rows:
        distance = np.abs(self._rates - self.target)
        size = max(round(self.share * len(distance)), 1)
        # Stable: equally close prompts in order of their rows, NaN last.
        return np.argsort(distance, kind="stable")[:size].astype(np.int64)

    def _predict(self, rows: Rows) -> Floats:
        """The known rate; 0.5 where it is unknown."""
        return np.nan_to_num(self._rates[rows], nan=0.5)

    def grow(self) -> None:
        if self._difficulty is None:
            self._rates = padded(self._rates, len(self.pool))
        else:
            self._difficulty.grow()
            self._rates = self._difficulty.rates
        super().grow()

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), "unknown": float(np.isnan(self._rates).mean())}
