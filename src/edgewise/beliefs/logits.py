"""Success rates whose logit is Gaussian: what rollouts tell of the logit, and averages over it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgewise.beliefs.base import Counts, Floats

_GRID = np.linspace(-1.0, 1.0, 33)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def sigmoid(x: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def mean_rate(mean: Floats, variance: Floats) -> Floats:
    """Expected success rate for logits ~ N(mean, variance), (n,) (MacKay 1992's approximation)."""
    return sigmoid(mean / np.sqrt(1.0 + np.pi / 8.0 * variance))


def moments(worth: Callable[[Floats], Floats], mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Expectation and standard deviation of a function of the success rate over logits ~ N(mean, variance), (n,) each.

    By quadrature: `worth` is given rates at its nodes, (n, nodes).
    """
    values = worth(sigmoid(mean[:, None] + np.sqrt(variance)[:, None] * _NODES))
    first = values @ _WEIGHTS
    return first, np.sqrt(np.maximum(values**2 @ _WEIGHTS - first**2, 0.0))


def logit_posterior(mean: Floats, variance: Floats, successes: Counts, trials: Counts) -> tuple[Floats, Floats]:
    """Mean and variance of a logit ~ N(mean, variance) after `successes` of `trials` rollouts, (n,) each.

    The mode by Newton's method kept within its bracket, then the trapezoid rule on nodes that are dense near the mode and
    reach the prior's tails: a mode that is a little off costs no accuracy.
    """
    s, k = successes.astype(np.float64), trials.astype(np.float64)
    low, high = mean - variance * (k - s), mean + variance * s
    # From where the prior would meet the observed rate, were it Gaussian.
    seen = (s + 0.5) / (k + 1.0)
    told = k * seen * (1.0 - seen)
    mode = (mean / variance + told * np.log(seen / (1.0 - seen))) / (1.0 / variance + told)
    mode = np.minimum(np.maximum(mode, low), high)
    rate = sigmoid(mode)
    for turn in range(60):
        slope = s - k * rate + (mean - mode) / variance
        curvature = k * rate * (1.0 - rate) + 1.0 / variance
        low, high = np.where(slope > 0, mode, low), np.where(slope > 0, high, mode)
        if (slope**2 < 1e-2 * curvature).all():
            break
        mode = mode + slope / curvature
        # Every third turn halves the bracket: on a sigmoid's two flat ends Newton's steps can go to and fro.
        kept = (mode > low) & (mode < high) & (turn % 3 != 2)
        mode = np.where(kept, mode, 0.5 * (low + high))
        rate = sigmoid(mode)
    scale = 1.0 / np.sqrt(1.0 / variance + k * rate * (1.0 - rate))
    # Nowhere is the posterior flatter than the prior, so 8 prior deviations hold all of it.
    angle = np.arcsinh(8.0 * np.sqrt(variance) / scale)[:, None] * _GRID
    offset = scale[:, None] * np.sinh(angle)
    logit = mode[:, None] + offset
    density = (
        s[:, None] * logit
        - k[:, None] * np.logaddexp(0.0, logit)
        - 0.5 * (logit - mean[:, None]) ** 2 / variance[:, None]
    )
    weight = np.exp(density - density.max(1, keepdims=True)) * np.cosh(angle)
    weight /= weight.sum(1, keepdims=True)
    shift = (weight * offset).sum(1)
    return mode + shift, (weight * (offset - shift[:, None]) ** 2).sum(1)
