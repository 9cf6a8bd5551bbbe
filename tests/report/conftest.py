"""A synthetic comparison folder, in exactly the format that the experiments write."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from edgewise.checkpoint import write_json
from edgewise.experiments.summary import summarise

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \ud800 \u202e"
CATEGORIES = ["op1-5", "op6-10", "<b onclick='alert(3)'>javascript:alert(4)</b>", "2020-01-01"]
SPEED = {"uniform": 1.0, "placebo": 1.0, "ds": 2.1, "mopps": 1.25, "edge": 1.8, "stranger": 0.3}
STEPS, EVERY, POOL = 60, 10, 800


@pytest.fixture(scope="session")
def write_comparison() -> Callable[..., Path]:
    return _write


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    def make(methods: tuple[str, ...] = tuple(SPEED), seeds: int = 5) -> Path:
        return _write(tmp_path / "demo", methods, seeds)

    return make


def _write(folder: Path, methods: tuple[str, ...] = tuple(SPEED), seeds: int = 5) -> Path:
    for method in methods:
        for seed in range(seeds):
            write_run(folder / method / f"seed_{seed}", method, seed)
    run = {
        "base": "opgraph",
        "pool": {"size": POOL, "difficulty": {}, "labels": "task"},
        "prompts": 16,
        "rollouts": 8,
        "steps": STEPS,
        "learning_rate": 3e-4,
        "evaluation": {"problems": 400, "samples": 2},
    }
    config = {"methods": list(methods), "seeds": list(range(seeds)), "run": run, "placebo": False}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    write_json(folder / "summary.json", summarise(folder).to_json())
    return folder


def write_run(folder: Path, method: str, seed: int) -> None:
    """One finished run."""
    rng = np.random.default_rng([seed, *method.encode()])
    folder.mkdir(parents=True)
    speed = SPEED[method] * math.exp(rng.normal(0, 0.08))
    metrics, evals, samples, rollouts = [], [], [], 0
    difficulty = np.linspace(-1, 3, len(CATEGORIES))

    def rates(step: float) -> np.ndarray:
        return 1 / (1 + np.exp(difficulty - 3 * speed * step / STEPS))

    for step in range(STEPS + 1):
        now = rates(step)
        if step:
            groups = 64 if method == "ds" else 16
            rollouts += groups * 8
            weight = now * (1 - now) if method in ("mopps", "edge") else np.ones(len(now))
            place = rng.choice(len(now), groups, p=weight / weight.sum())
            successes = rng.binomial(8, now[place])
            informative = (successes > 0) & (successes < 8)
            metrics.append(
                {
                    "step": step,
                    "reward": float(successes.mean() / 8),
                    "success_rate": float(successes.mean() / 8),
                    "effective_ratio": float(informative.mean()),
                    "rollouts": rollouts,
                    "groups": groups,
                    "rounds": 1,
                    "loss": 0.1,
                    "grad_norm": 1.0,
                    "seconds": step * 2.0,
                    "select_seconds": 0.01,
                    "predicted": np.clip(now[place] + rng.normal(0, 0.15, groups), 0, 1).round(4).tolist(),
                    "successes": successes.tolist(),
                    "trials": [8] * groups,
                    "categories": [CATEGORIES[i] for i in place],
                    "ids": (place * 200 + (7 * step + np.arange(groups)) % 200).tolist(),
                }
            )
        if step % EVERY == 0:
            pool = np.clip(np.repeat(now, 50) + rng.normal(0, 0.1, 50 * len(now)), 0, 1)
            probe = rng.integers(0, len(now), 48)
            evals.append(
                {
                    "step": step,
                    "rollouts": rollouts,
                    "accuracy": float(now.mean()),
                    "by_category": dict(zip(CATEGORIES, now.tolist(), strict=True)),
                    "believed": (np.histogram(pool, 20, (0, 1))[0] / len(pool)).tolist(),
                    "believed_by_category": dict(zip(CATEGORIES, (now * 0.9).tolist(), strict=True)),
                    "probe": {
                        "predicted": np.clip(now[probe] + rng.normal(0, 0.1, 48), 0, 1).tolist(),
                        "successes": rng.binomial(8, now[probe]).tolist(),
                        "trials": [8] * 48,
                    },
                }
            )
            samples += [
                {
                    "step": step,
                    "category": CATEGORIES[step % len(CATEGORIES)],
                    "prompt": "3 +4 x6 =",
                    "completion": HOSTILE if step == STEPS else "7 2 .",
                    "correct": correct,
                    "reason": "" if correct else "wrong step",
                }
                for correct in (True, False)
            ]
    for name, lines in (("metrics", metrics), ("evals", evals), ("samples", samples)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = {"base": "opgraph", "selector": method, "seed": seed, "steps": STEPS, "prompts": 16, "rollouts": 8}
    config |= {"pool": {"size": POOL, "difficulty": {}, "labels": "task"}, "learning_rate": 3e-4}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    mix = dict.fromkeys(CATEGORIES, POOL // len(CATEGORIES))
    (folder / "summary.json").write_text(json.dumps({"steps": STEPS, "pool": mix}))
