"""Online calibration: corrections of predictions by past outcomes, one offset on the log-odds scale for each class."""

from __future__ import annotations

import numpy as np

from edgewise.arrays import Floats, Rows
from edgewise.parts import Part
from edgewise.pool import PromptPool

PRIOR = 2.5
"""Prior precision of an offset: the Fisher information of ten Bernoulli(1/2) outcomes."""
RETENTION = 0.98
"""Share of the evidence that survives a policy step: the last fifty steps count."""
LARGEST = 4.0
"""Bound of an offset's size."""


class OnlineCalibration(Part):
    """Calibrated predictions: log-odds p' = log-odds p + offset of the prompt's class.

    Platt's scaling with its slope left at 1, learned online by Newton steps on the log loss of the predictions, with
    forgetting. Where predictions of a class are right on average, its offset stays near 0.

    Args:
        pool: the prompts.
        classes: number of classes.
        highest: no offset rises above this; 0 where predictions may only be lowered.

    Example:
        >>> calibration = OnlineCalibration(PromptPool([0]), classes=1)
        >>> calibration.learn(np.full(8, 0.5), np.zeros(8, int), np.zeros(8))
        >>> bool(calibration.apply(np.array([0.5]), np.array([0]))[0] < 0.4)
        True
    """

    saved = ("offsets", "precision")

    def __init__(self, pool: PromptPool, classes: int, *, highest: float = LARGEST):
        super().__init__(pool)
        self.highest = float(highest)
        self.offsets = np.zeros(classes)
        self.precision = np.full(classes, PRIOR)

    def apply(self, predicted: Floats, classes: Rows) -> Floats:
        """Calibrated predictions, (n,), of predictions (n,) in [0, 1] for prompts of these classes, (n,)."""
        p = np.minimum(np.maximum(predicted, 1e-9), 1.0 - 1e-9)
        odds = p / (1.0 - p) * np.exp(self.offsets)[classes]
        return odds / (1.0 + odds)

    def learn(self, predicted: Floats, classes: Rows, outcome: Floats) -> None:
        """Take in one step's predictions, not calibrated, (n,), and their outcomes, (n,) in [0, 1]."""
        size = len(self.offsets)
        error = outcome - self.apply(predicted, classes)
        p = outcome - error
        # Where predictions are far off, their own p (1 - p) understates the curvature of a safe step.
        weight = np.maximum(p * (1.0 - p), error**2)
        self.precision = self.precision + np.bincount(classes, weight, size)
        moved = self.offsets + np.bincount(classes, error, size) / self.precision
        self.offsets = np.minimum(np.maximum(moved, -LARGEST), self.highest)

    def advance(self, steps: int = 1) -> None:
        self.precision = PRIOR + RETENTION**steps * (self.precision - PRIOR)
        super().advance(steps)
