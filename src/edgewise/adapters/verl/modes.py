"""verl's v1 trainer: modes that pick prompts by a curriculum. verl loads this module itself, by the entry point `verl.plugins`.

`trainer.v1.trainer_mode=edgewise` is verl's `sync` trainer on picked prompts; `edgewise_colocate_async` and
`edgewise_separate_async` are its asynchronous ones, which read their settings where they always do
(`trainer.v1.colocate_async`, ...). Prompts are picked when a step is submitted. A group is learned from when it is trained on,
or when the replay buffer throws it away, because it is stale or filtered: these were rolled out as well.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import transfer_queue as tq
from verl.trainer.ppo.v1 import (
    PPOTrainerColocateAsync,
    PPOTrainerSeparateAsync,
    PPOTrainerSync,
    register_trainer,
)
from verl.utils.dataset.rl_dataset import collate_fn

from edgewise.adapters.verl.picker import Picker
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import Rows

if TYPE_CHECKING:
    from verl.trainer.ppo.v1 import PPOTrainer as _Trainer
else:
    _Trainer = object

TRAIN = "train"
"""Partition of the TransferQueue."""
log = logging.getLogger("edgewise")


class PickedPrompts:
    """Stands where verl has its dataloader: an endless iterator over batches of picked rows, whose state goes to `data.pt`.

    Args:
        dataset: `RLHFDataset` or derived from it.
        data_config: the `data` section of verl's config, attached to the whole of it.
    """

    def __init__(self, dataset: Any, data_config: Any):
        self.dataset = dataset
        self.picker = Picker(dataset, data_config)
        self.batch_size = int(data_config.get("gen_batch_size", None) or data_config.train_batch_size)
        self.restored = False
        # Row of the prompt by the uid that verl gave its group.
        self.groups: dict[str, int] = {}
        self._queue = np.empty(0, np.int64)
        self._step: int | None = None
        self._last = self._queue

    def ask(self, n: int, step: int) -> None:
        """Pick the n prompts that are fetched next; a new global step of verl's begins a policy step."""
        pick = self.picker.pick if step != self._step else self.picker.pick_more
        self._step = step
        self._queue = np.concatenate([self._queue, pick(n)])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        if len(self._queue) < self.batch_size:
            raise ConfigError("prompts are fetched that nobody asked for: this verl submits steps in another way")
        self._last, self._queue = self._queue[: self.batch_size], self._queue[self.batch_size :]
        return collate_fn([self.dataset[row] for row in self._last.tolist()])

    def name_last(self, uids: list[str]) -> None:
        """The uids that verl gave the groups fetched last."""
        self.groups.update(zip(uids, self._last.tolist(), strict=True))

    def release(self, uids: set[str]) -> Rows:
        """Rows of groups that are over; those of them that were fetched here."""
        return np.array([self.groups.pop(uid) for uid in sorted(uids & self.groups.keys())], np.int64)

    def state_dict(self) -> dict[str, Any]:
        uids, ids = list(self.groups), self.picker.prompts.pool.ids
        rows = np.array([self.groups[uid] for uid in uids], np.int64)
        return {**self.picker.state_dict(), "uids": uids, "prompts": ids[rows]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.picker.load_state_dict(state)
        rows = self.picker.prompts.pool.find(state["prompts"]) if state["uids"] else np.empty(0, np.int64)
        self.groups = {uid: row for uid, row in zip(state["uids"], rows.tolist(), strict=True) if row >= 0}
        self.restored = True


class EdgewiseMode(_Trainer):  # type: ignore[misc]
    """Gives a v1 trainer a curriculum: `class Mine(EdgewiseMode, MyTrainer)`, registered by `register_trainer`.

    Raises:
        ConfigError: options, ids or a batch size that do not fit, before any worker is started.
    """

    base: ClassVar[str]
    """verl's own trainer mode underneath."""

    def __init__(self, config: Any):
        # verl asks in many places whether the mode is `sync`.
        config.trainer.v1.trainer_mode = self.base
        super().__init__(config)
        self._watch(self.replay_buffer)

    def _watch(self, buffer: Any) -> None:
        """Learn from groups before the buffer throws them away."""
        if not hasattr(buffer, "_clear_groups"):
            raise ConfigError(
                f"trainer.v1.sampler.custom_sampler is {type(buffer).__name__}, which throws groups away unseen: derive it from"
                " verl's ReplayBuffer"
            )
        clear = buffer._clear_groups

        def learn_and_clear(partition_id: str, uids: set[str]) -> None:
            # A reward model on the trainer's own GPUs scores only what is trained on.
            if partition_id == TRAIN and self.reward_loop_manager.reward_loop_worker_handles is not None:
                self._learn([key for key in buffer.partitions[TRAIN] if _uid(key) in uids])
            clear(partition_id, uids)

        buffer._clear_groups = learn_and_clear

    def _init_dataloader(self) -> None:
        super()._init_dataloader()
        self.train_dataloader = PickedPrompts(self.train_dataset, self.config.data)

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.global_steps and not self.train_dataloader.restored:
            raise CheckpointError(
                f"the checkpoint of step {self.global_steps} holds no data.pt, and so no curriculum: resume from another one,"
                " or start anew with its model"
            )

    def _next_train_batch(self, num_prompts: int | None = None) -> Any:
        self.train_dataloader.ask(num_prompts or self.config.data.train_batch_size, self.global_steps)
        return super()._next_train_batch(num_prompts)

    def _fetch_one_gen_batch(self) -> Any:
        batch = super()._fetch_one_gen_batch()
        self.train_dataloader.name_last(list(batch["uid"]))
        return batch

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        # Rewards are complete here. Padding repeats rollouts of other groups, or has none.
        self._learn([key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)])
        # A group that is neither here nor in the queue has failed before anything was generated.
        prompts = (tq.kv_list(TRAIN) or {}).get(TRAIN, {})
        alive = {key for key, tag in prompts.items() if tag.get("is_prompt", False)}
        self.train_dataloader.picker.lose(self.train_dataloader.release(self.train_dataloader.groups.keys() - alive))
        return super()._compute_advantage(batch, metrics)

    def _compute_metrics(self, batch: Any, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super()._compute_metrics(batch, metrics, *args, **kwargs)
        metrics.update(self.train_dataloader.picker.metrics())

    def _learn(self, keys: list[str]) -> None:
        """Tell the curriculum what the trajectories of these keys, `uid_session_output`, brought."""
        prompts = self.train_dataloader
        # The outputs of one session share its reward; the last one has it even where a reward model has scored.
        last: dict[tuple[str, str], str] = {}
        for key in sorted(keys, key=lambda key: int(key.rsplit("_", 1)[1])):
            uid, session, _ = key.rsplit("_", 2)
            if uid in prompts.groups:
                last[uid, session] = key
        if not last:
            return
        wanted = list(last.values())
        names = ["rm_scores", "extra_fields"] if prompts.picker.options.asks_function else ["rm_scores"]
        fields = tq.kv_batch_get(keys=wanted, partition_id=TRAIN, select_fields=names)
        info = _info(fields["extra_fields"]) if "extra_fields" in names else {}
        scores = np.array([float(score.sum()) for score in fields["rm_scores"]])
        rows = np.array([prompts.groups[_uid(key)] for key in wanted], np.int64)
        ids = prompts.picker.prompts.pool.ids[rows]
        prompts.picker.tell(rows, prompts.picker.judge(scores, info, ids))
        prompts.release({_uid(key) for key in wanted})


@register_trainer("edgewise")
class EdgewiseSync(EdgewiseMode, PPOTrainerSync):  # type: ignore[misc]
    """verl's synchronous trainer on prompts that a curriculum picks."""

    base = "sync"


@register_trainer("edgewise_colocate_async")
class EdgewiseColocateAsync(EdgewiseMode, PPOTrainerColocateAsync):  # type: ignore[misc]
    """verl's asynchronous trainer on shared GPUs, on prompts that a curriculum picks."""

    base = "colocate_async"


@register_trainer("edgewise_separate_async")
class EdgewiseSeparateAsync(EdgewiseMode, PPOTrainerSeparateAsync):  # type: ignore[misc]
    """verl's asynchronous trainer on GPUs of its own, on prompts that a curriculum picks."""

    base = "separate_async"


def _uid(key: str) -> str:
    return key.split("_")[0]


def _info(extra_fields: Any) -> dict[str, Any]:
    """What the reward function returned beside the score, by name, one entry a rollout; None where it returned nothing."""
    infos = [getattr(fields, "data", fields).get("reward_extra_info") or {} for fields in extra_fields]
    return {name: np.array([info.get(name) for info in infos]) for name in {name for info in infos for name in info}}
