"""TRL's AsyncGRPO: a rollout worker whose child process selects prompts, observes groups and drops those a gate rejects.

    from trl.experimental.async_grpo import AsyncGRPOTrainer
    from edgewise.adapters.trl_async import CurriculumWorker

    worker = CurriculumWorker(state="run/edgewise.npz", success="correct", model_name=..., dataset=..., ...)
    trainer = AsyncGRPOTrainer(..., rollout_worker=worker, callbacks=[worker.callback()])

TRL's loop draws one prompt at a time, keeps many groups in flight and draws on until the trainer has enough samples, so that it
refills by itself. The curriculum lives in the child process; its state is a file, which `callback` copies into checkpoints.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.adapters.features import FeatureChoice
from edgewise.adapters.in_flight import CurriculumChoice, InFlight
from edgewise.adapters.installed import require
from edgewise.adapters.priors import PriorChoice
from edgewise.adapters.prompts import make_pool
from edgewise.adapters.success import Rule, Success
from edgewise.checkpoint import load_state, save_state, write_atomic
from edgewise.errors import ConfigError, EdgewiseError

require("trl")

from transformers import TrainerCallback  # noqa: E402
from trl.experimental.async_grpo import async_rollout_worker as theirs  # noqa: E402

log = logging.getLogger("edgewise")
FAILURES = 8
"""Rollouts in a row that may fail before the generation server counts as down."""
AHEAD = 64
"""Most prompts that are selected at a time, ahead of their rollouts."""
SPACING = 400
"""The next state is written after this many times as long as the last one took: a quarter of a percent of the time at most."""
STATE = "edgewise.npz"
"""File in each of the trainer's checkpoints."""


