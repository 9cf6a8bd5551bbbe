"""Online calibration: corrections of predictions by past outcomes, on the log-odds scale and by class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Floats, Rows
from edgewise.distributions import logit, sigmoid
from edgewise.parts import Part
from edgewise.pool import PromptPool

PRIOR = 2.5
"""Prior precision of an offset: the Fisher information of ten Bernoulli(1/2) outcomes."""
RETENTION = 0.98
"""Share of the evidence that survives a policy step: the last fifty steps count."""
LARGEST = 4.0
"""Bound of an offset's size, and of a slope, which is at least its reciprocal."""
RECENT = 0.9
"""Share of a slope's evidence that survives a policy step: how much too wide or too narrow a belief is changes as learning
speeds up and slows down."""
SLOPE_PRIOR = 10.0
"""Prior precision of a slope around 1."""


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
        p = _inside(predicted)
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


class PlattCalibration(Part):
    """Calibrated predictions: log-odds p' = slope * log-odds p + offset of the prompt's class.

    Platt's scaling learned online by Newton steps on the log loss, with forgetting. A slope above 1 corrects predictions that
    are drawn too far towards the middle.

    Args:
        pool: the prompts.
        classes: number of classes.
        start: offset of each class before any outcome, (classes,); 0 if None.

    Example:
        >>> calibration = PlattCalibration(PromptPool([0]), classes=1)
        >>> predicted, kind = np.array([0.2, 0.8]), np.zeros(2, int)
        >>> for _ in range(50):
        ...     calibration.learn(predicted, kind, np.array([0.05, 0.95]))
        ...     calibration.advance()
        >>> calibration.apply(predicted, kind).round(2).tolist()
        [0.08, 0.92]
    """

    saved = ("weights", "precision")

    def __init__(self, pool: PromptPool, classes: int, start: npt.ArrayLike | None = None):
        super().__init__(pool)
        # Offsets by class, and last the slope.
        self._prior = np.diag(np.append(np.full(classes, PRIOR), SLOPE_PRIOR))
        self._least = np.append(np.full(classes, -LARGEST), 1.0 / LARGEST)
        offsets = np.zeros(classes) if start is None else np.asarray(start, np.float64)
        self.weights, self.precision = np.append(offsets, 1.0), self._prior.copy()

    def apply(self, predicted: Floats, classes: Rows) -> Floats:
        """Calibrated predictions, (n,), of predictions (n,) in [0, 1] for prompts of these classes, (n,)."""
        return sigmoid(self.weights[-1] * _log_odds(predicted) + self.weights[classes])

    def learn(self, predicted: Floats, classes: Rows, outcome: Floats) -> None:
        """Take in one step's predictions, not calibrated, (n,), and their outcomes, (n,) in [0, 1]."""
        odds, size = _log_odds(predicted), len(self.weights) - 1
        p = sigmoid(self.weights[-1] * odds + self.weights[classes])
        error = outcome - p
        weight = np.maximum(p * (1.0 - p), error**2)
        score, gained, shared = (np.bincount(classes, part, size) for part in (error, weight, weight * odds))
        self.precision.flat[:: size + 2] += np.append(gained, weight @ odds**2)
        self.precision[:-1, -1] += shared
        self.precision[-1, :-1] += shared
        # Each prompt is of one class, so offsets depend on each other through the slope alone.
        own, shared = self.precision.diagonal()[:-1], self.precision[:-1, -1]
        slope = (error @ odds - score @ (shared / own)) / (self.precision[-1, -1] - shared @ (shared / own))
        moved = self.weights + np.append((score - shared * slope) / own, slope)
        self.weights = np.minimum(np.maximum(moved, self._least), LARGEST)

    def advance(self, steps: int = 1) -> None:
        self.precision = self._prior + RECENT**steps * (self.precision - self._prior)
        super().advance(steps)


def _log_odds(predicted: Floats) -> Floats:
    return logit(_inside(predicted))


def _inside(predicted: Floats) -> Floats:
    return np.minimum(np.maximum(predicted, 1e-9), 1.0 - 1e-9)
