"""Uniform sampling: shuffled epochs over the pool, as every trainer does by default."""

from __future__ import annotations

from edgewise.selectors.base import selectors
from edgewise.selectors.epochs import EpochSelector


@selectors.register("uniform")
class UniformSelector(EpochSelector):
    """Every prompt once in random order, then again in a new order.

    Rows that cannot be used now (not among the candidates, or excluded) keep their place in the epoch.
    """
