"""verl's v1 trainer: modes with selected prompts. verl loads this module itself, by the entry point `verl.plugins`.

`trainer.v1.trainer_mode=edgewise` is verl's `sync` trainer on selected prompts; `edgewise_colocate_async` and
`edgewise_separate_async` are its asynchronous ones, which read their settings where they always do
(`trainer.v1.colocate_async`, ...). Prompts are selected when a step is submitted. A group is observed when it is trained on,
or when the replay buffer drops it, because it is stale or filtered: these were rolled out as well.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import transfer_queue as tq
from verl.trainer.ppo.v1 import (
    PPOTrainerColocateAsync,
    PPOTrainerSeparateAsync,
    PPOTrainerSync,
    register_trainer,
)
from verl.utils.dataset.rl_dataset import collate_fn

from edgewise.adapters.in_flight import total_lengths
from edgewise.adapters.prompts import MARKS
from edgewise.adapters.verl.selection import Selection
from edgewise.allocation import Constant
from edgewise.arrays import Rows
from edgewise.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from verl.trainer.ppo.v1 import PPOTrainer as _Trainer
else:
    _Trainer = object

TRAIN = "train"
"""Partition of the TransferQueue."""
ROLLOUTS = "__rollout_n__"
"""Column of a row in which verl's agent loops look for a number of rollouts of its own."""


