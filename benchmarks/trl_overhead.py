"""What the curriculum adds to a step of TRL, as a share of the step: selecting, fetching rows, observing, metrics.

verl and AsyncGRPO do not train on a CPU. Their part is measured alone, on prompts and rewards of the same sizes, as a share of the same step of
TRL, which trains a model of 160k weights and is shorter than any of theirs. AsyncGRPO's is in the rollout process, beside the steps.
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
    beside = 1e5 * _by_groups() / milliseconds
    name = "AsyncGRPO: what is added to the rollout process in a step, as a share of that step, edge, 100k prompts"
    yield Row.below(name, beside, "%", 1.0)


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
    """CPU seconds that the adapter adds to a step of AsyncGRPO's rollout loop: TRL's own, in which groups are drawn and scored one by one.

    Without the requests to its generation server.
    """
    import asyncio
    import queue
    import threading
    from types import SimpleNamespace

    from accelerate import PartialState
    from transformers import PreTrainedTokenizerFast
    from trl.experimental.async_grpo import async_rollout_worker as theirs

    from edgewise.adapters.trl_async import CurriculumLoop
    from edgewise.lab.model.checkpoints import shipped

    PartialState()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(shipped("countdown"))
    tokenizer.chat_template, tokenizer.response_template = "{{ messages }}", {}

    def step_of(kind: Any, **options: Any) -> float:
        """CPU seconds of a step of such a loop."""
        rng, spent = np.random.default_rng(0), []
        loop = kind(
            model_name="m",
            dataset=_dataset(),
            reward_funcs=[lambda completions, **_: (rng.random(ROLLOUTS) < rng.random()).astype(float).tolist()],
            processing_class=tokenizer,
            eos_token_ids=[1],
            rollout_buffer=queue.Queue(),
            model_version_value=SimpleNamespace(value=0),
            heartbeat_value=SimpleNamespace(value=0.0),
            failed_event=threading.Event(),
            exception_info_queue=queue.Queue(1),
            metrics_queue=queue.Queue(),
            num_generations=ROLLOUTS,
            max_inflight_tasks=AHEAD * GROUPS * ROLLOUTS,
            **options,
        )
        draws = loop._repeat_iterator()

        def drawn() -> Any:
            return _group(theirs, [next(draws) for _ in range(ROLLOUTS)])

        waiting = [drawn() for _ in range(AHEAD * GROUPS)]

        async def step() -> None:
            for _ in range(GROUPS):
                await loop._score_group(waiting.pop(0))
                waiting.append(drawn())

        for _ in range(STEPS + WARM):
            begin = time.process_time()
            asyncio.run(step())
            spent.append(time.process_time() - begin)
            loop._model_version_value.value += 1
        return float(np.median(spent[WARM:]))

    with tempfile.TemporaryDirectory() as folder:
        ours = step_of(CurriculumLoop, state=f"{folder}/edgewise.npz", id_column="id", category_column="kind")
    return ours - step_of(theirs._AsyncRolloutLoop)


def _group(theirs: Any, drawn: list[tuple[int, dict[str, Any]]]) -> Any:
    """The finished rollouts of one prompt as TRL's loop hands them to be scored."""
    sequence = theirs.TrainingSequence([1] * 16, [0] * 8 + [1] * 8, [-1.0] * 16, None)
    return theirs.RolloutGroup(
        prompts=[row["prompt"] for _, row in drawn],
        reward_kwargs={},
        completions=[[{"role": "assistant", "content": "1"}]] * ROLLOUTS,
        completions_ids=[[1] * 8] * ROLLOUTS,
        completions_sequences=[[sequence]] * ROLLOUTS,
        tool_call_counts=[0] * ROLLOUTS,
        tool_failure_counts=[0] * ROLLOUTS,
        model_version=0,
        group_id=drawn[0][0],
        env_rewards=[],
        rollout_rewards=[None] * ROLLOUTS,
    )


def _dataset() -> Any:
    from datasets import Dataset

    rng = np.random.default_rng(0)
    numbers = rng.integers(1, 13, (PROMPTS, 3)).tolist()
    return Dataset.from_dict(
        {
            "prompt": [f"{a} {b} {c} -> {a * b} :" for a, b, c in numbers],
            "id": list(range(PROMPTS)),
            "kind": [str(a) for a, _, _ in numbers],
        }
    )


def _measure() -> tuple[float, float]:
    """Share of the step and its CPU milliseconds, which other work on the machine does not lengthen.

    64 prompts x 8 rollouts of at most 32 tokens, a model of 160k weights.
    """
    import torch
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
            train_dataset=_dataset(),
            curriculum="edge",
            id_column="id",
            category_column="kind",
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    step = float(np.median(steps[WARM:]))
    return float(np.median(np.array(with_us[WARM:]) - np.array(without[WARM:]))) / step, 1e3 * step
