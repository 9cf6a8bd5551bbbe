"""How hard prompts are known to be beforehand: given by row, or by the order of their categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.base import Floats


class Levels:
    """The categories of a pool in order of difficulty, easiest first.

    Args:
        pool: prompts, all of them with a category.
        names: category names, easiest first; None if all names are numbers: then by number.

    Raises:
        ConfigError: no categories, a prompt without one, or a category without a place in the order.
    """

    def __init__(self, pool: PromptPool, names: Sequence[Any] | None = None):
        self.pool = pool
        self._given = None if names is None else [str(name) for name in names]
        codes = pool.categories
        if codes is None:
            raise ConfigError("levels are categories in order of difficulty: give PromptPool(..., categories=...)")
        if self._given is not None and len(set(self._given)) != len(self._given):
            raise ConfigError(f"a level is named twice in {self._given}")
        lacking = np.unique(codes[self.ranks()[codes] < 0])
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

    def ranks(self) -> np.ndarray:
        """Level by category code, (categories + 1,); -1 where a category has none, as has code 0."""
        place = {name: rank for rank, name in enumerate(self.names)}
        return np.array([-1, *(place.get(name, -1) for name in self.pool.category_names)], np.int64)


class OfflineDifficulty:
    """One number a prompt, higher is harder, NaN where it is unknown.

    Args:
        pool: the prompts.
        difficulty: by row, (pool,), within `bounds` or NaN; None: levels, spread evenly over the bounds.
        levels: category names, easiest first; not needed if all are numbers.
        bounds: difficulty of the easiest and of the hardest thinkable prompt.
    """

    def __init__(self, pool: PromptPool, difficulty: Any, levels: Sequence[Any] | None, bounds: tuple[float, float]):
        self.pool = pool
        self.low, self.high = float(bounds[0]), float(bounds[1])
        if not -np.inf < self.low < self.high < np.inf:
            raise ConfigError(f"bounds must be (easiest, hardest) with easiest < hardest, got {bounds}")
        if difficulty is None and pool.categories is None:
            raise ConfigError(
                "the difficulty of prompts is unknown: give difficulty=[...] by row, or a pool with categories"
            )
        self._levels = Levels(pool, levels) if difficulty is None else None
        self.values = np.empty(0)
        if difficulty is None:
            self.grow()
        else:
            self.values = by_row("difficulty", difficulty, pool, self.low, self.high)

    @property
    def rates(self) -> Floats:
        """Success rate that the difficulty stands for: 1 for the easiest, 0 for the hardest thinkable prompt, (pool,)."""
        return 1.0 - (self.values - self.low) / (self.high - self.low)

    def grow(self) -> None:
        """New prompts have the difficulty of their level; a difficulty that was given by row is unknown for them."""
        if self._levels is None:
            self.values = padded(self.values, len(self.pool))
            return
        ranks, codes = self._levels.ranks(), self.pool.categories
        assert codes is not None
        share = ranks / max(len(self._levels.names) - 1, 1)
        self.values = np.where(ranks < 0, np.nan, self.low + share * (self.high - self.low))[codes]


def by_row(name: str, values: Any, pool: PromptPool, low: float, high: float) -> Floats:
    """An option with one number in [low, high] a prompt, NaN where unknown, as float64 (pool,)."""
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} must be numbers by row: {error}") from error
    if array.shape != (len(pool),):
        raise ConfigError(f"{name} must have shape ({len(pool)},), one number a prompt by row, got {array.shape}")
    known = array[~np.isnan(array)]
    if known.size and (known.min() < low or known.max() > high):
        raise ConfigError(f"{name} must lie in [{low:g}, {high:g}], got {known.min():g} to {known.max():g}")
    return array


def padded(values: Floats, size: int) -> Floats:
    """`values` with NaN for rows added since."""
    return np.concatenate([values, np.full(size - len(values), np.nan)])


def _number(name: str) -> float | None:
    try:
        value = float(name)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
