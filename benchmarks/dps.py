"""DPS at 40k prompts, all seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.prompts import BATCH, experienced, pool_of
from benchmarks.row import Row, seconds


def rows() -> Iterator[Row]:
    rng = np.random.default_rng(0)
    selector = experienced("dps", pool_of(40_000), 40_000)

    def step() -> None:
        selector.observe(selector.select(BATCH), rng.integers(0, 9, BATCH), 8)

    yield Row.below("dps: step at 40k prompts, all seen", 1e3 * seconds(step), "ms", 100.0)
