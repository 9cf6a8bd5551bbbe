"""Number of distractors of a problem: quantities that the question does not need."""

from __future__ import annotations

from edgewise.tasks.gsm_infinite.graph import Chance

MEANS = {2: 2.5, 5: 2.8, 6: 6.0, 8: 3.5, 10: 1.8, 12: 1.0, 14: 1.2, 18: 1.2, 20: 0.8}
"""Mean by op, as in the original generator; between these linear, beyond 20 as at 20."""


def how_many(chance: Chance, op: int, mean: float | None) -> int:
    """A number of distractors: uniform on 0..2 * mean, up to rounding; the mean depends on op if None."""
    wanted = mean_by_op(op) if mean is None else mean
    return int(chance.random() * 2 * wanted + chance.random())


def mean_by_op(op: int) -> float:
    below = max(known for known in MEANS if known <= op)
    above = min((known for known in MEANS if known >= op), default=below)
    share = (op - below) / (above - below) if above > below else 0.0
    return MEANS[below] + share * (MEANS[above] - MEANS[below])