class CurriculumLoop(theirs._AsyncRolloutLoop):  # type: ignore[misc]
    """TRL's rollout loop on selected prompts.

    Args:
        state: file in which the state is kept; it is loaded if it is there.
        curriculum: name of a selector, or a module-level function from a `PromptPool` to a `Curriculum` over it.
        id_column: unique ids in the dataset; None: a hash of each prompt's content, of the whole row with environments.
        category_column: labels that prompts share.
        success: correctness of a rollout: a threshold on the summed reward, the name of the reward function that decides, or a
            function of the rewards (rollouts, reward functions); see `EdgewiseMixin`.
        priors: success rates known before the run; see `make_pool`.
        prior_strength: rollouts that one is worth.
        features: numbers that describe each prompt; see `make_pool`.
        patience: policy versions after which a group that has not come back is forgotten.
        seed: seed of a curriculum given by name.
        theirs: arguments of TRL's loop.
    """

    def __init__(
        self,
        *,
        state: str,
        curriculum: CurriculumChoice = "edge",
        id_column: str | None = None,
        category_column: str | None = None,
        success: Rule = None,
        priors: PriorChoice = None,
        prior_strength: float = 4.0,
        features: FeatureChoice = None,
        patience: int = 16,
        seed: int = 0,
        **theirs: Any,
    ):
        super().__init__(**theirs)
        self.success = Success.of_functions(success, self.reward_func_names)
        pool = make_pool(
            self.dataset,
            id_column,
            category_column,
            priors=priors,
            prior_strength=prior_strength,
            features=features,
            whole_row=self.environment_factories is not None,
        )
        # Half of the groups in flight: what is selected ahead waits for less than the groups that finish meanwhile.
        ahead = min(max(self.max_inflight_tasks // self.num_generations // 2, 1), AHEAD)
        self.in_flight = InFlight(pool, curriculum, self.num_generations, seed=seed, patience=patience, ahead=ahead)
        # Policy version of the last report, and when the next state may be written.
        self._state, self._reported, self._next_save = Path(state), 0, 0.0
        if self._state.exists():
            saved = load_state(self._state, "async grpo")
            self.in_flight.load_state_dict(saved)
            if (saved["trainer_step"] or 0) > self.model_version:
                log.warning(
                    "%s is of policy version %d, and this run begins at version %d: take the state of its checkpoint with"
                    " callback().resume(checkpoint), or begin a run of a new model with another state file",
                    self._state,
                    saved["trainer_step"],
                    self.model_version,
                )
        # Row of the prompt by TRL's number of the group, and rollouts in a row that have failed.
        self._rows: dict[int, int] = {}
        self._failures = 0
        # Examples of the rows selected ahead.
        self._examples: dict[int, dict[str, Any]] = {}

    def _repeat_iterator(self) -> Iterator[tuple[int, dict[str, Any]]]:
        group_id = 0
        while True:
            if self.model_version != self._reported:
                self._report()
            row = int(self.in_flight.select(1, self.model_version)[0])
            self._rows[group_id] = row
            example = self._example(row)
            for _ in range(self.num_generations):
                yield group_id, example
            group_id += 1

    def _example(self, row: int) -> dict[str, Any]:
        """A row of the dataset; those selected ahead are read together."""
        if row not in self._examples:
            rows = [row, *self.in_flight.waiting.tolist()]
            self._examples = dict(zip(rows, self.dataset.__getitems__(rows), strict=True))
        return self._examples.pop(row)

    async def _generate_one(self, prompt: Any, *args: Any, **kwargs: Any) -> Any:
        """A rollout that fails, after TRL's own retries, is lost alone (trl#7176); many in a row stop the run."""
        try:
            result = await super()._generate_one(prompt, *args, **kwargs)
        except Exception as error:
            self._failures += 1
            if self._failures >= FAILURES:
                raise EdgewiseError(
                    f"the generation server at {self.vllm_server_url} is down: {FAILURES} rollouts in a row failed, the last"
                    f" with {error!r}. Start it again, and resume from the last checkpoint"
                ) from error
            log.warning("a rollout failed and is left out: %r", error)
            return [{"role": "assistant", "content": ""}], [], [], 0, 0, None
        self._failures = 0
        return result

    async def _score_group(self, group: Any) -> list[Any]:
        """TRL's samples of the group; none if a gate rejects it, and TRL draws on."""
        counts = [len(sequences) for sequences in group.completions_sequences]
        row = self._rows.pop(group.group_id)
        if not any(counts):
            self.in_flight.forget(np.array([row]))
            return []
        samples = await super()._score_group(group)
        # One sample a sequence, none of a lost rollout: the first of each conversation carries its rewards.
        firsts = [samples[end - n].metrics for end, n in zip(itertools.accumulate(counts), counts, strict=True) if n]
        keys = [f"rewards/{name}" for name in self.reward_func_names]
        matrix = np.array([[metrics[key] for key in keys] for metrics in firsts], np.float64)
        sums, rows = np.where(np.isnan(matrix), 0.0, matrix).sum(axis=1), np.full(len(matrix), row)
        known, correct = self.success.read_functions(
            matrix, sums, self.in_flight.pool.ids[rows], self.reward_func_names
        )
        if not known.any():
            self.in_flight.forget(np.array([row]))
            return []
        lengths = np.array([len(ids) for ids, n in zip(group.completions_ids, counts, strict=True) if n], np.int64)
        admitted = self.in_flight.observe(rows[known], sums[known], correct, lengths[known])
        # The advantages of a group with lost rollouts are not those of its rewards.
        return samples if row in admitted and all(counts) else []

    def _report(self) -> None:
        """Before the clock moves to a new policy version: metrics of the last one to the trainer, and the state."""
        self._push_metrics({f"edgewise/{name}": value for name, value in self.in_flight.metrics().items()})
        self._reported, begin = self.model_version, time.monotonic()
        if begin >= self._next_save:
            self.save()
            self._next_save = begin + SPACING * (time.monotonic() - begin)

    def save(self) -> None:
        """Write the state, atomically."""
        save_state(self._state, "async grpo", self.in_flight.state_dict(), compress=False)

    async def _run_loops(self, stop_event: Any) -> None:
        try:
            await super()._run_loops(stop_event)
        finally:
            self.save()


class CurriculumWorker(theirs.AsyncRolloutWorker):  # type: ignore[misc]
    """TRL's rollout worker with a curriculum; see `CurriculumLoop` for its arguments."""

    _loop_cls = CurriculumLoop

    def callback(self) -> TrainerCallback:
        """Callback of the trainer: copies the newest state into each checkpoint, and takes it from there on resuming."""
        return _StateFiles(Path(self._loop_kwargs["state"]))


class _StateFiles(TrainerCallback):  # type: ignore[misc]
    def __init__(self, path: Path):
        self.path = path

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        # Every process of the trainer calls this; the rollouts are those of the first.
        if state.is_world_process_zero and self.path.exists() and folder.is_dir():
            write_atomic(folder / STATE, self.path.read_bytes())

    def resume(self, checkpoint: str | os.PathLike[str]) -> None:
        """Take the state from a checkpoint; call it before `train`. Without one there, the run begins with a new curriculum."""
        saved = Path(checkpoint) / STATE
        if not saved.exists():
            raise ConfigError(f"{checkpoint} holds no {STATE}: it was saved without a curriculum")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path, saved.read_bytes())


__all__ = ["CurriculumLoop", "CurriculumWorker"]
