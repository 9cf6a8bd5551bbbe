"""Fit of edge's options on logs of three tasks: held-out log loss against the defaults, and closed loops with both.

    python -m tools.numbers record fit fit.json -- python -m tools.fit_study

Two logs are drawn from the recorded traces of real runs on operation graphs and on countdown, uniform prompts with fresh binomial
rollouts; the third is a simulated policy whose prompts change their difficulty while it trains. Closed loops run on the same traces and
on the same world with other seeds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.replay import Comparison, Policy, Trace, World, find_trace, replay, simulate
from edgewise.replay.logs import log_of_trace
from edgewise.replay.logs.fit import fit
from edgewise.statistics import Interval

STEPS, BATCH, ROLLOUTS = 60, 32, 8
WANDERING = World(prompts=400, wander=0.5, easiest=3.0, hardest=-3.0)


def drawn(trace: Trace, seed: int) -> Trace:
    """A log of uniform prompts from a trace of whole evaluations."""
    rng = np.random.default_rng(seed)
    at = np.linspace(trace.steps[0], trace.steps[-1], STEPS)
    rows = np.array([rng.choice(len(trace.pool), BATCH, replace=False) for _ in at])
    successes = np.array([rng.binomial(ROLLOUTS, trace.rates(float(x))[own]) for x, own in zip(at, rows, strict=True)])
    return _trace(trace.pool, rows, successes)


def trained(world: World, seed: int) -> Trace:
    """The log of a simulated policy that trains on uniform prompts."""
    policy, rng = Policy(world, seed), np.random.default_rng(seed)
    rows, successes = [], []
    for _ in range(STEPS):
        rows.append(rng.choice(world.prompts, BATCH, replace=False))
        successes.append(policy.roll(rows[-1], ROLLOUTS).sum(axis=1).astype(np.int64))
        policy.train(rows[-1], successes[-1], np.full(BATCH, ROLLOUTS), BATCH)
    return _trace(policy.pool, np.array(rows), np.array(successes))


def _trace(pool: Any, rows: np.ndarray, successes: np.ndarray) -> Trace:
    index = np.repeat(np.arange(STEPS), BATCH)
    return Trace(pool, np.arange(STEPS), index, rows.ravel(), successes.ravel(), np.full(rows.size, ROLLOUTS))


def closed_loop(task: str, method: str, seeds: range) -> Comparison:
    methods = ["edge", method]
    if task == "wandering":
        return simulate(methods, WANDERING, seeds=seeds, baseline="edge", steps=STEPS, batch=BATCH, rollouts=ROLLOUTS)
    trace = find_trace(task)
    return replay(trace, methods, seeds=seeds, baseline="edge", steps=STEPS, batch=BATCH, rollouts=ROLLOUTS)


def study(task: str, seeds: int, log_seed: int) -> dict[str, Any]:
    log = log_of_trace(trained(WANDERING, log_seed) if task == "wandering" else drawn(find_trace(task), log_seed), task)
    found = fit(log)
    result = {
        "method": found.method,
        "gain": plain(found.gain),
        "sharpness_gain": plain(found.sharpness_gain),
        "prior_gain": plain(found.prior_gain),
        "prior_strength": found.prior_strength,
        "closed_loop": {"estimate": 0.0, "half": 0.0},
    }
    if found.method != "edge":
        comparison = closed_loop(task, found.method, range(10, 10 + seeds))
        mean, half = comparison.difference("effective_ratio", found.method)
        result["closed_loop"] = {"estimate": round(mean, 4), "half": round(half, 4)}
    return result


def plain(interval: Interval) -> dict[str, float]:
    return {name: round(getattr(interval, name), 5) for name in ("estimate", "low", "high")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("fit.json"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--log-seed", type=int, default=1)
    options = parser.parse_args()
    result: dict[str, Any] = {}
    for task in ("opgraph", "countdown", "wandering"):
        result[task] = study(task, options.seeds, options.log_seed)
        print(task, json.dumps(result[task]), flush=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
