"""What selection brings in the real TRL: informative groups at equal rollouts, and the picks of a run that was cut and resumed."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import Row

PROMPTS, ROLLOUTS, GROUPS, STEPS, CUT = 400, 4, 8, 30, 20
RATES = (0.0, 0.0, 0.5, 1.0, 1.0)
"""Success rates of the prompts in turn, which the policy does not change: a fifth of them can be learned from."""


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        uniform, _ = _run(Path(folder) / "uniform", "uniform")
        edge, picks = _run(Path(folder) / "edge", "edge")
        _, first = _run(Path(folder) / "cut", "edge", last=CUT)
        _, rest = _run(Path(folder) / "cut", "edge", resume=True)
    name = f"trl: effective ratio at equal rollouts ({STEPS} steps x {GROUPS} x {ROLLOUTS}), edge against uniform"
    yield Row.rate(name, 100 * edge, 100 * uniform, "%", 1.5)
    different = sum(one != other for one, other in zip(picks, first + rest, strict=True))
    yield Row.below(f"trl: steps with other picks after a cut at step {CUT} and a resume", different, "steps", 0)


def _run(folder: Path, selector: str, last: int = STEPS, resume: bool = False) -> tuple[float, list[list[int]]]:
    """Mean effective ratio of the run, and the prompts of each step, of a policy of 160k weights."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, PrinterCallback
    from transformers.utils import logging
    from trl import GRPOConfig

    from edgewise.adapters.trl import EdgewiseGRPOTrainer
    from edgewise.lab.model.checkpoints import shipped

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    picks: list[list[int]] = []

    def reward(completions: list[str], id: list[int], **_: Any) -> list[float]:
        picks.append(id[::ROLLOUTS])
        rates = [RATES[row % len(RATES)] for row in id]
        return [float(rate == 1 or (rate == 0.5 and place % 2)) for place, rate in enumerate(rates)]

    data = Dataset.from_dict(
        {
            "prompt": [f"{1 + row % 12} {1 + row // 12 % 12} {1 + row // 144} -> {row} :" for row in range(PROMPTS)],
            "id": list(range(PROMPTS)),
        }
    )
    base = shipped("countdown")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = EdgewiseGRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(base),
            processing_class=PreTrainedTokenizerFast.from_pretrained(base, padding_side="left"),
            reward_funcs=reward,
            args=GRPOConfig(
                output_dir=str(folder),
                per_device_train_batch_size=GROUPS * ROLLOUTS,
                num_generations=ROLLOUTS,
                max_completion_length=4,
                max_steps=last,
                save_steps=CUT,
                save_total_limit=1,
                report_to="none",
                disable_tqdm=True,
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                seed=1,
            ),
            train_dataset=data,
            curriculum=selector,
            id_column="id",
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=resume)
    return float(np.mean([row % len(RATES) == 2 for step in picks for row in step])), picks
