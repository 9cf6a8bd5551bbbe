"""Quotas: how many prompts of each selection every category gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgewise.arrays import Floats, Rows
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool, label_of


class Quota:
    """Fixed shares by category; categories without a share divide what is left, as one part.

    Fractions of a prompt are carried from selection to selection, so that small batches keep the shares on average.

    Args:
        pool: prompts with categories.
        shares: share of every selection by category name, each in [0, 1], their sum at most 1.

    Attributes:
        closed: rows of the categories whose share is 0, sorted; they are not selected.
    """

    def __init__(self, pool: PromptPool, shares: Mapping[str, float]):
        try:
            self.pool, self.shares = pool, {str(label_of(name)): float(share) for name, share in shares.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise ConfigError(
                f'a quota is a dict of shares by category, such as {{"math": 0.5}}, got {shares!r}'
            ) from error
        if not pool.has_categories:
            raise ConfigError("a quota is by category: give PromptPool(..., categories=...)")
        unknown = [name for name in self.shares if name not in pool.category_names]
        if unknown:
            raise ConfigError(
                f"quota for {unknown[0]!r}, but the pool has the categories {', '.join(pool.category_names)}"
            )
        total = sum(self.shares.values())
        if not self.shares or not all(0 <= share <= 1 for share in self.shares.values()) or total > 1 + 1e-9:
            raise ConfigError(f"quota shares must lie in [0, 1] and sum to at most 1, got {self.shares}")
        # The last part is the rest; a sum that misses 1 by float noise leaves none.
        self._parts: Floats = np.array([*self.shares.values(), 1.0 - total if total < 1 - 1e-9 else 0.0])
        self._carried: Floats = np.zeros(len(self._parts))
        self.refresh()
        if total < 1 - 1e-9 and not len(self._members[-1]):
            raise ConfigError(f"the quota sums to {total:g}, and no other category is there for the rest")

    def refresh(self) -> None:
        """Read the pool again after it has grown."""
        codes = {name: code for code, name in enumerate(self.pool.category_names, start=1)}
        named = [self.pool.members(codes[name]).astype(np.int64) for name in self.shares]
        rest = np.setdiff1d(np.arange(len(self.pool), dtype=np.int64), np.concatenate(named))
        self._members = [*named, rest]
        closed = [rows for rows, share in zip(self._members, self._parts, strict=True) if share == 0]
        self.closed: Rows = np.sort(np.concatenate([np.empty(0, np.int64), *closed]))

    def places(self, n: int, busy: Rows) -> list[tuple[Rows, int]]:
        """Members and number of places of each part for a selection of n.

        Args:
            n: at most the prompts that are neither `busy` nor `closed`.
            busy: rows that are not available.
        """
        free = np.array([len(members) - int(np.isin(members, busy).sum()) for members in self._members])
        exact = n * self._parts + self._carried
        counts = np.minimum(np.maximum(np.floor(exact + 1e-9), 0), free).astype(np.int64)
        while (missing := n - int(counts.sum())) > 0:
            room = np.flatnonzero((counts < free) & (self._parts > 0))
            order = room[np.argsort(-(exact - counts)[room], kind="stable")]
            counts[order[:missing]] += 1
        while int(counts.sum()) > n:
            counts[np.argmax(np.where(counts > 0, counts - exact, -np.inf))] -= 1
        # What an exhausted category could not serve is not owed to it for ever.
        self._carried = np.clip(exact - counts, -1.0, 1.0)
        return list(zip(self._members, counts.tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        return {"names": list(self.shares), "carried": self._carried.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if list(state["names"]) == list(self.shares):
            carried = np.array(state["carried"], np.float64)
            if carried.shape != self._carried.shape or not np.isfinite(carried).all():
                raise CheckpointError(
                    f"the saved quota carries {carried}, expected {len(self._carried)} finite numbers"
                )
            self._carried = carried
