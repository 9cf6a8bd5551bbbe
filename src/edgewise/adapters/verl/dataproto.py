"""Rollouts that reach the curriculum after each step, in verl's `DataProto`: the sampler of 0.7, the dataset of v0.

These trainers save a checkpoint before they hand over the rewards of its step. The saved curriculum therefore still waits for
them, and they are put beside it as soon as they come: a resumed run observes them first, and then selects what the
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
from edgewise.adapters.verl.selection import Selection
from edgewise.adapters.verl.tracking import log_metrics_of
from edgewise.arrays import Rows
from edgewise.checkpoint import load_state, save_state
from edgewise.errors import ConfigError, PoolError, RewardError

log = logging.getLogger("edgewise")
AHEAD = 32
"""Batches that a trainer may draw before it hands over the first rewards."""


class DataProtoSelection(Selection):
    """A selection that observes `DataProto`s, one a step, of a trainer whose steps follow each other.

    Attributes:
        latest: metrics after the step that was observed last, `edgewise/...`; empty before the first.

    Raises:
        ConfigError: as `Selection`, and dataloader workers, which would draw prompts ahead of the rewards; later, a trainer that
            draws prompts and hands over no rewards.
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
        # Batches drawn while no rewards had come; None once some have.
        self._unanswered: int | None = 0
        # Name of the state that was saved in the step under way.
        self._saved: str | None = None
        self.latest: dict[str, float] = {}
        log_metrics_of(self)

    def next_batch(self, n: int) -> Rows:
        """The next n rows, int64 (n,): a policy step begins."""
        if self._checkpoint is not None and not self._restored:
            # At the end of an epoch, verl 0.9 leaves the state that it saved unread.
            self.load_state_dict(_saved_state(self._checkpoint))
        if self._unanswered is not None:
            self._unanswered += 1
            if self._unanswered > AHEAD:
                raise ConfigError(
                    f"{AHEAD} batches of prompts were drawn and no rewards came: this trainer, unlike verl's RayPPOTrainer, hands"
                    " them over neither to a sampler nor to a dataset, so that nothing can be selected by them"
                )
        return self.select(n, (self._step or 0) + 1)

    def update(self, batch: Any) -> None:
        """Take in a step's rollouts, in any order.

        Args:
            batch: `DataProto` with `token_level_scores` (rollouts, tokens), and the ids of the prompts.

        Raises:
            RewardError: no scores, scores of another shape, or none that can be judged. PoolError: of other prompts.
        """
        rollouts = self._read(batch)
        self._unanswered = None
        if self._saved is not None:
            self._save_rollouts(self._saved, rollouts)
            self._saved = None
        self._observe_step(**rollouts)
        self.latest = self.metrics()
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            with open(self._folder / "edgewise.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.curriculum.steps, **self.latest}) + "\n")

    def state_dict(self) -> dict[str, Any]:
        if len(self.curriculum.in_flight) and self._saved is None:
            self._saved = uuid.uuid4().hex
        return {**super().state_dict(), "saved": self._saved}

    def load_state_dict(self, state: dict[str, Any], *, waiting: Rows | None = None) -> None:
        super().load_state_dict(state, waiting=np.arange(len(self.pool)))
        self._saved, self._restored = None, True
        missing = self.curriculum.in_flight
        if not len(missing):
            return
        late = None if self._checkpoint is None else self._checkpoint / _name(state["saved"])
        if late is None or not late.exists():
            log.warning("the run ended before the rewards of its last checkpoint's %d prompts came", len(missing))
            self.forget(missing)
            return
        saved = load_state(late, "verl rollouts")
        rows = self.pool.find(saved.pop("ids"))
        self._observe_step(rows[rows >= 0], **{name: values[rows >= 0] for name, values in saved.items()})

    def _observe_step(self, rows: Rows, **rollouts: Any) -> None:
        """Observe a step; what was selected with it or before, and did not come with it, is lost."""
        age = 0
        known = rows[np.isin(rows, self.curriculum.in_flight)]
        while len(known) and np.isin(known, self.curriculum.stale(age + 1).rows).all():
            age += 1
        overdue = np.setdiff1d(self.curriculum.stale(age).rows, rows) if len(known) else known
        self.observe(rows, **rollouts)
        self.forget(overdue)

    def _read(self, batch: Any) -> dict[str, Any]:
        """Row of the prompt, reward, correctness and length of every rollout, as `observe` takes them."""
        if "token_level_scores" not in batch.batch:
            raise RewardError(
                "the batch has no token_level_scores: nothing was scored, or the trainer is not verl's PPO"
            )
        scores = batch.batch["token_level_scores"]
        if scores.ndim != 2:
            raise RewardError(f"token_level_scores must have shape (rollouts, tokens), got {tuple(scores.shape)}")
        ids = np.asarray(self.prompts.ids_of(batch.non_tensor_batch))
        rows = self.pool.find(ids)
        if (rows < 0).any():
            raise PoolError(
                f"the batch has rollouts of prompts that the curriculum never saw, such as {ids[rows < 0][0].item()!r}: it"
                " was made for another dataset"
            )
        rewards = scores.sum(-1).double().cpu().numpy()
        rollouts = {"rows": rows, "rewards": rewards, "correct": self.correct(rows, rewards, batch.non_tensor_batch)}
        if "response_mask" in batch.batch:
            rollouts["lengths"] = batch.batch["response_mask"].sum(-1).long().cpu().numpy()
        return {name: values for name, values in rollouts.items() if values is not None}

    def _save_rollouts(self, saved: str, rollouts: dict[str, Any]) -> None:
        """Put them beside the checkpoint that was written last, if verl wrote it: its data.pt is the youngest."""
        written = [] if self._folder is None else list(self._folder.glob("global_step_*/data.pt"))
        if written:
            folder = max(written, key=lambda path: path.stat().st_mtime_ns).parent
            values = {name: value for name, value in rollouts.items() if name != "rows"}
            save_state(folder / _name(saved), "verl rollouts", {"ids": self.pool.ids[rollouts["rows"]], **values})


def _name(saved: str) -> str:
    return f"edgewise_{saved}.npz"


def _saved_state(checkpoint: Path) -> dict[str, Any]:
    """The selection's state in one of verl's checkpoints; empty if there is none."""
    path = checkpoint / "data.pt"
    # verl itself reads this file of its own in this way.
    parts = [torch.load(path, weights_only=False)] if path.exists() else []
    while parts:
        part = parts.pop()
        if "edgewise" in part:
            return part
        parts += [value for value in part.values() if isinstance(value, dict)]
    return {}
