"""Contract of a draw: how rows are chosen from the acquisition values of a belief."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np

from edgewise.acquisition import Acquisition
from edgewise.arrays import Counts, Rows
from edgewise.beliefs.base import Belief
from edgewise.parts import Part
from edgewise.pool import PromptPool
from edgewise.registry import Registry


class CandidateRows(Protocol):
    """Rows that may be chosen; see `edgewise.selectors.candidates.Candidates`."""

    pool: PromptPool
    exclude: Rows
    room: Counts | None
    is_pool: bool

    def __len__(self) -> int: ...

    @property
    def rows(self) -> Rows: ...


class Draw(Part, ABC):
    """Chooses rows by the acquisition values of their success rates.

    Example:
        >>> import edgewise as ew
        >>> class First(Draw):
        ...     "The best of the first hundred candidates."
        ...     def choose(self, n, candidates, belief, acquisition, rng):
        ...         rows = candidates.rows[:100]
        ...         return rows[np.argsort(-acquisition.of(belief.distribution(rows), rows))[:n]]
        >>> pool = ew.PromptPool(range(300))
        >>> bool(ew.make_selector("bandit", pool, belief="ability", draw=First(pool)).select(4).max() < 100)
        True
    """

    keeps_room = False
    """Whether `choose` keeps the candidates' `room`, which `category_share` needs."""

    @abstractmethod
    def choose(
        self, n: int, candidates: CandidateRows, belief: Belief, acquisition: Acquisition, rng: np.random.Generator
    ) -> Rows:
        """n distinct rows of the candidates, int64 (n,), in any order."""

    def check(self, acquisition: Acquisition) -> None:
        """Raise `ConfigError` for an acquisition that this draw cannot use."""


def within(codes: Rows, room: Counts | None, n: int) -> Rows:
    """Positions of the first n rows that fit, ascending: a row whose category is full is passed over.

    Args:
        codes: category code of each row, in the order of preference, (m,).
        room: most rows of each code, (C + 1,); None: any number.
        n: number of rows.

    Example:
        >>> within(np.array([1, 1, 1, 2]), np.array([0, 2, 2]), 3).tolist()
        [0, 1, 3]
    """
    if room is None:
        return np.arange(min(n, len(codes)))
    left: list[int] = room.tolist()
    found: list[int] = []
    # A loop, since mostly a few of the first rows will do.
    for place, code in enumerate(codes.tolist()):
        if len(found) == n:
            break
        if left[code] > 0:
            left[code] -= 1
            found.append(place)
    return np.array(found, np.int64)


draws: Registry[Draw] = Registry("draw")


def list_draws() -> list[str]:
    """Names of all registered draws, those of installed packages included."""
    return draws.names()
