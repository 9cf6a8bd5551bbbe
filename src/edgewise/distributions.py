"""Distributions of success rates: Beta, logit-normal, and DPS's three states, each over many prompts at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Floats

_BLOCK = 2048
_GRID = np.linspace(-1.0, 1.0, 33)
_FINE_GRID = np.linspace(-1.0, 1.0, 65)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_UNIFORM_NODES, _UNIFORM_WEIGHTS = (0.5 * part for part in np.polynomial.legendre.leggauss(33))


class Distribution(ABC):
    """Independent distributions of n success rates in [0, 1]. Indexing selects some of them."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: Any) -> Distribution: ...

    @abstractmethod
    def mean(self) -> Floats:
        """Means, (n,)."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Floats:
        """One draw of each, (n,)."""

    @abstractmethod
    def moments(self, function: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
        """Expectation and standard deviation of a function of the success rate, (n,) each.

        By quadrature where there is no closed form: `function` gets rates of shape (m, nodes), of a block of prompts.
        """

    def expect(self, function: Callable[[Floats], Floats]) -> Floats:
        """Expectation of a function of the success rate, (n,), as `moments` has it."""
        return self.moments(function)[0]

    def std(self) -> Floats:
        """Standard deviations, (n,)."""
        return self.moments(lambda rates: rates)[1]

    def log_density(self, x: Floats) -> Floats:
        """Log density at x in (0, 1), broadcast against (n,)."""
        raise NotImplementedError

    def log_peak(self, low: npt.ArrayLike, high: npt.ArrayLike) -> Floats:
        """At least the largest log density on each [low, high] inside (0, 1): (n,), or (n, m) for m intervals."""
        raise NotImplementedError


class Beta(Distribution):
    """Beta(alpha, beta), (n,) each, positive.

    Example:
        >>> Beta(np.array([1.0, 3.0]), np.array([1.0, 1.0])).mean().tolist()
        [0.5, 0.75]
    """

    def __init__(self, alpha: Floats, beta: Floats):
        self.alpha, self.beta = alpha, beta
        self._log_beta: Floats | None = None

    def __len__(self) -> int:
        return len(self.alpha)

    def __getitem__(self, index: Any) -> Beta:
        return Beta(self.alpha[index], self.beta[index])

    def mean(self) -> Floats:
        return self.alpha / (self.alpha + self.beta)

    def std(self) -> Floats:
        total = self.alpha + self.beta
        return np.sqrt(self.alpha * self.beta / (total + 1.0)) / total

    def draw(self, rng: np.random.Generator) -> Floats:
        return rng.beta(self.alpha, self.beta)

    def moments(self, function: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
        """By the trapezoid rule on the logit, whose density alpha x - (alpha + beta) log(1 + e^x) has one mode.

        Nodes are dense near the mode and reach e^-16 of the exponential tails.
        """
        first, second = np.empty((2, len(self)))
        for part in blocks(len(self)):
            a, b = self.alpha[part, None], self.beta[part, None]
            scale = np.sqrt((a + b) / (a * b))
            angle = np.arcsinh((6.0 * scale + 16.0 / np.minimum(a, b)) / scale) * _FINE_GRID
            x = np.log(a / b) + scale * np.sinh(angle)
            density = a * x - (a + b) * softplus(x)
            weight = np.exp(density - density.max(1, keepdims=True)) * np.cosh(angle)
            weight /= weight.sum(1, keepdims=True)
            values = function(sigmoid(x))
            first[part], second[part] = (values * weight).sum(1), (values**2 * weight).sum(1)
        return first, np.sqrt(np.maximum(second - first**2, 0.0))

    def log_density(self, x: Floats) -> Floats:
        if self._log_beta is None:
            self._log_beta = log_beta(self.alpha, self.beta)
        return (self.alpha - 1.0) * np.log(x) + (self.beta - 1.0) * np.log1p(-x) - self._log_beta

    def log_peak(self, low: npt.ArrayLike, high: npt.ArrayLike) -> Floats:
        """At an end of the interval, or at the mode where there is one in between."""
        low, high = np.asarray(low), np.asarray(high)
        alpha, beta = (self.alpha, self.beta) if low.ndim == 0 else (self.alpha[:, None], self.beta[:, None])
        concave = (alpha > 1.0) & (beta > 1.0)
        mode = np.where(concave, alpha - 1.0, 1.0) / np.where(concave, alpha + beta - 2.0, 2.0)
        value = np.full(np.broadcast(alpha, low).shape, -np.inf)
        for x in (low, high, np.clip(mode, low, high)):
            value = np.maximum(value, (alpha - 1.0) * np.log(x) + (beta - 1.0) * np.log1p(-x))
        return value - log_beta(alpha, beta)


class LogitNormal(Distribution):
    """sigmoid(x) with x ~ N(location, variance), (n,) each.

    Example:
        >>> LogitNormal(np.array([0.0]), np.array([1.0])).mean().tolist()
        [0.5]
    """

    def __init__(self, location: Floats, variance: Floats):
        self.location, self.variance = location, variance

    def __len__(self) -> int:
        return len(self.location)

    def __getitem__(self, index: Any) -> LogitNormal:
        return LogitNormal(self.location[index], self.variance[index])

    def mean(self) -> Floats:
        """MacKay's approximation (1992)."""
        return sigmoid(self.location / np.sqrt(1.0 + np.pi / 8.0 * self.variance))

    def draw(self, rng: np.random.Generator) -> Floats:
        return sigmoid(self.location + np.sqrt(self.variance) * rng.standard_normal(len(self)))

    def moments(self, function: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
        """By Gauss-Hermite quadrature."""
        first, second = np.empty((2, len(self)))
        for part, values in self._at_nodes(function):
            first[part], second[part] = values @ _WEIGHTS, values**2 @ _WEIGHTS
        return first, np.sqrt(np.maximum(second - first**2, 0.0))

    def expect(self, function: Callable[..., Floats], *each: Floats) -> Floats:
        """Expectation of a function of the success rate and of a value of `each` prompt, (n,)."""
        result = np.empty(len(self))
        for part, values in self._at_nodes(function, *each):
            result[part] = values @ _WEIGHTS
        return result

    def _at_nodes(self, function: Callable[..., Floats], *each: Floats) -> Iterator[tuple[slice, Floats]]:
        """Values of the function at the nodes, (m, nodes), of a block of prompts at a time: they stay in the cache."""
        scale = np.sqrt(self.variance)
        for part in blocks(len(self)):
            rates = sigmoid(self.location[part, None] + scale[part, None] * _NODES)
            yield part, function(rates, *(values[part, None] for values in each))

    def log_density(self, x: Floats) -> Floats:
        return self._log_normal(logit(x), self.location, self.variance) - np.log(x) - np.log1p(-x)

    def log_peak(self, low: npt.ArrayLike, high: npt.ArrayLike) -> Floats:
        low, high = np.asarray(low), np.asarray(high)
        location, variance = (
            (self.location, self.variance) if low.ndim == 0 else (self.location[:, None], self.variance[:, None])
        )
        nearest = np.clip(location, logit(low), logit(high))
        # d logit / dp = 1 / (p (1 - p)) is largest at an end.
        slope = -np.log(np.minimum(low * (1.0 - low), high * (1.0 - high)))
        return self._log_normal(nearest, location, variance) + slope

    @staticmethod
    def _log_normal(x: Floats, mean: Floats, variance: Floats) -> Floats:
        return -0.5 * ((x - mean) ** 2 / variance + np.log(2.0 * np.pi * variance))


class States(Distribution):
    """0 with probability `wrong`, uniform on [0, 1] with probability `mixed`, 1 with probability `right`; (n,) each.

    Example:
        >>> States(np.array([0.5]), np.array([0.5]), np.array([0.0])).mean().tolist()
        [0.25]
    """

    def __init__(self, wrong: Floats, mixed: Floats, right: Floats):
        self.wrong, self.mixed, self.right = wrong, mixed, right

    def __len__(self) -> int:
        return len(self.wrong)

    def __getitem__(self, index: Any) -> States:
        return States(self.wrong[index], self.mixed[index], self.right[index])

    def mean(self) -> Floats:
        return np.clip(self.right + 0.5 * self.mixed, 0.0, 1.0)

    def std(self) -> Floats:
        return np.sqrt(np.maximum(self.right + self.mixed / 3 - (self.right + 0.5 * self.mixed) ** 2, 0.0))

    def draw(self, rng: np.random.Generator) -> Floats:
        state, inside = rng.random((2, len(self)))
        return np.where(state < self.wrong, 0.0, np.where(state < self.wrong + self.mixed, inside, 1.0))

    def moments(self, function: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
        ends, inside = function(np.array([[0.0, 1.0]]))[0], function(_UNIFORM_NODES[None] + 0.5)[0]
        first, second = (
            self.wrong * ends[0] ** power
            + self.mixed * (inside**power @ _UNIFORM_WEIGHTS)
            + self.right * ends[1] ** power
            for power in (1, 2)
        )
        return first, np.sqrt(np.maximum(second - first**2, 0.0))


def blocks(size: int) -> Iterator[slice]:
    """Consecutive slices of `size` items that are small enough to be worked on in the cache."""
    return (slice(start, start + _BLOCK) for start in range(0, size, _BLOCK))


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x)."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def softplus(x: Floats) -> Floats:
    """log(1 + e^x), by functions that work on several numbers at a time, which `np.logaddexp` does not."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def logit(p: npt.ArrayLike) -> Floats:
    """log p - log(1 - p)."""
    return np.log(p) - np.log1p(-np.asarray(p))


def logit_posterior(
    mean: Floats, variance: Floats, successes: npt.NDArray[np.number], trials: npt.NDArray[np.number]
) -> tuple[Floats, Floats]:
    """Mean and variance of a logit ~ N(mean, variance) after `successes` of `trials` rollouts, (n,) each.

    The mode by Newton's method kept within its bracket, then the trapezoid rule on nodes that are dense near the mode and
    reach the prior's tails: a mode that is a little off costs no accuracy.
    """
    s, k = successes.astype(np.float64), trials.astype(np.float64)
    low, high = mean - variance * (k - s), mean + variance * s
    # Initial guess: Gaussian approximation of the likelihood.
    observed = (s + 0.5) / (k + 1.0)
    precision, prior = k * observed * (1.0 - observed), 1.0 / variance
    mode = (mean / variance + precision * np.log(observed / (1.0 - observed))) / (prior + precision)
    mode = np.minimum(np.maximum(mode, low), high)
    rate = sigmoid(mode)
    for turn in range(60):
        expected = k * rate
        slope = s - expected + (mean - mode) / variance
        curvature = expected * (1.0 - rate) + prior
        far = slope**2 >= 1e-2 * curvature
        if not far.any():
            break
        above = slope > 0
        low, high = np.where(above, mode, low), np.where(above, high, mode)
        # Every third turn halves the bracket: on a sigmoid's two flat ends Newton's steps can oscillate.
        closer = 0.5 * (low + high)
        if turn % 3 != 2:
            newton = mode + slope / curvature
            closer = np.where((newton > low) & (newton < high), newton, closer)
        mode = np.where(far, closer, mode)
        rate = sigmoid(mode)
    scale = 1.0 / np.sqrt(prior + k * rate * (1.0 - rate))
    # Nowhere is the posterior flatter than the prior, so 8 prior deviations hold all of it.
    angle = np.arcsinh(8.0 * np.sqrt(variance) / scale)[:, None] * _GRID
    offset = scale[:, None] * np.sinh(angle)
    x = mode[:, None] + offset
    density = s[:, None] * x - k[:, None] * softplus(x) - (0.5 * prior)[:, None] * (x - mean[:, None]) ** 2
    weight = np.exp(density - density.max(1, keepdims=True)) * np.cosh(angle)
    weight /= weight.sum(1, keepdims=True)
    shift = (weight * offset).sum(1)
    return mode + shift, (weight * (offset - shift[:, None]) ** 2).sum(1)


def log_beta(alpha: Floats, beta: Floats) -> Floats:
    """log B(alpha, beta), to about 1e-11."""
    return _log_gamma(alpha) + _log_gamma(beta) - _log_gamma(alpha + beta)


def digamma(x: Floats) -> Floats:
    """Derivative of log gamma for x >= 1, to 1e-9: eight steps up, then Stirling's series."""
    result = np.zeros_like(x)
    for j in range(8):
        result -= 1.0 / (x + j)
    y = x + 8.0
    square = 1.0 / y**2
    return result + np.log(y) - 0.5 / y - square * (1 / 12 - square * (1 / 120 - square / 252))


def _log_gamma(x: Floats) -> Floats:
    """Stirling's series at x + 8, taken back by the recurrence (Abramowitz & Stegun 6.1.41, 6.1.15)."""
    product = x * (x + 1.0) * (x + 2.0) * (x + 3.0) * (x + 4.0) * (x + 5.0) * (x + 6.0) * (x + 7.0)
    z = x + 8.0
    inverse = 1.0 / z**2
    series = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / z
    return (z - 0.5) * np.log(z) - z + 0.5 * np.log(2.0 * np.pi) + series - np.log(product)
