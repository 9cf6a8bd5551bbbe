"""Predictions made before the rollouts, scored by what the rollouts showed."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.statistics import calibration_error, spearman

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class ForecastWindow:
    """Predictions and outcomes of the last groups: those that were selected, and the probe apart from them."""

    SIZE = 2048

    def __init__(self) -> None:
        self._values: deque[np.ndarray] = deque()
        self._held = 0

    def add(self, predicted: Floats, successes: Counts, trials: Counts, probe: np.ndarray) -> None:
        told = np.empty((len(predicted), 4))
        told[:, 0], told[:, 1], told[:, 2], told[:, 3] = predicted, successes, trials, probe
        self._values.append(told)
        self._held += len(predicted)
        while self._held - len(self._values[0]) >= self.SIZE:
            self._held -= len(self._values.popleft())

    def metrics(self) -> dict[str, float]:
        if not self._held:
            return {}
        predicted, successes, trials, probe = np.concatenate(self._values).T
        marks = probe > 0
        result = {}
        for name, chosen in (("", ~marks), ("probe_", marks)):
            if chosen.sum() > 1:
                p, s, k = predicted[chosen], successes[chosen], trials[chosen]
                result[f"{name}spearman"] = spearman(p, s / k)
                result[f"{name}calibration_error"] = calibration_error(p, s, k)
        return result

    def state_dict(self) -> dict[str, Any]:
        sizes = np.array([len(part) for part in self._values], np.int64)
        joined = np.concatenate(self._values) if self._values else np.empty((0, 4))
        return {"values": joined, "sizes": sizes}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> ForecastWindow:
        window = cls()
        values, sizes = np.asarray(state["values"], np.float64), np.asarray(state["sizes"], np.int64)
        window._values = deque(np.split(values, np.cumsum(sizes)[:-1]) if len(sizes) else [])
        window._held = len(values)
        return window
