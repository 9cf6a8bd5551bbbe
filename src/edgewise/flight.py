"""Table of the prompts in flight: selected, and neither observed nor forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.arrays import Counts, Flags, Floats, Rows

ENTRY = np.dtype(
    [
        ("row", np.int64),
        ("serial", np.int64),
        ("rollouts", np.int64),
        ("step", np.int64),
        ("predicted", np.float64),
        ("random", np.bool_),
        ("lost", np.bool_),
    ]
)
KEPT = 8192
"""Forgotten prompts whose late results are still recognised, the newest ones."""


class FlightTable:
    """One entry for each prompt that was selected: its batch, rollouts, prediction and policy step.

    A forgotten prompt stays as `lost`, so that a late result is still evidence; it may then be selected again, and the new
    entry is found first. At most one entry of a row is not lost.
    """

    def __init__(self) -> None:
        self._table = np.empty(0, ENTRY)
        self._lost = 0

    def __len__(self) -> int:
        """Number of prompts in flight."""
        return len(self._table) - self._lost

    @property
    def rows(self) -> Rows:
        """Rows in flight, in the order of selection, (len,)."""
        return self._live["row"].copy()

    @property
    def _live(self) -> np.ndarray:
        return self._table[~self._table["lost"]] if self._lost else self._table

    def busy(self) -> Rows:
        """Rows in flight, sorted."""
        return np.sort(self._live["row"])

    @property
    def predicted(self) -> Floats:
        """Predicted success rates of the prompts in flight, (len,)."""
        return self._live["predicted"].copy()

    def add(self, rows: Rows, serial: int, rollouts: Counts, step: int, predicted: Floats, random: Flags) -> None:
        """Enter a batch; arrays (n,)."""
        new = np.empty(len(rows), ENTRY)
        new["row"], new["serial"], new["rollouts"], new["step"] = rows, serial, rollouts, step
        new["predicted"], new["random"], new["lost"] = predicted, random, False
        self._table = np.concatenate([self._table, new]) if len(self._table) else new

    def find(self, rows: Rows, serial: int | None = None) -> Counts:
        """Positions of the entries of `rows`, -1 where there is none, (n,).

        Args:
            rows: distinct rows, (n,).
            serial: the batch that they must belong to; any if None: then entries in flight come before lost ones, and the
                newest of these first.
        """
        table = self._table
        mine = np.arange(len(table)) if serial is None else (table["serial"] == serial).nonzero()[0]
        if not len(mine):
            return np.full(len(rows), -1, np.int64)
        held = table["row"][mine]
        if np.array_equal(held, rows):  # a whole batch, as it was selected
            return mine
        # Entries of one row in the order lost, older to newer, then in flight: the last one is found.
        order = np.lexsort((~table["lost"][mine], held)) if self._lost else held.argsort(kind="stable")
        place = held.searchsorted(rows, side="right", sorter=order) - 1
        found = mine[order[np.maximum(place, 0)]]
        return np.where((place >= 0) & (table["row"][found] == rows), found, -1)

    def entries(self, positions: Counts) -> np.ndarray:
        """Copy of the entries at `positions`, a structured array (n,)."""
        return self._table[positions]

    def remove(self, positions: Counts) -> None:
        """Drop entries: their results are in."""
        if len(positions) == len(self._table):
            self._table, self._lost = self._table[:0], 0
            return
        keep = np.ones(len(self._table), bool)
        keep[positions] = False
        self._table = self._table[keep]
        self._lost = int(self._table["lost"].sum()) if self._lost else 0

    def lose(self, positions: Counts | None = None) -> Rows:
        """Give entries up (all in flight if None); returns their rows."""
        table = self._table
        chosen = np.flatnonzero(~table["lost"]) if positions is None else positions[~table["lost"][positions]]
        table["lost"][chosen] = True
        self._lost += len(chosen)
        rows = table["row"][chosen].copy()
        if self._lost > KEPT:
            oldest = np.flatnonzero(table["lost"])[: self._lost - KEPT]
            self.remove(oldest)
        return rows

    def renew(self, positions: Counts, rollouts: Counts, step: int) -> None:
        """Entries at `positions` are rolled out from policy step `step` on, so many times, (n,)."""
        self._table["rollouts"][positions], self._table["step"][positions] = rollouts, step

    def waiting(self, step: int) -> int:
        """Number of prompts in flight that were selected in policy step `step` or later."""
        return int((self._live["step"] >= step).sum()) if len(self._table) else 0

    def stale(self, step: int) -> Rows:
        """Rows in flight that were selected in policy step `step` or before."""
        live = self._live
        return live["row"][live["step"] <= step].copy()

    def state_dict(self) -> dict[str, Any]:
        return {name: self._table[name].copy() for name in ENTRY.names or ()}

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        """Restore `state_dict`; `remap[old row]` is the present row, -1 for prompts that are gone."""
        table = np.empty(len(state["row"]), ENTRY)
        for name in ENTRY.names or ():
            table[name] = state[name]
        if remap is not None and len(table):
            table["row"] = remap[table["row"]]
            table = table[table["row"] >= 0]
        self._table, self._lost = table, int(table["lost"].sum())
