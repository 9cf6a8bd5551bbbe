"""Data and the whole of verl's config for prompts with known success rates."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from hydra import compose, initialize_config_module

PROMPTS, GROUP, BATCH = 64, 4, 8
RATES = {"never": 0.0, "hard": 0.05, "even": 0.5, "always": 1.0}
SOURCES = list(RATES)


def source(row: int) -> str:
    return SOURCES[row % len(SOURCES)]


def rows(n: int = PROMPTS, index: bool = True) -> list[dict[str, Any]]:
    """Rows as verl's preprocessing writes them; the index of row i is 3 i + 1."""
    return [
        {
            "data_source": source(row),
            "prompt": [{"role": "user", "content": f"question {row}"}],
            "reward_model": {"style": "rule", "ground_truth": str(row)},
            "extra_info": {"index": 3 * row + 1, "split": "train"} if index else {"split": "train"},
        }
        for row in range(n)
    ]


def write(path: Path, data: list[dict[str, Any]]) -> Path:
    datasets.Dataset.from_list(data).to_parquet(str(path))
    return path


def configured(folder: Path, *overrides: str, data: list[dict[str, Any]] | None = None) -> Any:
    """verl's own config, with the data of `rows` in `folder` and a few settings for a CPU."""
    train, val = folder / "train.parquet", folder / "val.parquet"
    if data is not None or not train.exists():
        write(train, rows() if data is None else data)
    if not val.exists():
        write(val, rows(4))
    settings = {
        "data.train_files": train,
        "data.val_files": val,
        "data.train_batch_size": BATCH,
        "data.dataloader_num_workers": 0,
        "data.seed": 1,
        "actor_rollout_ref.rollout.n": GROUP,
        "actor_rollout_ref.actor.ppo_mini_batch_size": BATCH,
        "algorithm.adv_estimator": "grpo",
        "trainer.default_local_dir": folder / "run",
        "trainer.logger": "[console]",
        "trainer.val_before_train": False,
        "trainer.test_freq": -1,
        "trainer.total_epochs": 100,
    }
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", [f"{name}={value}" for name, value in settings.items()] + list(overrides))


def score(index: int, step: int, rollout: int) -> float:
    """1 with the probability of the prompt's source; the same whenever it is asked for the same rollout."""
    draw = zlib.crc32(f"{index} {step} {rollout}".encode()) % 10_000
    return float(draw < 10_000 * RATES[source((index - 1) // 3)])


def informative(selected: list[list[int]]) -> float:
    """Expected share of informative groups, by the known rates."""
    rates = np.array([RATES[source((index - 1) // 3)] for step in selected for index in step])
    return float(np.mean(1 - rates**GROUP - (1 - rates) ** GROUP))
