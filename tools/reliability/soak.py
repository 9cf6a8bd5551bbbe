"""Long runs: memory and the cost of a step over thousands of policy steps."""

from __future__ import annotations

import itertools
import resource
import time
from pathlib import Path

import numpy as np

import edgewise as ew
from tools.reliability.trials import Outcome, trial


@trial("soak", full=4000, fast=0)
def soak(n: int, work: Path) -> Outcome:
    """n asynchronous policy steps over a million prompts, a tenth of the groups lost or late: cost and memory are flat."""
    outcome = Outcome(0)
    size = 1_000_000 if n > 1000 else 50_000
    for method in ("edge", "mopps"):
        pool = ew.PromptPool(range(size), np.arange(size) % 20)
        curriculum = ew.Curriculum(pool, method, rollouts=8, seed=0)
        rng, waiting = np.random.default_rng(0), []
        marks: list[tuple[float, float]] = []
        for step in range(n):
            if step % (n // 8) == 0:
                marks.append((time.process_time(), _resident()))
            waiting.append(curriculum.select(64))
            if len(waiting) > 3:
                batch = waiting.pop(0)
                fate = rng.random()
                if fate < 0.05:
                    curriculum.forget(batch)
                elif fate < 0.1:
                    curriculum.forget(batch)
                    curriculum.observe(batch, rng.random((64, 8)) < 0.5)
                else:
                    curriculum.observe(batch, rng.random((64, 8)) < (batch.rows % 100 / 99)[:, None])
            curriculum.advance()
        marks.append((time.process_time(), _resident()))
        outcome.trials += n
        spent = [1000 * 8 * (after[0] - before[0]) / n for before, after in itertools.pairwise(marks[1:])]
        # The first eighth warms caches; prompts seen grow by 64 a step, and so may a step's work, up to the pool.
        outcome.figures[f"{method}_ms_second_eighth"] = round(spent[0], 3)
        outcome.figures[f"{method}_ms_last_eighth"] = round(spent[-1], 3)
        outcome.figures[f"{method}_mb_grown"] = round(marks[-1][1] - marks[1][1], 1)
        if marks[-1][1] - marks[1][1] > 20 + 1e-4 * 64 * n * 2:
            outcome.faults.append(f"{method}: memory grows: {marks[1][1]:.0f} MB, {marks[-1][1]:.0f} MB")
        if spent[-1] > 3 * spent[0]:
            outcome.faults.append(f"{method}: a step costs {spent[0]:.2f} ms, then {spent[-1]:.2f} ms")
    return outcome


def _resident() -> float:
    """Resident memory, MB."""
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * resource.getpagesize() / 2**20
