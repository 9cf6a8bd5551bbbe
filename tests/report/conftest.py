"""A synthetic comparison folder, in exactly the format that the experiments write."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \ud800 \u202e"
CATEGORIES = ["op1-5", "op6-10", "<b onclick='alert(3)'>javascript:alert(4)</b>", "2020-01-01"]
SPEED = {"uniform": 1.0, "ds": 2.1, "mopps": 1.25, "edge": 1.8, "stranger": 0.7}
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
    final = {m: [_run(folder / m / f"seed_{s}", m, s) for s in range(seeds)] for m in methods}
    (folder / "config.yaml").write_text("methods: []\n")
    (folder / "summary.json").write_text(json.dumps(_summary(final, seeds)))
    return folder


def _run(folder: Path, method: str, seed: int) -> dict[str, Any]:
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
    (folder / "config.yaml").write_text("seed: 0\n")
    (folder / "summary.json").write_text("{}")
    reached = None if method == "stranger" and seed == 0 else 40 / speed
    return {
        "steps_to_target": reached,
        "rollouts_to_target": reached and reached * rollouts / STEPS,
        "effective_ratio": 0.3 + 0.1 * speed + 0.001 * seed,
        "spearman": 0.5 + 0.1 * speed + 0.001 * seed,
        "final_accuracy": float(np.mean([line["accuracy"] for line in evals[-3:]])),
        "wall_seconds": 120.5 + seed,
    }


def _spread(values: list[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "low": None, "high": None, "median": None, "values": values, "reached": len(known)}
    mean = float(np.mean(known))
    half = 2.8 * float(np.std(known, ddof=1)) / math.sqrt(len(known)) if len(known) > 1 else None
    low, high = (None, None) if half is None else (mean - half, mean + half)
    middle = float(np.median(known))
    return {"mean": mean, "low": low, "high": high, "median": middle, "values": values, "reached": len(known)}


def _summary(final: dict[str, list[dict[str, Any]]], seeds: int) -> dict[str, Any]:
    def ratios(key: str, other: str, inverse: bool = False) -> dict[str, Any]:
        found = {}
        for method, runs in final.items() if other in final else ():
            pairs = [(run[key], base[key]) for run, base in zip(runs, final[other], strict=True)]
            values = [None if a is None or b is None else (b / a if inverse else a / b) for a, b in pairs]
            found[method] = _spread(values)
        return found

    speedup = ratios("steps_to_target", "uniform", inverse=True)
    limit = speedup.get("ds", {}).get("median")
    gains = {m: (s["median"] - 1) / (limit - 1) if limit and s["median"] else None for m, s in speedup.items()}
    keys = ("steps_to_target", "rollouts_to_target", "effective_ratio", "spearman", "final_accuracy", "wall_seconds")
    return {
        "task": "opgraph",
        "seeds": list(range(seeds)),
        "methods": {m: {key: _spread([run[key] for run in runs]) for key in keys} for m, runs in final.items()},
        "speedup_vs_uniform": speedup,
        "rollouts_vs_ds": ratios("rollouts_to_target", "ds"),
        "rollouts_vs_uniform": ratios("rollouts_to_target", "uniform"),
        "recovered_gain": gains,
        "setting": {
            "task": "opgraph",
            "pool_size": POOL,
            "pool_mix": dict.fromkeys(CATEGORIES, POOL // len(CATEGORIES)),
            "prompts_per_step": 16,
            "rollouts_per_prompt": 8,
            "steps": STEPS,
            "visits_per_prompt": STEPS * 16 / POOL,
            "uniform_effective_ratio": 0.41,
            "target_rule": "a method has reached the target where its smoothed accuracy first does",
            "learning_rate": 3e-4,
            "eval_problems": 400,
        },
    }
