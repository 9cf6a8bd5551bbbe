"""What it costs to import the core, beyond Python itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from statistics import median

from benchmarks.row import Row


def rows() -> Iterator[Row]:
    # Processor seconds: a fresh process waits for disks and neighbours more than anything else here.
    bare, numpy, core = (_processor_seconds(code) for code in ("pass", "import numpy", "import edgewise"))
    yield Row.below("import edgewise, numpy included", core - bare, "s", 0.3)
    yield Row.below("import edgewise, beyond numpy", core - numpy, "s", 0.15)


def _processor_seconds(code: str) -> float:
    times = []
    for _ in range(7):
        before = os.times()
        subprocess.run([sys.executable, "-c", code], check=True)
        after = os.times()
        times.append(sum(after[2:4]) - sum(before[2:4]))
    return median(times)
