"""Which of many Gaussian logits give success rates closest to a target, without a draw for every prompt."""

from __future__ import annotations

import numpy as np

from edgewise.beliefs.logits import sigmoid
from edgewise.beliefs.window import Alike, Floats, Slots, aim


class AlikeLogits(Alike):
    """`Alike` for success rates sigmoid(x), x ~ N(mean, variance) by kind: `alpha` is the mean, `beta` the variance."""

    def _half_width(self, sizes: Slots, n: int) -> float:
        narrow, wide = 0.0, 0.98 * min(self._target, 1.0 - self._target)
        for _ in range(40):
            half = 0.5 * (narrow + wide)
            ends = _logit(self._target + half * np.array([[-1.0], [1.0]]))
            # Only where the window ends depends on this approximation, not which draws are chosen.
            below = _normal_share((ends - self._alpha) / np.sqrt(self._beta))
            enough = float((below[1] - below[0]) @ sizes) > aim(n)
            narrow, wide = (narrow, half) if enough else (half, wide)
        return wide

    def _log_peak(self, low: Floats, high: Floats) -> Floats:
        mean = self._alpha[:, None]
        nearest = np.clip(mean, _logit(low), _logit(high))
        # d logit / dp = 1 / (p (1 - p)) is largest at an end.
        slope = -np.log(np.minimum(low * (1.0 - low), high * (1.0 - high)))
        return _log_normal(nearest, mean, self._beta[:, None]) + slope

    def _log_density(self, x: Floats, kinds: Slots) -> Floats:
        return _log_normal(_logit(x), self._alpha[kinds], self._beta[kinds]) - np.log(x) - np.log1p(-x)

    def _draw(self, kinds: Slots) -> Floats:
        logit = self._alpha[kinds] + np.sqrt(self._beta[kinds]) * self._rng.standard_normal(len(kinds))
        return sigmoid(logit)


def _logit(p: Floats) -> Floats:
    return np.log(p) - np.log1p(-p)


def _log_normal(x: Floats, mean: Floats, variance: Floats) -> Floats:
    return -0.5 * ((x - mean) ** 2 / variance + np.log(2.0 * np.pi * variance))


def _normal_share(x: Floats) -> Floats:
    """About the normal distribution function."""
    return 0.5 * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))
