"""GRPO in TRL on the countdown task: uniform prompts against a curriculum, at equal steps and equal rollouts.

    python examples/trl_countdown.py
    torchrun --nproc_per_node 2 examples/trl_countdown.py

Runs on a CPU in minutes: the model is the laboratory's small countdown model, which solves some problems always, some
never and some now and then (`edgewise pretrain configs/pretrain/countdown.yaml OUT` makes another, for `--base`). Under
torchrun every process checks at each generation that all have selected the same prompts.
Needs `pip install 'edgewise[lab,trl]'`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from transformers.utils import logging
from trl import GRPOConfig

from edgewise.adapters.trl import EdgewiseGRPOTrainer
from edgewise.lab.model.checkpoints import find
from edgewise.tasks import Problem, make_task

PROMPTS, ROLLOUTS, EVERY = 16, 8, 10
"""Prompts a step, rollouts a prompt, steps between two lines of the table."""
TASK = make_task("countdown")
MIXTURE = {"count": (2, 4), "weights": [1, 4, 2]}


def table(problems: list[Problem]) -> Dataset:
    """How many numbers a problem has is its category."""
    columns = {name: [getattr(problem, name) for problem in problems] for name in ("prompt", "id", "category")}
    return Dataset.from_dict(columns)


def run(
    base: Path, selector: str, seed: int, steps: int, pool: list[Problem], held_out: list[Problem]
) -> dict[str, list[float]]:
    """One training run: effective ratio of each step, and held-out accuracy before the first and after every tenth."""
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    problem_of = {problem.prompt: problem for problem in [*pool, *held_out]}

    def correct(prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        # The end of the answer is the end-of-sequence token, which the texts leave out.
        texts = tokenizer.batch_decode(completion_ids)
        return [float(TASK.verify(problem_of[p], text).correct) for p, text in zip(prompts, texts, strict=True)]

    processes = int(os.environ.get("WORLD_SIZE", 1))
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=PROMPTS * ROLLOUTS // processes,
            per_device_eval_batch_size=len(held_out) // processes,
            num_generations=ROLLOUTS,
            max_completion_length=32,
            max_steps=steps,
            learning_rate=1e-4,
            lr_scheduler_type="constant",
            logging_steps=1,
            eval_strategy="steps",
            eval_steps=EVERY,
            eval_on_start=True,
            num_generations_eval=1,
            save_strategy="no",
            report_to="none",
            seed=seed,
            disable_tqdm=True,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
        )
        trainer = EdgewiseGRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(base),
            processing_class=tokenizer,
            reward_funcs=correct,
            args=config,
            train_dataset=table(pool),
            eval_dataset=table(held_out),
            curriculum=selector,
            id_column="id",
            category_column="category",
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    history = trainer.state.log_history
    assert trainer.curriculum.metrics()["rollouts"] == steps * PROMPTS * ROLLOUTS
    return {
        "effective": [line["edgewise/effective_ratio"] for line in history if "edgewise/effective_ratio" in line],
        "accuracy": [line["eval_reward"] for line in history if "eval_reward" in line],
    }


def show(curves: dict[str, list[dict[str, list[float]]]], steps: int) -> None:
    """Means over seeds, and the differences of the last selector to the first with their range over seeds."""
    first, *_, last = curves
    print(f"\n{'':12}" + "".join(f"{name:>24}" for name in curves))
    print(f"{'step':>12}" + f"{'effective':>14}{'accuracy':>10}" * len(curves))
    accuracy = {name: np.array([run["accuracy"] for run in runs]) for name, runs in curves.items()}
    effective = {name: np.array([run["effective"] for run in runs]) for name, runs in curves.items()}
    for line in range(steps // EVERY + 1):
        cells = f"{line * EVERY:>12}"
        for name in curves:
            part = effective[name][:, (line - 1) * EVERY : line * EVERY] if line else np.full(1, np.nan)
            cells += f"{part.mean():>14.2f}{accuracy[name][:, line].mean():>10.3f}"
        print(cells.replace("nan", "  -"))
    for what, values in (("effective ratio", effective), ("held-out accuracy", accuracy)):
        gain = values[last].mean(axis=1) - values[first].mean(axis=1)
        print(
            f"{what}, mean of the run: {last} - {first} = {gain.mean():+.3f} (seeds {gain.min():+.3f} .. {gain.max():+.3f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--selectors", nargs="+", default=["uniform", "edge"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60, help="a multiple of 10")
    parser.add_argument("--base", default="countdown", help="a checkpoint's folder, or the name of a shipped one")
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(1)
    base = find(arguments.base)
    pool, held_out = TASK.problems(1000, 0, **MIXTURE), TASK.problems(512, 1, split="eval", **MIXTURE)
    curves: dict[str, list[dict[str, list[float]]]] = {name: [] for name in arguments.selectors}
    main_process = int(os.environ.get("RANK", 0)) == 0
    for seed in range(arguments.seeds):
        for name in arguments.selectors:
            curves[name].append(run(base, name, seed, arguments.steps, pool, held_out))
            if main_process:
                mean = np.mean(curves[name][-1]["effective"])
                print(f"{name}, seed {seed}: effective ratio {mean:.2f}", flush=True)
    if main_process:
        show(curves, arguments.steps)


if __name__ == "__main__":
    main()
