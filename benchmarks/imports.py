"""What it costs to import the core, beyond Python itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

from benchmarks.row import Row, alternating


def rows() -> Iterator[Row]:
    bare, numpy, core = alternating([_run("pass"), _run("import numpy"), _run("import edgewise")], 7)
    yield Row.below("import edgewise, numpy included", core - bare, "s", 0.3)
    yield Row.below("import edgewise, beyond numpy", core - numpy, "s", 0.1)


def _run(code: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)
