"""A step costs what was seen, not what the pool holds: 10M prompts against 1M, 100k of them seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

import edgewise as ew
from benchmarks.prompts import BATCH, MILLION, experienced, pool_of
from benchmarks.row import Row, alternating

SEEN = 100_000


def rows() -> Iterator[Row]:
    for name, categories in (("mopps", 0), ("edge", 0), ("edge", 50), ("uniform", 0)):
        small, large = (experienced(name, pool_of(size, categories), SEEN) for size in (MILLION, 10 * MILLION))
        label = f"{name}, {categories} categories" if categories else name
        base, ours = alternating([lambda s=s: s.select(BATCH) for s in (small, large)])
        yield Row.flat(f"{label}: select 256 of 10M, not 1M, 100k seen", ours, base, 1.5)
        base, ours = alternating([_step(selector) for selector in (small, large)])
        yield Row.flat(f"{label}: curriculum step at 10M, not 1M", ours, base, 1.5)
    yield from _against_mopps()


def _against_mopps() -> Iterator[Row]:
    """Selection by `edge`, which values prompts by an integral over its belief, against one draw a prompt."""
    mopps = experienced("mopps", pool_of(10 * MILLION), SEEN)
    for categories in (0, 50, 5000):
        edge = experienced("edge", pool_of(10 * MILLION, categories), SEEN)
        selections = [lambda s=s: s.select(BATCH) for s in (mopps, edge)]
        base, ours = alternating(selections, clock=time.process_time)
        label = f"edge, {categories} categories" if categories else "edge"
        yield Row.flat(f"{label}: select 256 of 10M, against mopps, 100k seen (processor time)", ours, base, 8.0)


def _step(selector: ew.Selector) -> Callable[[], None]:
    """One step with a batch in flight, a gate and a random share."""
    curriculum = ew.Curriculum(
        selector.pool, selector, gates=ew.make_gate("informative", max_rounds=1), random_share=0.05
    )
    rng = np.random.default_rng(0)
    waiting = [curriculum.select(BATCH)]

    def step() -> None:
        waiting.append(curriculum.select(BATCH))
        batch = waiting.pop(0)
        curriculum.observe(batch, rng.integers(0, 2, 8 * len(batch)))
        curriculum.advance()

    return step
