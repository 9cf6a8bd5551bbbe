"""Estimates of `edgewise replay` from logs of uniform runs, against closed loops in which the selector chose and the policy trained on it.

    python -m tools.numbers record closed_loop closed_loop.json -- python -m tools.closed_loop

The estimate holds for the log's policy; the closed loop has another one. The difference is what no log shows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import edgewise as ew
from edgewise.replay import Policy, World
from edgewise.replay.logs import log_of_trace
from edgewise.replay.logs.savings import estimate_savings
from edgewise.statistics import mean_interval
from tools.fit_study import BATCH, ROLLOUTS, trained

STEPS = 60
WORLD = World(prompts=400)
METHODS = ("edge", "mopps")


def effective_ratio(method: str, seed: int) -> float:
    """Share of informative groups of a run in which `method` selects."""
    policy = Policy(WORLD, seed)
    curriculum = ew.Curriculum(policy.pool, method, rollouts=ROLLOUTS, seed=seed)
    informative = 0
    for _ in range(STEPS):
        batch = curriculum.select(BATCH)
        feedback = curriculum.observe(batch, policy.roll(batch.rows, ROLLOUTS))
        policy.train(batch.rows, feedback.successes, feedback.trials, BATCH)
        informative += int(feedback.informative.sum())
    return informative / (STEPS * BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("closed_loop.json"))
    parser.add_argument("--seeds", type=int, default=6)
    options = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {name: {"log": [], "closed": []} for name in METHODS}
    for seed in range(options.seeds):
        savings = estimate_savings(log_of_trace(trained(WORLD, seed)), METHODS, shares=(0.25,))
        for name in METHODS:
            whole = next(choice for choice in savings.choices[name] if choice.share is None)
            found[name]["log"].append(whole.effective.estimate)
            found[name]["closed"].append(effective_ratio(name, seed))
        print(
            seed, {name: [round(values[-1], 3) for values in both.values()] for name, both in found.items()}, flush=True
        )
    result: dict[str, Any] = {}
    for name, both in found.items():
        difference = mean_interval(np.subtract(both["closed"], both["log"]))
        result[name] = {
            "log": round(float(np.mean(both["log"])), 4),
            "closed": round(float(np.mean(both["closed"])), 4),
            "difference": {key: round(getattr(difference, key), 4) for key in ("estimate", "low", "high")},
        }
    options.out.write_text(json.dumps({"seeds": options.seeds, "steps": STEPS, **result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
