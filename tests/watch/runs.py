"""Runs of known outcomes for the views: an Edgewise run folder, and logs with texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import edgewise as ew
from edgewise.replay import Policy, World


def write_run(
    folder: Path,
    selector: str = "edge",
    steps: int = 60,
    random_share: float = 0.2,
    broken: str | None = None,
    seed: int = 0,
    **more: Any,
) -> Path:
    """`metrics.jsonl` of a simulated run whose lines name their prompts; rollouts of category `broken` are never correct."""
    folder.mkdir(parents=True, exist_ok=True)
    policy = Policy(World(prompts=300), seed)
    pool = policy.pool
    curriculum = ew.Curriculum(pool, selector, rollouts=4, random_share=random_share, seed=seed)
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, steps + 1):
            batch = curriculum.select(32)
            rewards = policy.roll(batch.rows, 4)
            labels = [pool.category_names[code - 1] for code in pool.category_index(batch.rows)]
            rewards[np.array(labels) == broken] = 0.0
            feedback = curriculum.observe(batch, rewards)
            policy.train(batch.rows, feedback.successes, feedback.trials, 32)
            line = {
                "step": step,
                "effective_ratio": float(feedback.informative.mean()),
                "ids": batch.ids.tolist(),
                "random": batch.random.tolist(),
                "predicted": batch.predicted.round(4).tolist(),
                "successes": feedback.successes.tolist(),
                "trials": feedback.trials.tolist(),
                "categories": labels,
                **more,
            }
            file.write(json.dumps(line) + "\n")
    (folder / "summary.json").write_text(json.dumps({"pool": {"all": 300}}))
    return folder
