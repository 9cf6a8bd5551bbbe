"""Number of prompts to draw so that a wanted number of groups is informative, by predicted and observed acceptance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgewise.acquisition import p_informative
from edgewise.arrays import Floats, is_number, whole_number
from edgewise.errors import ConfigError

HALF_LIFE = 128
"""Groups after which an outcome counts half, at least; twice the wanted number where that is more."""
BLOCKS = 4
"""Blocks of recent groups from which on the variation of the rate between blocks is measured."""
PRIOR = 1.0
"""Pseudo-counts of the uniform prior of the acceptance rate, Beta(1, 1)."""
DRAWS = 4096


@dataclass(frozen=True)
class Oversampling:
    """How many prompts to draw for `wanted` accepted groups.

    Attributes:
        wanted: accepted groups that are needed.
        prompts: prompts of which as many are expected to be accepted.
        low: lower end of the interval of the number that will be needed.
        high: its upper end: so many prompts suffice with probability (1 + confidence) / 2.
        rate: predicted share of accepted groups, in (0, 1).
        groups: recent groups that the rate rests on, weighted by their age; 0: nothing was observed.
    """

    wanted: int
    prompts: int
    low: int
    high: int
    rate: float
    groups: float

    @property
    def factor(self) -> float:
        """Prompts for each accepted group."""
        return 1 / self.rate


def acceptance(
    held: dict[str, Floats], coming: Floats, rollouts: int, half_life: float = HALF_LIFE
) -> tuple[float, float]:
    """Share of groups that will be accepted, in (0, 1), and the number of groups that it rests on.

    The observed share of recent groups, older ones weighted less, times the ratio of the predicted shares of the prompts in
    flight and of those recent groups: the selector may have found other prompts meanwhile. The ratio is free of a bias that
    both predictions have.

    Args:
        held: recent groups by column, oldest first, each (m,): `predicted` success rates, `trials`, and `accepted`, 0 or 1.
        coming: predicted success rates of prompts in flight, (c,).
        rollouts: rollouts of each of these.
        half_life: groups after which an outcome counts half.
    """
    weights = 0.5 ** (np.arange(len(held["predicted"]))[::-1] / half_life)
    total = float(weights.sum())
    rate = (float(weights @ held["accepted"]) + PRIOR) / (total + 2 * PRIOR)
    # Of groups of one rollout none is expected to be better than another.
    if total and len(coming) and rollouts > 1:
        before = float(weights @ p_informative(held["predicted"], held["trials"])) / total
        rate *= float(p_informative(coming, rollouts).mean()) / max(before, 1e-9)
    # Sure of neither end, whatever was observed.
    margin = PRIOR / (total + 2 * PRIOR)
    return min(max(rate, margin), 1 - margin), total**2 / float(weights @ weights) if total else 0.0


def oversampling(
    wanted: int, held: dict[str, Floats], coming: Floats, rollouts: int, confidence: float = 0.9
) -> Oversampling:
    """Prompts to draw for `wanted` accepted groups, with the interval of the number that will be needed.

    The number of prompts until the last of n accepted ones is n plus a negative binomial number of rejected ones. Its rate is
    uncertain by the evidence (a Beta distribution), and varies between steps as much as between blocks of recent groups.

    Args:
        wanted: accepted groups, at least 1.
        held: see `acceptance`.
        coming: see `acceptance`.
        rollouts: see `acceptance`.
        confidence: probability that the interval holds the number needed, in (0, 1).

    Raises:
        ConfigError: a number of groups or a confidence that does not fit.
    """
    wanted = whole_number("the number of groups", wanted, 1, ConfigError, below=2**31)
    if not is_number(confidence) or not 0 < confidence < 1:
        raise ConfigError(f"confidence is a probability in (0, 1), got {confidence!r}")
    rate, groups = acceptance(held, coming, rollouts, max(HALF_LIFE, 2 * wanted))
    size = groups / dispersion(held["accepted"], wanted) + 2 * PRIOR
    rng = np.random.default_rng(0)
    rates = np.clip(rng.beta(rate * size, (1 - rate) * size, DRAWS), 1e-6, 1 - 1e-9)
    needed = wanted + rng.negative_binomial(wanted, rates)
    low, high = np.quantile(needed, [(1 - confidence) / 2, (1 + confidence) / 2])
    prompts = math.ceil(wanted / rate - 1e-9)
    return Oversampling(wanted, prompts, min(math.floor(low), prompts), max(math.ceil(high), prompts), rate, groups)


def dispersion(accepted: Floats, block: int) -> float:
    """Variance of the accepted groups of blocks of recent ones, divided by that of independent groups, at least 1."""
    blocks = len(accepted) // block
    if blocks < BLOCKS:
        return 1.0
    parts = accepted[len(accepted) - blocks * block :].reshape(blocks, block).mean(axis=1)
    mean = float(parts.mean())
    expected = mean * (1 - mean) / block
    return max(float(parts.var(ddof=1)) / expected, 1.0) if expected else 1.0
