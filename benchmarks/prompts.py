"""Pools and histories that the benchmarks share."""

from __future__ import annotations

import numpy as np

import edgewise as ew
from edgewise.selectors import Selector

MILLION = 1_000_000
BATCH = 256


def pool_of(size: int, categories: int = 0) -> ew.PromptPool:
    return ew.PromptPool(np.arange(size), np.arange(size) % categories if categories else None)


def experienced(name: str, pool: ew.PromptPool, seen: int, seed: int = 0) -> Selector:
    """A selector that has observed 8 rollouts of each of `seen` prompts whose success rates are uniform."""
    rng = np.random.default_rng(seed)
    selector = ew.make_selector(name, pool, seed=seed)
    rows = pool.sample(seen, rng) if seen < len(pool) else np.arange(len(pool))
    for part in np.array_split(rows, -(-seen // 65536)):
        selector.observe(part, rng.binomial(8, rng.random(len(part))), 8)
        selector.advance()
    return selector
