"""Long runs: memory and the cost of a step over thousands of policy steps."""

from __future__ import annotations

import itertools
import resource
import time
from pathlib import Path

import numpy as np

import edgewise as ew
from tools.reliability.trials import Outcome, trial

SIZE, BATCH = 1_000_000, 64
ALLOWED = 100e-6
"""Megabytes that a prompt may take once it was seen."""


@trial("soak", full=100_000, fast=0)
def soak(n: int, work: Path) -> Outcome:
    """n asynchronous policy steps each of `edge` and `mopps` over a million prompts, a tenth of the groups lost or late: cost and memory are flat."""
    outcome = Outcome(0)
    size = SIZE if n > 1000 else SIZE // 20
    for method in ("edge", "mopps"):
        pool = ew.PromptPool(range(size), np.arange(size) % 20)
        curriculum = ew.Curriculum(pool, method, rollouts=8, seed=0)
        rng, waiting = np.random.default_rng(0), []
        marks: list[tuple[float, float, int]] = []
        for step in range(n):
            if step % (n // 8) == 0:
                marks.append((time.process_time(), _resident(), _seen(curriculum)))
            waiting.append(curriculum.select(BATCH))
            if len(waiting) > 3:
                batch = waiting.pop(0)
                fate = rng.random()
                if fate < 0.05:
                    curriculum.forget(batch)
                elif fate < 0.1:
                    curriculum.forget(batch)
                    curriculum.observe(batch, rng.random((BATCH, 8)) < 0.5)
                else:
                    curriculum.observe(batch, rng.random((BATCH, 8)) < (batch.rows % 100 / 99)[:, None])
            curriculum.advance()
        marks.append((time.process_time(), _resident(), _seen(curriculum)))
        outcome.trials += n
        # The first eighth warms caches. Of the others the dearest is judged: a cost that grows and falls again is not flat.
        spent = [1000 * 8 * (after[0] - before[0]) / n for before, after in itertools.pairwise(marks[1:])]
        (_, early, few), (_, late, many) = marks[1], marks[-1]
        outcome.figures |= {
            f"{method}_ms_second_eighth": round(spent[0], 3),
            f"{method}_ms_dearest_eighth": round(max(spent), 3),
            f"{method}_ms_last_eighth": round(spent[-1], 3),
            f"{method}_thousand_seen_after_the_first_eighth": round(few / 1000),
            f"{method}_thousand_seen": round(many / 1000),
            f"{method}_mb_grown": round(late - early, 1),
        }
        if late - early > 20 + ALLOWED * (many - few):
            outcome.faults.append(f"{method}: memory grows: {early:.0f} MB, {late:.0f} MB")
        if max(spent) > 1.5 * spent[0]:
            outcome.faults.append(f"{method}: a step costs {spent[0]:.2f} ms, then {max(spent):.2f} ms")
    outcome.trials //= 2
    return outcome


def _seen(curriculum: ew.Curriculum) -> int:
    return len(curriculum.selector.belief.seen)  # type: ignore[attr-defined]


def _resident() -> float:
    """Resident memory, MB."""
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * resource.getpagesize() / 2**20
