"""What MoPPS holds beyond the ids at 10M prompts, every one seen and selected from."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

from benchmarks.prompts import BATCH, MILLION, experienced, pool_of
from benchmarks.row import Row


def rows() -> Iterator[Row]:
    pool = pool_of(10 * MILLION)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    selector = experienced("mopps", pool, len(pool))
    selector.select(BATCH)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    yield Row.below("mopps: memory a prompt at 10M, all seen", held / len(pool), "B", 24.0)
