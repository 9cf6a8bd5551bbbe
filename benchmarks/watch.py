"""Opening of `edgewise watch` on a run of 100,000 prompts and 10,000 steps, against reading its journal as JSON alone."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.row import Row

PROMPTS, STEPS, BATCH, ROLLOUTS = 100_000, 10_000, 64, 8
TIMES = 6.0
"""Imports, all columns and the whole view may take this many times as long as numpy's import and `json.loads` of each line."""
USED = """
used = resource.getrusage(resource.RUSAGE_SELF)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(used.ru_utime + used.ru_stime, peak / 1024)
"""
OPEN = """
import resource, sys
from edgewise.replay.logs import open_logs
from edgewise.watch import Watcher
Watcher(open_logs([sys.argv[1]])).update()
"""
PLAIN = """
import json, resource, sys
import numpy
for line in open(sys.argv[1] + "/metrics.jsonl", "rb"): json.loads(line)
"""


def write(folder: Path) -> None:
    """A journal as `edgewise rl` writes it."""
    rng = np.random.default_rng(0)
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, STEPS + 1):
            ids, rates = rng.integers(0, PROMPTS, BATCH), rng.random(BATCH).round(4)
            line = {
                "step": step,
                "effective_ratio": 0.5,
                "seconds": 1.5 * step,
                "predicted": rates.tolist(),
                "successes": rng.binomial(ROLLOUTS, rates).tolist(),
                "trials": [ROLLOUTS] * BATCH,
                "categories": [f"level {i}" for i in (ids % 20).tolist()],
                "ids": ids.tolist(),
                "random": (rng.random(BATCH) < 0.05).tolist(),
            }
            file.write(json.dumps(line) + "\n")


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as place:
        write(Path(place))
        ours, plain = (min(_used(code, place) for _ in range(3)) for code in (OPEN, PLAIN))
    name = "watch opens 100k prompts x 10k steps (baseline: json.loads)"
    yield Row.flat(name, ours[0], plain[0], TIMES)
    yield Row.below("watch: memory of 100k prompts x 10k steps", ours[1], "MB", 500)


def _used(code: str, place: str) -> tuple[float, float]:
    """Processor seconds and peak memory in MB of a whole process: what else the machine does counts for neither."""
    done = subprocess.run([sys.executable, "-c", code + USED, place], capture_output=True, text=True, check=True)
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory
