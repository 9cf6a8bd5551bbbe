"""TRL's AsyncGRPO: a rollout worker whose child process selects prompts, observes groups and drops those a gate rejects.

    from trl.experimental.async_grpo import AsyncGRPOTrainer
    from edgewise.adapters.trl_async import CurriculumWorker

    worker = CurriculumWorker(state="run/edgewise.npz", success="correct", model_name=..., dataset=..., ...)
    trainer = AsyncGRPOTrainer(..., rollout_worker=worker, callbacks=[worker.callback()])

TRL's loop draws one prompt at a time, keeps many groups in flight and draws on until the trainer has enough samples, so that it
refills by itself. The curriculum lives in the child process; its state is a file, which `callback` copies into checkpoints.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.adapters.in_flight import CurriculumChoice, InFlight
from edgewise.adapters.installed import require
from edgewise.adapters.priors import PriorChoice
from edgewise.adapters.prompts import make_pool
from edgewise.adapters.success import Rule, Success
from edgewise.checkpoint import load_state, save_state
from edgewise.errors import ConfigError, EdgewiseError

require("trl")

from transformers import TrainerCallback  # noqa: E402
from trl.experimental.async_grpo import async_rollout_worker as theirs  # noqa: E402

log = logging.getLogger("edgewise")
FAILURES = 8
"""Rollouts in a row that may fail before the generation server counts as down."""
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
            whole_row=self.environment_factories is not None,
        )
        self.in_flight = InFlight(pool, curriculum, self.num_generations, seed=seed, patience=patience)
        self._state, self._saved_at = Path(state), 0
        if self._state.exists():
            self.in_flight.load_state_dict(load_state(self._state, "async grpo"))
        # Row of the prompt by TRL's number of the group, and rollouts in a row that have failed.
        self._rows: dict[int, int] = {}
        self._failures = 0

    def _repeat_iterator(self) -> Iterator[tuple[int, dict[str, Any]]]:
        group_id = 0
        while True:
            row = int(self.in_flight.select(1, self.model_version)[0])
            self._rows[group_id] = row
            example = self.dataset[row]
            for _ in range(self.num_generations):
                yield group_id, example
            group_id += 1

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
        finished = np.array([len(sequences) > 0 for sequences in group.completions_sequences], bool)
        row = self._rows.pop(group.group_id)
        if not finished.any():
            self.in_flight.forget(np.array([row]))
            return []
        samples = await super()._score_group(group)
        # One sample a sequence: the first of each conversation carries its rewards.
        counts = np.array([len(sequences) for sequences in group.completions_sequences])[finished]
        firsts = [samples[place].metrics for place in np.cumsum(counts) - counts]
        names = self.reward_func_names
        matrix = np.array([[metrics[f"rewards/{name}"] for name in names] for metrics in firsts], np.float64)
        sums, rows = np.nansum(matrix, axis=1), np.full(len(matrix), row)
        known, correct = self.success.read_functions(matrix, sums, self.in_flight.pool.ids[rows], names)
        lengths = np.array([len(ids) for ids in group.completions_ids], np.int64)[finished]
        if not known.any():
            self.in_flight.forget(np.array([row]))
            return []
        admitted = self.in_flight.observe(rows[known], sums[known], correct, lengths[known])
        self._push_metrics({f"edgewise/{name}": value for name, value in self.in_flight.metrics().items()})
        if self.model_version != self._saved_at:
            self.save()
        # The advantages of a group with lost rollouts are not those of its rewards.
        return samples if row in admitted and finished.all() else []

    def save(self) -> None:
        """Write the state, atomically."""
        self._saved_at = self.model_version
        save_state(self._state, "async grpo", self.in_flight.state_dict())

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
        if self.path.exists() and folder.is_dir():
            part = folder / f".{STATE}"
            shutil.copyfile(self.path, part)
            os.replace(part, folder / STATE)

    def resume(self, checkpoint: str | os.PathLike[str]) -> None:
        """Take the state from a checkpoint; call it before `train`. Without one there, the run begins with a new curriculum."""
        saved = Path(checkpoint) / STATE
        if not saved.exists():
            raise ConfigError(f"{checkpoint} holds no {STATE}: it was saved without a curriculum")
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(saved, self.path)


__all__ = ["CurriculumLoop", "CurriculumWorker"]
