"""Uniform sampling: shuffled epochs over the pool, as every trainer does by default."""

from __future__ import annotations

from edgewise.selectors.base import selectors
from edgewise.selectors.epochs import EpochSelector


@selectors.register("uniform")
class UniformSelector(EpochSelector):
    """Every prompt once in random order, then again in a new order.

    Prompts that cannot be selected now (not among the candidates, or in flight) keep their place in the epoch.

    Example:
        >>> import edgewise as ew
        >>> selector = UniformSelector(ew.PromptPool(range(4)))
        >>> sorted([*selector.select(3).tolist(), *selector.select(1).tolist()])
        [0, 1, 2, 3]
    """
