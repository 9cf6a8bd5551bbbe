"""Select 256 of 1M prompts, all seen, against a dict and a loop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.prompts import BATCH, MILLION, experienced, pool_of
from benchmarks.reference import DictMoPPS
from benchmarks.row import Row, seconds


def rows() -> Iterator[Row]:
    rng = np.random.default_rng(0)
    everything = np.arange(MILLION)
    reference = DictMoPPS()
    reference.observe(everything, rng.binomial(8, rng.random(MILLION)), 8)
    baseline = seconds(lambda: reference.select(everything, BATCH), repeats=3)
    selector = experienced("mopps", pool_of(MILLION), MILLION)

    def step() -> None:
        chosen = selector.select(BATCH)
        selector.observe(chosen, rng.binomial(8, 0.5, BATCH), 8)

    def reference_step() -> None:
        chosen = reference.select(everything, BATCH)
        reference.observe(chosen, rng.binomial(8, 0.5, BATCH), 8)

    yield Row.faster("mopps: select 256 of 1M, all seen", seconds(lambda: selector.select(BATCH)), baseline, 50)
    yield Row.faster("mopps: select + observe 256 of 1M, all seen", seconds(step), seconds(reference_step, 3), 50)
