"""What the last group of every seen prompt showed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.beliefs.seen import SeenTable
from edgewise.pool import Rows
from edgewise.selectors.base import Counts, Floats

Slots = npt.NDArray[np.int32]


class LastGroups:
    """Successes and trials of each seen prompt in the last policy step that visited it; partial results add up.

    Args:
        size: rows in the pool.
        columns: further columns by name, for what a rule remembers of the groups before the last.
        close: called with slots whose last group is about to be replaced by one of a later step.
    """

    def __init__(
        self,
        size: int,
        columns: dict[str, npt.DTypeLike] | None = None,
        close: Callable[[Slots], None] | None = None,
    ):
        own: dict[str, npt.DTypeLike] = {"successes": np.int32, "trials": np.int32, "step": np.int32}
        self.table = SeenTable(size, {**own, **(columns or {})})
        self.step = 0
        self._close = close

    def __len__(self) -> int:
        return len(self.table)

    def observe(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        slots, new = self.table.insert(rows)
        later = slots[~new & (self.table["step"][slots] != self.step)]
        if self._close is not None and len(later):
            self._close(later)
        self.table["successes"][later] = 0
        self.table["trials"][later] = 0
        self.table["successes"][slots] += successes.astype(np.int32)
        self.table["trials"][slots] += trials.astype(np.int32)
        self.table["step"][slots] = self.step

    def advance(self) -> None:
        self.step += 1

    def now(self) -> Slots:
        """Slots of the prompts that the present step has observed."""
        return np.flatnonzero(self.table["step"] == self.step).astype(np.int32)

    def rates(self, slots: Slots | None = None) -> Floats:
        """Share of correct rollouts in the last group, of all seen prompts or at `slots`."""
        successes, trials = self.table["successes"], self.table["trials"]
        if slots is not None:
            successes, trials = successes[slots], trials[slots]
        return successes / trials

    def rates_of(self, rows: Rows, unseen: float) -> Floats:
        """The same by row, `unseen` where a prompt has not been observed, (n,)."""
        slots = self.table.slots(rows)
        known = slots >= 0
        result = np.full(len(rows), unseen)
        result[known] = self.rates(slots[known])
        return result

    def metrics(self, size: int) -> dict[str, float]:
        """Shares of a pool of `size` whose last group was all right (mastered) or all wrong (hopeless)."""
        rates = self.rates()
        return {
            "seen": float(len(rates)),
            "mastered": float((rates == 1).sum() / size),
            "hopeless": float((rates == 0).sum() / size),
        }

    def grow(self, size: int) -> None:
        self.table.grow(size)

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "table": self.table.state_dict()}

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        self.table.load_state_dict(state["table"], remap)
        self.step = int(state["step"])
