"""Logs as trainers write them, from known outcomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\u2028\x1b[31mred"


def outcomes(steps: int = 12, batch: int = 8, pool: int = 40, k: int = 4, seed: int = 0) -> list[dict[str, Any]]:
    """Rollouts with step, prompt number, rollout number, correctness and completion length."""
    rng = np.random.default_rng(seed)
    rows = []
    for step in range(1, steps + 1):
        for prompt in rng.choice(pool, batch, replace=False).tolist():
            for _ in range(k):
                right = bool(rng.random() < (prompt + 0.5) / pool)
                rows.append({"step": step, "prompt": prompt, "correct": right, "length": int(rng.integers(1, 60))})
    return rows


def expected(rollouts: Iterable[dict[str, Any]]) -> dict[tuple[int, int], tuple[int, int, int]]:
    """(step, prompt) -> successes, trials, summed length."""
    table: dict[tuple[int, int], tuple[int, int, int]] = {}
    for r in rollouts:
        s, k, n = table.get((r["step"], r["prompt"]), (0, 0, 0))
        table[r["step"], r["prompt"]] = (s + r["correct"], k + 1, n + r["length"])
    return table


def write_verl(
    folder: Path, rollouts: list[dict[str, Any]], low: float = 0.0, high: float = 1.0, numbered: bool = False
) -> Path:
    """verl's `rollout_data_dir`; `numbered`: uids as the v1 trainer of verl 0.9 writes them, one for each rollout."""
    folder.mkdir(parents=True, exist_ok=True)
    for step in sorted({r["step"] for r in rollouts}):
        lines = [
            {
                "input": f"question {r['prompt']}",
                "output": "x" * r["length"],
                "gts": "4",
                "score": high if r["correct"] else low,
                "step": step,
                "uid": f"{step}-{r['prompt']}" + (f"_{i}_0" if numbered else ""),
            }
            for i, r in enumerate(rollouts)
            if r["step"] == step
        ]
        (folder / f"{step}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_trl(folder: Path, rollouts: list[dict[str, Any]], **extra: Any) -> Path:
    import pandas

    (folder / "completions").mkdir(parents=True, exist_ok=True)
    for step in sorted({r["step"] for r in rollouts}):
        rows = [r for r in rollouts if r["step"] == step]
        rewards = np.array([float(r["correct"]) for r in rows])
        names = [r["prompt"] for r in rows]
        means = {name: rewards[[n == name for n in names]].mean() for name in set(names)}
        table = {
            "step": [step] * len(rows),
            "prompt": [[{"role": "user", "content": f"question {name}"}] for name in names],
            "completion": [[{"role": "assistant", "content": "x" * r["length"]}] for r in rows],
            "accuracy_reward": rewards,
            **{name: [value] * len(rows) for name, value in extra.items()},
            "advantage": [reward - means[name] for reward, name in zip(rewards, names, strict=True)],
        }
        pandas.DataFrame(table).to_parquet(folder / "completions" / f"completions_{step:05d}.parquet")
    return folder


def write_wandb(run: Path, rollouts: list[dict[str, Any]]) -> Path:
    """The folder of an offline run of Weights & Biases with TRL's tables, as wandb 0.28 writes it, beside a table of another name."""
    tables = run / "files" / "media" / "table"
    tables.mkdir(parents=True)
    columns = ["step", "prompt", "completion", "accuracy_reward"]
    for i, step in enumerate(sorted({r["step"] for r in rollouts})):
        data = [
            [str(step), f"question {r['prompt']}", "x" * r["length"], float(r["correct"])]
            for r in rollouts
            if r["step"] == step
        ]
        text = json.dumps({"columns": columns, "data": data, "ncols": len(columns), "nrows": len(data)})
        digest = hashlib.sha256(text.encode()).hexdigest()[:20]
        (tables / f"completions_{2 * i}_{digest}.table.json").write_text(text)
        (tables / f"val_generations_{2 * i}_{digest}.table.json").write_text('{"columns": ["input_1"], "data": []}')
    return run


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
