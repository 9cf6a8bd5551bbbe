"""What the curriculum adds to a step of TRL, as a share of the step: selecting, fetching rows, observing, metrics.

verl and AsyncGRPO do not train on a CPU. Their part is measured alone, on prompts and rewards of the same sizes: verl's as a share of the
same step of TRL, which trains a model of 160k weights and is shorter than any of verl's; AsyncGRPO's by the group, since its rollout
process selects and observes beside the steps.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.row import Row

PROMPTS, STEPS, WARM = 100_000, 10, 2
GROUPS, ROLLOUTS, AHEAD = 64, 8, 4
"""Groups of a step, rollouts of a group, and steps of groups that an asynchronous trainer keeps in flight."""


def rows() -> Iterator[Row]:
    share, milliseconds = _measure()
    yield Row.below(f"trl: our share of a {milliseconds:.0f} ms step, edge, 100k prompts", 100 * share, "%", 1.0)
    own = 1e5 * _by_steps() / milliseconds
    yield Row.below("verl: selecting and observing a step, as a share of that step, edge, 100k prompts", own, "%", 1.0)
    each = 1e3 * _by_groups() / GROUPS
    yield Row.below(
        "AsyncGRPO: a group, selected and observed alone, in the rollout process, edge, 100k prompts", each, "ms", 5.0
    )


def _pool() -> Any:
    from edgewise import PromptPool

    return PromptPool(np.arange(PROMPTS), [str(i % 12) for i in range(PROMPTS)])


def _by_steps() -> float:
    """CPU seconds of verl's part of a step: one selection, all rollouts observed at once, metrics."""
    from edgewise.adapters.in_flight import InFlight

    adapter, rng, spent = InFlight(_pool(), "edge", ROLLOUTS), np.random.default_rng(0), []
    for step in range(STEPS + WARM):
        rewards = (rng.random((GROUPS, ROLLOUTS)) < rng.random((GROUPS, 1))).astype(float)
        begin = time.process_time()
        rows = adapter.select(GROUPS, step)
        adapter.observe(np.repeat(rows, ROLLOUTS), rewards.ravel())
        adapter.metrics()
        spent.append(time.process_time() - begin)
    return float(np.median(spent[WARM:]))


def _by_groups() -> float:
    """CPU seconds of AsyncGRPO's part of a step: every group selected and observed alone, metrics each time, the state saved once."""
    from edgewise.adapters.in_flight import InFlight
    from edgewise.adapters.success import Success
    from edgewise.checkpoint import save_state

    adapter, rng, spent = InFlight(_pool(), "edge", ROLLOUTS, patience=16), np.random.default_rng(0), []
    waiting = [int(adapter.select(1, 0)[0]) for _ in range(AHEAD * GROUPS)]
    with tempfile.TemporaryDirectory() as folder:
        for step in range(STEPS + WARM):
            rewards = (rng.random((GROUPS, ROLLOUTS)) < rng.random((GROUPS, 1))).astype(float)
            begin = time.process_time()
            for group in rewards:
                adapter.observe_group(waiting.pop(0), group.tolist(), Success(None))
                adapter.metrics()
                waiting.append(int(adapter.select(1, step)[0]))
            save_state(f"{folder}/state.npz", "async grpo", adapter.state_dict())
            spent.append(time.process_time() - begin)
    return float(np.median(spent[WARM:]))


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
