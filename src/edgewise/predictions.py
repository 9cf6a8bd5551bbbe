"""Monitor of predictions: made before the rollouts, scored by what the rollouts showed."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from edgewise.arrays import Counts, Flags, Floats, Rows
from edgewise.statistics import calibration_error, spearman

COLUMNS = ("row", "predicted", "successes", "trials", "random", "accepted")


class PredictionMonitor:
    """Predictions and outcomes of the last groups; the random sample is scored apart from the selected prompts."""

    SIZE = 2048

    def __init__(self) -> None:
        self._parts: deque[np.ndarray] = deque()
        self._held = 0

    def __len__(self) -> int:
        return self._held

    def add(
        self, rows: Rows, predicted: Floats, successes: Counts, trials: Counts, random: Flags, accepted: Flags
    ) -> None:
        """Enter observed groups, arrays (n,); whole batches leave once `SIZE` newer groups have come."""
        part = np.empty((len(COLUMNS), len(rows)))
        part[0], part[1], part[2], part[3], part[4], part[5] = rows, predicted, successes, trials, random, accepted
        self._parts.append(part)
        self._held += len(rows)
        while self._held - self._parts[0].shape[1] >= self.SIZE:
            self._held -= self._parts.popleft().shape[1]

    def columns(self) -> dict[str, np.ndarray]:
        """The groups held, oldest first, one float64 array (m,) a column."""
        joined = np.concatenate(self._parts, axis=1) if self._parts else np.empty((len(COLUMNS), 0))
        return dict(zip(COLUMNS, joined, strict=True))

    def metrics(self) -> dict[str, float]:
        if not self._held:
            return {}
        held = self.columns()
        result = {}
        for name, chosen in (("", held["random"] == 0), ("random_", held["random"] > 0)):
            if chosen.sum() > 1:
                p, s, k = held["predicted"][chosen], held["successes"][chosen], held["trials"][chosen]
                result[f"{name}spearman"] = spearman(p, s / k)
                result[f"{name}calibration_error"] = calibration_error(p, s, k)
        return result

    def state_dict(self) -> dict[str, Any]:
        held = self.columns()
        return {
            "values": np.stack([held[name] for name in COLUMNS]),
            "sizes": np.array([part.shape[1] for part in self._parts], np.int64),
        }

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        """Restore `state_dict`; groups of prompts that are gone keep their scores under row -1."""
        values, sizes = np.array(state["values"], np.float64), np.asarray(state["sizes"], np.int64)
        if len(values) == len(COLUMNS) - 1:  # saved before `accepted` was kept
            values = np.vstack([values, (values[2] > 0) & (values[2] < values[3])])
        if values.shape != (len(COLUMNS), sizes.sum()):
            raise ValueError(f"the saved predictions have shape {values.shape}")
        if remap is not None and values.shape[1]:
            old = values[0].astype(np.int64)
            values[0] = np.where(old >= 0, remap[np.maximum(old, 0)], -1)
        self._parts = deque(np.split(values, np.cumsum(sizes)[:-1], axis=1) if len(sizes) else [])
        self._held = values.shape[1]
