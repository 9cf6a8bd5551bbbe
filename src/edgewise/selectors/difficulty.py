"""Difficulty known before the run: given by row, or by the order of categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Floats, Rows
from edgewise.beliefs.priors import numbers_by_row
from edgewise.errors import ConfigError
from edgewise.parts import Part
from edgewise.pool import PromptPool


class Levels:
    """The categories of a pool in order of difficulty, easiest first.

    Args:
        pool: prompts, all of them with a category.
        names: category names, easiest first; None if all names are numbers: then by number.

    Raises:
        ConfigError: no categories, a prompt without one, or a category without a place in the order.

    Example:
        >>> Levels(PromptPool(range(3), ["10", "9", "2"])).names
        ['2', '9', '10']
    """

    def __init__(self, pool: PromptPool, names: Sequence[Any] | None = None):
        self.pool = pool
        self._given = None if names is None else [str(name) for name in names]
        if pool.categories is None:
            raise ConfigError("levels are categories in order of difficulty: give PromptPool(..., categories=...)")
        if self._given is not None and len(set(self._given)) != len(self._given):
            raise ConfigError(f"a level is named twice in {self._given}")
        lacking = np.flatnonzero((self.ranks() < 0) & (pool.category_sizes() > 0))
        if len(lacking):
            named = ["none" if code == 0 else repr(pool.category_names[code - 1]) for code in lacking.tolist()]
            where = "not among the given levels" if self._given is not None else "not a number"
            raise ConfigError(
                f"some prompts have a category that is {where}: {', '.join(named[:5])};"
                " give levels=[...] with all category names, easiest first, and every prompt a category"
            )

    @property
    def names(self) -> list[str]:
        """Levels, easiest first."""
        if self._given is not None:
            return self._given
        numbers = [name for name in self.pool.category_names if _number(name) is not None]
        return sorted(numbers, key=float)

    def ranks(self) -> Rows:
        """Level by category code, (C + 1,); -1 where a category has none, as has code 0."""
        place = {name: rank for rank, name in enumerate(self.names)}
        return np.array([-1, *(place.get(name, -1) for name in self.pool.category_names)], np.int64)


class OfflineDifficulty(Part):
    """One number a prompt, higher is harder, NaN where it is unknown; what is given by row follows the ids.

    Args:
        pool: the prompts.
        difficulty: by row, (pool,), within `bounds` or NaN; None: 1 minus the pool's priors, scaled to the bounds, or, without
            priors or where `levels` are given, levels, spread evenly over the bounds.
        levels: category names, easiest first; not needed if all are numbers.
        bounds: difficulty of the easiest and of the hardest possible prompt.

    Example:
        >>> OfflineDifficulty(PromptPool(range(3), ["1", "3", "2"]), None, None, (0.0, 100.0)).values.tolist()
        [0.0, 100.0, 50.0]
    """

    by_row: ClassVar[Mapping[str, float]] = {"given": np.nan}

    def __init__(
        self,
        pool: PromptPool,
        difficulty: npt.ArrayLike | None,
        levels: Sequence[Any] | None,
        bounds: tuple[float, float],
    ):
        super().__init__(pool)
        try:
            self.low, self.high = (float(bound) for bound in bounds)
        except (TypeError, ValueError):
            self.low = self.high = np.nan
        if not -np.inf < self.low < self.high < np.inf:
            raise ConfigError(f"bounds must be (easiest, hardest) with easiest < hardest, got {bounds}")
        self._by_prior = difficulty is None and levels is None and pool.priors is not None
        if difficulty is None and not self._by_prior and not pool.has_categories:
            raise ConfigError(
                "the difficulty of prompts is unknown: give difficulty=[...] by row, or a pool with categories"
            )
        self.given = None if difficulty is None else numbers_by_row("difficulty", difficulty, pool, self.low, self.high)
        self._levels = Levels(pool, levels) if difficulty is None and not self._by_prior else None
        self._set_values()

    def _set_values(self) -> None:
        if self._by_prior:
            assert self.pool.priors is not None
            scaled = self.low + (self.high - self.low) * (1.0 - self.pool.priors)
            self.values = np.minimum(np.maximum(scaled, self.low), self.high)
            return
        if self._levels is None:
            assert self.given is not None
            self.values = self.given
            return
        ranks = self._levels.ranks()
        share = ranks / max(len(self._levels.names) - 1, 1)
        by_code = np.where(ranks < 0, np.nan, self.low + share * (self.high - self.low))
        self.values = by_code[self.pool.category_index(np.arange(len(self.pool)))]

    @property
    def rates(self) -> Floats:
        """Success rate that the difficulty stands for: 1 for the easiest, 0 for the hardest possible prompt, (pool,)."""
        return 1.0 - (self.values - self.low) / (self.high - self.low)

    def grow(self) -> None:
        """New prompts have the difficulty of their prior or level; a difficulty that was given by row is unknown for them."""
        super().grow()
        self._set_values()

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        super().restore(state, remap)
        self._set_values()

    def metrics(self) -> dict[str, float]:
        return {"unknown": float(np.isnan(self.values).mean())}


def _number(name: str) -> float | None:
    try:
        value = float(name)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
