"""Observe 256 groups at 10M prompts: time, and that nothing as large as the pool is allocated."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np

from benchmarks.prompts import BATCH, MILLION, experienced, pool_of
from benchmarks.row import Row, seconds


def rows() -> Iterator[Row]:
    rng = np.random.default_rng(0)
    pool = pool_of(10 * MILLION)
    for name in ("mopps", "edge"):
        selector = experienced(name, pool, 100_000)
        batches = iter(pool.sample(400 * BATCH, rng).reshape(400, BATCH))

        def step(selector=selector, batches=batches) -> None:
            selector.observe(next(batches), rng.integers(0, 9, BATCH), 8)

        yield Row.below(f"{name}: observe 256 groups at 10M", 1e3 * seconds(step, 200), "ms", 1.0)
        tracemalloc.start()
        peak = 0
        for _ in range(50):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            step()
            peak = max(peak, tracemalloc.get_traced_memory()[1] - before)
        tracemalloc.stop()
        yield Row.below(f"{name}: most memory one observe takes at 10M", peak / 1024, "KiB", 8192.0)
