"""Last group of every prompt seen: its successes, trials and policy step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Counts, Floats, Rows
from edgewise.parts import Part
from edgewise.pool import PromptPool
from edgewise.seen import SeenTable

Slots = npt.NDArray[np.int32]


class LastGroups(Part):
    """Successes and trials of each seen prompt in the last policy step that observed it; partial results add up.

    A late result counts as a group of the step in which it arrives, whatever its age.

    Args:
        pool: the prompts.
        columns: further columns by name, for what a rule remembers of the groups before the last.
        close: called with slots whose last group is about to be replaced by one of a later step.

    Example:
        >>> groups = LastGroups(PromptPool(range(3)))
        >>> groups.observe(np.array([1]), np.array([3]), np.array([4]))
        >>> groups.rates_of(np.array([0, 1]), unseen=0.5).tolist()
        [0.5, 0.75]
    """

    def __init__(
        self,
        pool: PromptPool,
        columns: Mapping[str, npt.DTypeLike] | None = None,
        close: Callable[[Slots], None] | None = None,
    ):
        super().__init__(pool)
        own: dict[str, npt.DTypeLike] = {"successes": np.int32, "trials": np.int32, "step": np.int32}
        self.table = self.add("table", SeenTable(pool, {**own, **(columns or {})}))
        self._close = close

    def __len__(self) -> int:
        return len(self.table)

    def observe(self, rows: Rows, successes: Counts, trials: Counts, age: Counts | None = None) -> None:
        slots, new = self.table.insert(rows)
        same = self.table.at("step", slots) == self.now
        later = slots[~(new | same)]
        if self._close is not None and len(later):
            self._close(later)
        for name, counts in (("successes", successes), ("trials", trials)):
            self.table[name][slots] = same * self.table.at(name, slots) + counts
        self.table["step"][slots] = self.now

    def current(self) -> Slots:
        """Slots of the prompts that the present step has observed, in the order of rows: sums are then the same after a restart."""
        slots = np.flatnonzero(self.table["step"] == self.now).astype(np.int32)
        return slots[np.argsort(self.table.rows[slots])]

    def rates(self, slots: Slots | None = None) -> Floats:
        """Success rate of the last group, of all seen prompts or at `slots`."""
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

    def metrics(self) -> dict[str, float]:
        """Prompts seen, and the shares of the pool whose last group was all right (mastered) or all wrong (hopeless)."""
        rates, size = self.rates(), len(self.pool)
        return {
            "seen": float(len(rates)),
            "mastered": float((rates == 1).sum() / size),
            "hopeless": float((rates == 0).sum() / size),
        }
