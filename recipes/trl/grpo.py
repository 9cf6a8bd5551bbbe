"""GRPO in TRL 1.16 at the published settings of MoPPS (arXiv 2507.04632), with one of four selection methods.

    recipes/data.sh trl countdown DATA
    accelerate launch --num_processes 8 recipes/trl/grpo.py countdown edge DATA runs/countdown-edge

Tasks: math (DeepSeek-R1-Distill-Qwen-1.5B), countdown (Qwen2.5-3B), geometry3k (Qwen2.5-VL-3B-Instruct). Methods: uniform;
ds, dynamic sampling; mopps; edge. Published: prompts a step, mini-batches, rollouts, learning rate, clip range, temperature, no
KL, and the options of MoPPS. Ours: lengths, steps, and what a GPU computes at once.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, Image, Sequence, load_dataset
from trl import GRPOConfig

from edgewise.adapters.trl import EdgewiseGRPOTrainer
from edgewise.lab.data import verification_reward


@dataclass(frozen=True)
class Recipe:
    """Settings of one task."""

    model: str
    prompts: int
    """Prompts a step, B."""
    mini_batch: int
    """Prompts of an optimiser step."""
    completion: int
    """Tokens of the longest completion."""
    steps: int
    mopps: str
    """MoPPS with the options of its paper."""


ROLLOUTS = 8
RECIPES = {
    "math": Recipe(
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 256, 128, 8192, 300, "mopps:decay=1.0:candidate_factor=16"
    ),
    "countdown": Recipe("Qwen/Qwen2.5-3B", 256, 64, 1024, 200, "mopps:decay=0.5"),
    "geometry3k": Recipe("Qwen/Qwen2.5-VL-3B-Instruct", 512, 256, 2048, 150, "mopps:decay=0.5:candidate_factor=8"),
}
METHODS = ("uniform", "ds", "mopps", "edge")


def method_of(recipe: Recipe, name: str, pictures: bool) -> str:
    """The method in one word, as every adapter takes it."""
    if name == "ds" and pictures:
        raise SystemExit("TRL's refill does not handle pictures: run dynamic sampling of Geometry3K in verl")
    return recipe.mopps if name == "mopps" else name


def problems(folder: Path, side: str) -> Dataset:
    """The rows of `recipes/data.sh`; pictures are read from the files that they name."""
    rows = load_dataset("json", data_files=str(folder / f"{side}.jsonl"), split="train")
    if "images" not in rows.column_names:
        return rows
    rows = rows.map(lambda row: {"images": [str(folder / path) for path in row["images"]]})
    return rows.cast_column("images", Sequence(Image()))


def settings(recipe: Recipe, given: argparse.Namespace) -> GRPOConfig:
    """TRL's settings: B prompts are generated at once and trained on in B / mini_batch optimiser steps."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    prompts, mini_batch = given.prompts or recipe.prompts, given.mini_batch or recipe.mini_batch
    sequences = mini_batch * ROLLOUTS
    on_device = min(given.on_device, sequences // processes)
    updates = prompts // mini_batch
    gpu: dict[str, Any] = {
        "bf16": True,
        "gradient_checkpointing": True,
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": 0.3,
        "optim": "adamw_torch_fused",
        "model_init_kwargs": {"dtype": "bfloat16"},
    }
    cpu: dict[str, Any] = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False}
    return GRPOConfig(
        output_dir=str(given.out),
        per_device_train_batch_size=on_device,
        gradient_accumulation_steps=sequences // (on_device * processes),
        steps_per_generation=updates * sequences // (on_device * processes),
        num_generations=ROLLOUTS,
        max_completion_length=given.completion or recipe.completion,
        # TRL counts optimiser steps.
        max_steps=(given.steps or recipe.steps) * updates,
        learning_rate=1e-6,
        lr_scheduler_type="constant",
        loss_type="dapo",
        epsilon=0.2,
        epsilon_high=0.28,
        beta=0.0,
        temperature=1.0,
        logging_steps=1,
        save_steps=20 * updates,
        report_to="none",
        seed=given.seed,
        **(cpu if given.cpu else gpu),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=RECIPES)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("data", type=Path, help="what recipes/data.sh wrote")
    parser.add_argument("out", type=Path, help="folder of the checkpoints")
    parser.add_argument("--model", help="instead of the published one: a folder or a name on the Hub")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--on-device", type=int, default=16, help="sequences that a GPU computes at once")
    for name in ("steps", "prompts", "mini_batch", "completion"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="instead of the recipe's")
    parser.add_argument("--cpu", action="store_true", help="without GPU and vLLM, to try the script with a small model")
    given = parser.parse_args()
    recipe = RECIPES[given.task]
    rows = problems(given.data, "train")
    # How likely the model finds each answer, where it was measured: edgewise features DATA/train.jsonl MODEL DATA/features.json
    features = given.data / "features.json"
    trainer = EdgewiseGRPOTrainer(
        model=given.model or recipe.model,
        reward_funcs=verification_reward,
        args=settings(recipe, given),
        train_dataset=rows,
        curriculum=method_of(recipe, given.method, "images" in rows.column_names),
        id_column="id",
        category_column="category",
        features=str(features) if given.method == "edge" and features.exists() else None,
    )
    trainer.train()
    trainer.save_model(str(given.out))
    print(
        f"effective ratio of the last steps: {trainer.curriculum.metrics()['effective_ratio']:.2f}; model: {given.out}"
    )


if __name__ == "__main__":
    main()
