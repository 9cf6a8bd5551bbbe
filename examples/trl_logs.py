"""Logs of a stock TRL run on the countdown task, to ask what selection would have saved.

    python examples/trl_logs.py run
    edgewise replay run
    edgewise watch run

Nothing of Edgewise is in this training loop but the task and a small model: `log_completions=True` alone makes the logs. On a
GPU, change the model, the dataset and the reward to yours. Needs `pip install 'edgewise[lab,trl,logs]'`.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from transformers.utils import logging
from trl import GRPOConfig, GRPOTrainer

from edgewise.lab.model.checkpoints import find
from edgewise.tasks import make_task

PROMPTS, ROLLOUTS = 16, 8
"""Prompts a step, rollouts a prompt."""
TASK = make_task("countdown")


def train(folder: str, steps: int, pool: int = 400, seed: int = 0) -> GRPOTrainer:
    """One training run that leaves its completions in `folder`."""
    base = find("countdown")
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    problems = TASK.problems(pool, seed, count=(2, 4), weights=[1, 4, 2])
    problem_of = {problem.prompt: problem for problem in problems}

    def correct(prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        # The end of the answer is the end-of-sequence token, which the texts leave out.
        texts = tokenizer.batch_decode(completion_ids)
        return [float(TASK.verify(problem_of[p], text).correct) for p, text in zip(prompts, texts, strict=True)]

    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(base),
        processing_class=tokenizer,
        reward_funcs=correct,
        args=GRPOConfig(
            output_dir=folder,
            log_completions=True,  # the line that matters
            num_completions_to_print=0,
            per_device_train_batch_size=PROMPTS * ROLLOUTS,
            num_generations=ROLLOUTS,
            max_completion_length=32,
            max_steps=steps,
            learning_rate=1e-4,
            lr_scheduler_type="constant",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            seed=seed,
            disable_tqdm=True,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
        ),
        train_dataset=Dataset.from_dict({"prompt": [problem.prompt for problem in problems]}),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="output_dir of the run")
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(1)
    train(arguments.folder, arguments.steps)
    print(f"edgewise replay {arguments.folder}")


if __name__ == "__main__":
    main()