class SelectedPrompts:
    """Replacement of verl's dataloader: an endless iterator over batches of selected rows, whose state goes to `data.pt`.

    Args:
        dataset: `RLHFDataset` or derived from it.
        data_config: the `data` section of verl's config, attached to the whole of it.
        marked: keep what selection did for verl's log of rollouts, which takes it with `take_marks`.
    """

    def __init__(self, dataset: Any, data_config: Any, marked: bool = False):
        self.dataset = dataset
        self.selection = Selection(dataset, data_config, varied=True)
        self.batch_size = int(data_config.get("gen_batch_size", None) or data_config.train_batch_size)
        self.restored = False
        # Row of the prompt by the uid that verl gave its group.
        self.groups: dict[str, int] = {}
        # Id of the prompt, predicted success rate and whether it was drawn at random, by uid.
        self.marked, self.marks = marked, dict[str, tuple[str, float | None, bool | None]]()
        self._queue = self._last = np.empty(0, np.int64)

    def select(self, n: int, step: int) -> None:
        """Select the n prompts that are fetched next, in verl's global step `step`."""
        self._queue = np.concatenate([self._queue, self.selection.select(n, step)])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        if len(self._queue) < self.batch_size:
            raise ConfigError("prompts are fetched that were not selected: this verl submits steps in another way")
        self._last, self._queue = self._queue[: self.batch_size], self._queue[self.batch_size :]
        items = [self.dataset[row] for row in self._last.tolist()]
        if not isinstance(self.selection.curriculum.allocation, Constant):
            counts = self.selection.curriculum.batch(rows=self._last).rollouts
            items = [{**item, ROLLOUTS: int(count)} for item, count in zip(items, counts, strict=True)]
        return collate_fn(items)

    def name_last(self, uids: list[str]) -> None:
        """The uids that verl gave the groups fetched last."""
        self.groups.update(zip(uids, self._last.tolist(), strict=True))
        if self.marked:
            selected = self.selection.curriculum.batch(rows=self._last)
            values = zip(self._ids(self._last), selected.predicted.tolist(), selected.random.tolist(), strict=True)
            self.marks.update(zip(uids, values, strict=True))

    def _ids(self, rows: Rows) -> list[str]:
        """Ids as texts, by which `edgewise fit --priors` names prompts."""
        return [str(identifier) for identifier in self.selection.pool.ids[rows].tolist()]

    def take_marks(self, uids: list[str]) -> dict[str, list[Any]]:
        """The prompt and what selection did, as columns beside rollouts of these groups; None for what was not done here.

        What is known of groups that are over is dropped.
        """
        found = [self.marks.get(uid, (None, None, None)) for uid in uids]
        self.marks = {uid: mark for uid, mark in self.marks.items() if uid in self.groups}
        method = self.selection.curriculum.method
        ids, predicted, random = (list(column) for column in zip(*found, strict=True))
        values = (ids, [method if p is not None else None for p in predicted], predicted, random)
        return dict(zip(MARKS, values, strict=True))

    def take(self, uids: set[str]) -> Rows:
        """Rows of groups that are over; those of them that were fetched here."""
        return np.array([self.groups.pop(uid) for uid in sorted(uids & self.groups.keys())], np.int64)

    def state_dict(self) -> dict[str, Any]:
        uids = list(self.groups)
        rows = np.array([self.groups[uid] for uid in uids], np.int64)
        return {**self.selection.state_dict(), "uids": uids, "prompts": self.selection.pool.ids[rows]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # verl restores the groups in flight with its queue.
        self.selection.load_state_dict(state, waiting=np.arange(len(self.selection.pool)))
        rows = self.selection.pool.find(state["prompts"]) if state["uids"] else np.empty(0, np.int64)
        self.groups = {uid: row for uid, row in zip(state["uids"], rows.tolist(), strict=True) if row >= 0}
        if self.marked:
            ids = self._ids(np.array(list(self.groups.values()), np.int64))
            self.marks = {uid: (name, None, None) for uid, name in zip(self.groups, ids, strict=True)}
        self.restored = True


class EdgewiseMode(_Trainer):  # type: ignore[misc]
    """Gives a v1 trainer a curriculum: `class Mine(EdgewiseMode, MyTrainer)`, registered by `register_trainer`.

    Raises:
        ConfigError: options, ids or a batch size that do not fit, before any worker is started.
    """

    base: ClassVar[str]
    """verl's own trainer mode underneath."""

    def __init__(self, config: Any):
        # verl compares the mode with `sync` in many places.
        config.trainer.v1.trainer_mode = self.base
        super().__init__(config)
        self._watch(self.replay_buffer)

    def _watch(self, buffer: Any) -> None:
        """Observe groups before the buffer drops them."""
        if not hasattr(buffer, "_clear_groups"):
            raise ConfigError(
                f"trainer.v1.sampler.custom_sampler is {type(buffer).__name__}, which throws groups away unseen: derive it from"
                " verl's ReplayBuffer"
            )
        clear = buffer._clear_groups

        def observe_and_clear(partition_id: str, uids: set[str]) -> None:
            # A reward model on the trainer's own GPUs scores only what is trained on.
            if partition_id == TRAIN and self.reward_loop_manager.reward_loop_worker_handles is not None:
                items = buffer.partitions[TRAIN].items()
                self._observe({key: tag for key, tag in items if _uid(key) in uids})
            clear(partition_id, uids)

        buffer._clear_groups = observe_and_clear

    def _init_dataloader(self) -> None:
        super()._init_dataloader()
        logged = self.config.trainer.get("rollout_data_dir", None)
        self.train_dataloader = SelectedPrompts(self.train_dataset, self.config.data, marked=bool(logged))
        # Dynamic sampling of the synchronous trainer fetches more while a batch waits: by chance, and perhaps after hours.
        metric = getattr(self.replay_buffer, "filter_groups_metric", None)
        if self.base == "sync" and metric is not None:
            size = self.config.data.train_batch_size
            most, prompts = size * (1 + self.replay_buffer.max_inflight_gen_batches), len(self.train_dataset)
            if most > prompts:
                raise ConfigError(
                    f"dynamic sampling (algorithm.filter_groups) keeps up to {most} prompts in flight at data.train_batch_size={size},"
                    f" but the dataset has {prompts}: take smaller batches, or more prompts"
                )

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.global_steps and not self.train_dataloader.restored:
            raise CheckpointError(
                f"the checkpoint of step {self.global_steps} holds no data.pt, and so no curriculum: resume from another one,"
                " or start anew with its model"
            )

    def _next_train_batch(self, num_prompts: int | None = None) -> Any:
        self.train_dataloader.select(num_prompts or self.config.data.train_batch_size, self.global_steps)
        return super()._next_train_batch(num_prompts)

    def _fetch_one_gen_batch(self) -> Any:
        batch = super()._fetch_one_gen_batch()
        self.train_dataloader.name_last(list(batch["uid"]))
        return batch

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        # Rewards are complete here. Padding repeats rollouts of other groups, or has none.
        tags = dict(zip(batch.keys, batch.tags, strict=True))
        self._observe({key: tag for key, tag in tags.items() if not tag.get("is_padding", False)})
        # A group that is neither here nor in the queue has failed before anything was generated.
        prompts = (tq.kv_list(TRAIN) or {}).get(TRAIN, {})
        alive = {key for key, tag in prompts.items() if tag.get("is_prompt", False)}
        self.train_dataloader.selection.forget(self.train_dataloader.take(self.train_dataloader.groups.keys() - alive))
        return super()._compute_advantage(batch, metrics)

    def _compute_metrics(self, batch: Any, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super()._compute_metrics(batch, metrics, *args, **kwargs)
        metrics.update(self.train_dataloader.selection.metrics())

    def _dump_generations(
        self, inputs: Any, outputs: Any, gts: Any, scores: Any, reward_extra_infos_dict: dict[str, Any], dump_path: Any
    ) -> None:
        keys = reward_extra_infos_dict.get("uid")
        if keys is not None and dump_path == self.config.trainer.get("rollout_data_dir", None):
            marks = self.train_dataloader.take_marks([_uid(key) for key in keys])
            reward_extra_infos_dict = {**reward_extra_infos_dict, **marks}
        super()._dump_generations(inputs, outputs, gts, scores, reward_extra_infos_dict, dump_path)

    def _observe(self, tags: dict[str, dict[str, Any]]) -> None:
        """Observe the trajectories of these keys, `uid_session_output`, given with their tags."""
        prompts, selection = self.train_dataloader, self.train_dataloader.selection
        # The outputs of one session share its reward; the last one has it even where a reward model has scored.
        sessions: dict[tuple[str, str], list[str]] = {}
        for key in sorted(tags, key=lambda key: int(key.rsplit("_", 1)[1])):
            if _uid(key) in prompts.groups:
                sessions.setdefault((_uid(key), key.rsplit("_", 2)[1]), []).append(key)
        if not sessions:
            return
        last = [keys[-1] for keys in sessions.values()]
        names = ["rm_scores", "extra_fields"] if selection.success.needs_more else ["rm_scores"]
        fields = tq.kv_batch_get(keys=last, partition_id=TRAIN, select_fields=names)
        info = _info(fields["extra_fields"]) if "extra_fields" in names else {}
        scores = np.array([float(score.sum()) for score in fields["rm_scores"]])
        sizes = [[tags[key].get("response_len") for key in keys] for keys in sessions.values()]
        lengths = total_lengths(sizes)
        rows = np.array([prompts.groups[_uid(key)] for key in last], np.int64)
        selection.observe_scores(rows, scores, info, lengths)
        prompts.take({_uid(key) for key in last})


@register_trainer("edgewise")
class EdgewiseSync(EdgewiseMode, PPOTrainerSync):  # type: ignore[misc]
    """verl's synchronous trainer on selected prompts."""

    base = "sync"


@register_trainer("edgewise_colocate_async")
class EdgewiseColocateAsync(EdgewiseMode, PPOTrainerColocateAsync):  # type: ignore[misc]
    """verl's asynchronous trainer on shared GPUs, on selected prompts."""

    base = "colocate_async"


@register_trainer("edgewise_separate_async")
class EdgewiseSeparateAsync(EdgewiseMode, PPOTrainerSeparateAsync):  # type: ignore[misc]
    """verl's asynchronous trainer on GPUs of its own, on selected prompts."""

    base = "separate_async"


def _uid(key: str) -> str:
    return key.split("_")[0]


def _info(extra_fields: Any) -> dict[str, Any]:
    """Entries that the reward function returned beside the score, by name, one a rollout; None where there is none."""
    infos = [(getattr(fields, "data", fields) or {}).get("reward_extra_info") or {} for fields in extra_fields]
    names = {name for info in infos for name in info}
    return {name: _column([info.get(name) for info in infos]) for name in names}


def _column(values: list[Any]) -> npt.NDArray[Any]:
    with contextlib.suppress(ValueError):  # lists of several lengths: not what `success` reads, but no reason to stop
        array = np.array(values)
        # Beside a text, numpy makes texts of numbers and of what is missing.
        if array.dtype.kind != "U" or all(isinstance(value, str) for value in values):
            return array
    return np.fromiter(values, object, len(values))
