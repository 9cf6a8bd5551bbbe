"""What the curriculum adds to a step of TRL, as a share of the step: selecting, fetching rows, observing, metrics."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.row import Row

PROMPTS, STEPS, WARM = 100_000, 10, 2


def rows() -> Iterator[Row]:
    share, milliseconds = _measure()
    yield Row.below(f"trl: our share of a {milliseconds:.0f} ms step, edge, 100k prompts", 100 * share, "%", 1.0)


def _measure() -> tuple[float, float]:
    """Share of the step and its CPU milliseconds, which other work on the machine does not lengthen.

    64 prompts x 8 rollouts of at most 32 tokens, a model of 160k weights.
    """
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, PrinterCallback
    from transformers.utils import logging
    from trl import GRPOConfig, GRPOTrainer

    from edgewise.adapters.trl import EdgewiseMixin
    from edgewise.lab.model.checkpoints import shipped

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    steps: list[float] = []
    with_us: list[float] = []
    without: list[float] = []

    class Inner(GRPOTrainer):  # type: ignore[misc]
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            start = time.process_time()
            output = super()._generate_and_score_completions(inputs)
            without.append(time.process_time() - start)
            return output

    class Middle(EdgewiseMixin, Inner):  # type: ignore[misc]
        pass

    class Outer(Middle):
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            start = time.process_time()
            output = super()._generate_and_score_completions(inputs)
            with_us.append(time.process_time() - start)
            return output

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            output = super().training_step(*args, **kwargs)
            steps.append(time.process_time() - start)
            return output

    rng = np.random.default_rng(0)
    numbers = rng.integers(1, 13, (PROMPTS, 3)).tolist()
    data = Dataset.from_dict(
        {
            "prompt": [f"{a} {b} {c} -> {a * b} :" for a, b, c in numbers],
            "id": list(range(PROMPTS)),
            "kind": [str(a) for a, _, _ in numbers],
        }
    )
    base = shipped("countdown")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Outer(
            model=AutoModelForCausalLM.from_pretrained(base),
            processing_class=PreTrainedTokenizerFast.from_pretrained(base, padding_side="left"),
            reward_funcs=lambda completion_ids, **_: [float(len(ids) % 2) for ids in completion_ids],
            args=GRPOConfig(
                output_dir=folder,
                per_device_train_batch_size=512,
                num_generations=8,
                max_completion_length=32,
                max_steps=STEPS,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
            ),
            train_dataset=data,
            curriculum="edge",
            id_column="id",
            category_column="kind",
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    step = float(np.median(steps[WARM:]))
    return float(np.median(np.array(with_us[WARM:]) - np.array(without[WARM:]))) / step, 1e3 * step
