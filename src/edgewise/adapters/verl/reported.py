"""Rewards that reach the curriculum after each step, in verl's `DataProto`: the samplers of 0.7, the datasets of v0.

These trainers save a checkpoint before they tell the rewards of its step. The saved curriculum therefore still waits for
them, and they are put beside it as soon as they come: a resumed run learns them first, and then picks what the
uninterrupted one would have.
"""

from __future__ import annotations

import json
import logging
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgewise.adapters.verl.options import resumes_from, saves_to
from edgewise.adapters.verl.picker import Floats, Picker
from edgewise.checkpoint import load_state, save_state
from edgewise.errors import ConfigError, PoolError, RewardError
from edgewise.pool import Rows

log = logging.getLogger("edgewise")


class ReportedPicker(Picker):
    """A picker that is told `DataProto`s, one a step, by a trainer whose steps follow each other.

    Raises:
        ConfigError: as `Picker`, and dataloader workers, which would draw prompts ahead of the rewards.
    """

    def __init__(self, dataset: Any, data_config: Any):
        workers = data_config.get("dataloader_num_workers", 8)
        if workers != 0:
            raise ConfigError(
                f"data.dataloader_num_workers is {workers}: workers draw prompts ahead, before the rewards they should be"
                " chosen by; set data.dataloader_num_workers=0"
            )
        super().__init__(dataset, data_config)
        self._folder, self._checkpoint = saves_to(data_config), resumes_from(data_config)
        self._restored = False
        # Name of the state that was saved in the step under way.
        self._saved: str | None = None

    def pick(self, n: int) -> Rows:
        if self._checkpoint is not None and not self._restored:
            # At the end of an epoch, verl 0.9 leaves the state that it saved unread.
            self.load_state_dict(_saved_state(self._checkpoint))
        return super().pick(n)

    def update(self, batch: Any) -> None:
        """Take in a step's rollouts, in any order.

        Args:
            batch: `DataProto` with `token_level_scores` (rollouts, tokens), and the ids of the prompts.

        Raises:
            RewardError: no scores, scores of another shape, or none that can be judged. PoolError: of other prompts.
        """
        rows, rewards = self._read(batch)
        if self._saved is not None:
            self._save_rewards(self._saved, rows, rewards)
            self._saved = None
        self._learn(rows, rewards)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            with open(self._folder / "edgewise.jsonl", "a") as file:
                file.write(json.dumps({"step": self.curriculum.steps, **self.metrics()}) + "\n")

    def state_dict(self) -> dict[str, Any]:
        if self._out and self._saved is None:
            self._saved = uuid.uuid4().hex
        return {**super().state_dict(), "saved": self._saved}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._saved, self._restored = None, True
        if not self._out:
            return
        late = None if self._checkpoint is None else self._checkpoint / _name(state["saved"])
        if late is None or not late.exists():
            waiting = np.concatenate([batch.rows for batch in self._out])
            log.warning("the run ended before the rewards of its last checkpoint's %d prompts came", len(waiting))
            self.lose(waiting)
            return
        told = load_state(late, "verl rewards")
        rows = self.prompts.pool.find(told["ids"])
        self._learn(rows[rows >= 0], told["rewards"][rows >= 0])

    def _learn(self, rows: Rows, rewards: Floats) -> None:
        overdue = self.overdue(rows)
        self.tell(rows, rewards)
        self.lose(overdue)

    def _read(self, batch: Any) -> tuple[Rows, Floats]:
        """Row of the prompt and reward of every rollout."""
        if "token_level_scores" not in batch.batch:
            raise RewardError(
                "the batch has no token_level_scores: nothing was scored, or the trainer is not verl's PPO"
            )
        scores = batch.batch["token_level_scores"]
        if scores.ndim != 2:
            raise RewardError(f"token_level_scores must have shape (rollouts, tokens), got {tuple(scores.shape)}")
        ids = np.asarray(self.prompts.ids_of(batch.non_tensor_batch))
        rows = self.prompts.pool.find(ids)
        if (rows < 0).any():
            raise PoolError(
                f"the batch has rollouts of prompts that the curriculum never saw, such as {ids[rows < 0][0].item()!r}: it"
                " was made for another dataset"
            )
        return rows, self.judge(scores.sum(-1).double().cpu().numpy(), batch.non_tensor_batch, ids)

    def _save_rewards(self, saved: str, rows: Rows, rewards: Floats) -> None:
        """Put them beside the checkpoint that was written last, if verl wrote it: its data.pt is the youngest."""
        written = [] if self._folder is None else list(self._folder.glob("global_step_*/data.pt"))
        if written:
            folder = max(written, key=lambda path: path.stat().st_mtime_ns).parent
            state = {"ids": self.prompts.pool.ids[rows], "rewards": rewards}
            save_state(folder / _name(saved), "verl rewards", state)


def _name(saved: str) -> str:
    return f"edgewise_{saved}.npz"


def _saved_state(checkpoint: Path) -> dict[str, Any]:
    """The picker's state in one of verl's checkpoints; empty if there is none."""
    path = checkpoint / "data.pt"
    # verl itself reads this file of its own in this way.
    parts = [torch.load(path, weights_only=False)] if path.exists() else []
    while parts:
        part = parts.pop()
        if "edgewise" in part:
            return part
        parts += [value for value in part.values() if isinstance(value, dict)]
    return {}
