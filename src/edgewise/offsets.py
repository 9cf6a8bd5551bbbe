"""Corrections of forecasts by what came of them: one offset on the log-odds scale for each kind of prompt, learned online."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.errors import CheckpointError

Floats = npt.NDArray[np.float64]
Kinds = npt.NDArray[np.int64]

PRIOR = 2.5
"""What is known before any outcome: as much as ten fair coins tell about their log-odds."""
MEMORY = 0.98
"""Share of the evidence that survives a step: the last fifty steps count."""
LARGEST = 4.0


class Offsets:
    """Calibrated forecasts: log-odds p' = log-odds p + offset of the prompt's kind.

    Platt's scaling with its slope left at 1, learned online by Newton steps on the log loss of the forecasts, with
    forgetting. Where forecasts of a kind are right on average, its offset stays near 0.

    Args:
        kinds: number of kinds.
        highest: no offset rises above this; 0 where forecasts may only be lowered.
    """

    def __init__(self, kinds: int, highest: float = LARGEST):
        self.highest = float(highest)
        self.values = np.zeros(kinds)
        self._known = np.full(kinds, PRIOR)

    def apply(self, forecast: Floats, kind: Kinds) -> Floats:
        """Calibrated forecasts, (n,), of forecasts (n,) in [0, 1] of prompts of these kinds, (n,)."""
        p = np.minimum(np.maximum(forecast, 1e-9), 1.0 - 1e-9)
        odds = p / (1.0 - p) * np.exp(self.values)[kind]
        return odds / (1.0 + odds)

    def learn(self, forecast: Floats, kind: Kinds, outcome: Floats) -> None:
        """One step's forecasts, not calibrated, (n,), and what came of them, (n,) in [0, 1]."""
        size = len(self.values)
        wrong = outcome - self.apply(forecast, kind)
        p = outcome - wrong
        # Where forecasts are far off, their own p (1 - p) says too little about the size of a safe step.
        weight = np.maximum(p * (1.0 - p), wrong**2)
        self._known = PRIOR + MEMORY * (self._known - PRIOR) + np.bincount(kind, weight, size)
        moved = self.values + np.bincount(kind, wrong, size) / self._known
        self.values = np.minimum(np.maximum(moved, -LARGEST), self.highest)

    def state_dict(self) -> dict[str, Any]:
        return {"values": self.values.copy(), "known": self._known.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        values, known = np.asarray(state["values"], np.float64), np.asarray(state["known"], np.float64)
        if values.shape != self.values.shape or known.shape != values.shape:
            raise CheckpointError(f"the saved offsets are of {values.shape} kinds, expected {self.values.shape}")
        self.values, self._known = values.copy(), known.copy()
