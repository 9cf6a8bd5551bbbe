"""slime: a data source that asks a curriculum, and a dynamic sampling filter that tells it every finished group.

    --data-source-path edgewise.adapters.slime.CurriculumDataSource
    --dynamic-sampling-filter-path edgewise.adapters.slime.tell
    --custom-rollout-log-function-path edgewise.adapters.slime.log_rollout     # optional: metrics

For slime's own rollout function, `slime.rollout.sglang_rollout.generate_rollout`, with or without partial rollouts, in
`train.py` and `train_async.py`. Left out: rollout functions that do not call the filter, the fully asynchronous one among
them. Refill is slime's: it draws on until a rollout is full of groups that the filter keeps.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.adapters.in_flight import CurriculumChoice, InFlight
from edgewise.adapters.installed import require
from edgewise.adapters.prompts import hashes, unique_pool
from edgewise.adapters.success import Floats, outcomes, verdicts
from edgewise.checkpoint import load_state, save_state
from edgewise.errors import CheckpointError, ConfigError

require("slime")

from slime.rollout.data_source import RolloutDataSourceWithBuffer  # noqa: E402
from slime.rollout.filter_hub.base_types import DynamicFilterOutput  # noqa: E402

log = logging.getLogger("edgewise")


class CurriculumDataSource(RolloutDataSourceWithBuffer):  # type: ignore[misc]
    """slime's data source with prompts that a curriculum picks. To change a setting, subclass it:

        class Source(CurriculumDataSource):
            id_key = "id"
            success = 0.9

    Attributes:
        curriculum: name of a selector, or a method `curriculum(self, pool)` that returns a `Curriculum` over the pool.
        id_key: where in a sample's metadata its unique id stands; None: a hash of the prompt.
        category_key: where in the metadata a label stands that prompts share; None: no categories.
        success: when a rollout counts as correct: a threshold on the reward (that of `--reward-key`), or a method
            `success(self, sample)` that returns a bool. None: the reward, in [0, 1], as it is. Where one rollout has several
            samples, their mean reward counts, and `success` sees the last of them.

    Raises:
        ConfigError: arguments or a dataset that do not fit.
    """

    curriculum: CurriculumChoice = "edge"
    id_key: str | None = None
    category_key: str | None = None
    success: float | Callable[[Any], bool] | None = None

    def __init__(self, args: Any):
        super().__init__(args)
        if self.dataset is None:
            raise ConfigError(
                "a curriculum selects from a dataset: give --prompt-data, without --disable-rollout-global-dataset"
            )
        if args.dynamic_sampling_filter_path is None:
            raise ConfigError(
                "rewards reach the curriculum through the filter: add --dynamic-sampling-filter-path"
                f" {__name__}.tell (it keeps every group unless the curriculum has a gate)"
            )
        # In the order of the file, whatever --rollout-shuffle does.
        self._prompts = self.dataset.origin_samples
        if self.id_key is None:
            ids, source = hashes((sample.prompt for sample in self._prompts), "id_key"), "the hash of the prompt"
        else:
            ids, source = self._metadata(self.id_key, "id_key"), f"metadata '{self.id_key}'"
        categories = None if self.category_key is None else self._metadata(self.category_key, "category_key")
        pool = unique_pool(ids, categories, source, "name a unique id in the metadata with id_key")
        self._in_flight = InFlight(pool, self.curriculum, args.n_samples_per_prompt, args.rollout_seed)
        # The row of each group handed out, by group index; rollouts begun; groups kept in the present one.
        self._row_of: dict[int, int] = {}
        self._rollout = self._kept = 0
        self._handed_out = self._told = False
        _register(self)

    def get_samples(self, num_samples: int) -> list[list[Any]]:
        if self._handed_out and not self._told:
            raise ConfigError(
                "groups were handed out and no reward reached the curriculum: --dynamic-sampling-filter-path must be"
                f" {__name__}.tell or call it, and the rollout function must call the filter (the fully asynchronous one"
                " does not)"
            )
        if self._kept >= self.args.rollout_batch_size:
            self._end_rollout()
        groups = self._get_samples_from_buffer(num_samples)
        rows = self._in_flight.draw(num_samples - len(groups), self._rollout)
        self._handed_out = True
        return groups + [self._group(row) for row in rows.tolist()]

    def tell(self, group: list[Any]) -> bool:
        """A finished group; returns whether it trains the policy."""
        rollouts = [rollout if isinstance(rollout, list) else [rollout] for rollout in group]
        row = self._row_of.pop(_index(group), -1)
        self._told = True
        admitted = self._in_flight.report(row, self._outcomes(rollouts, row))
        self._kept += admitted
        return admitted

    def metrics(self) -> dict[str, float]:
        return self._in_flight.metrics()

    def save(self, rollout_id: int) -> None:
        super().save(rollout_id)
        self._end_rollout()
        state = {"in_flight": self._in_flight.state_dict(), "rollout": self._rollout}
        save_state(self._state_file(self.args.save, rollout_id), "slime", state)

    def load(self, rollout_id: int | None = None) -> None:
        super().load(rollout_id)
        if self.args.load is None:
            return
        path = self._state_file(self.args.load, rollout_id)
        if path.exists():
            state = load_state(path, "slime")
            self._in_flight.load_state_dict(state["in_flight"])
            self._rollout, self._kept = int(state["rollout"]), 0
        elif any(path.parent.glob(f"*_{rollout_id}.pt")):
            raise CheckpointError(
                f"{path.parent} holds rollout {rollout_id}, but no {path.name}: it was saved without a curriculum. Resume from"
                " another one, or start anew with its model"
            )

    def _end_rollout(self) -> None:
        """What is still in flight was aborted; partial rollouts wait in the buffer, the others are lost."""
        waiting = {_index(group) for group in self.buffer}
        self._row_of = {index: row for index, row in self._row_of.items() if index in waiting}
        self._in_flight.lose(sorted(set(self._in_flight.rows.tolist()) - set(self._row_of.values())))
        if self._kept:
            self._rollout += 1
        self._kept = 0

    def _group(self, row: int) -> list[Any]:
        group = [copy.deepcopy(self._prompts[row]) for _ in range(self.args.n_samples_per_prompt)]
        for sample in group:
            sample.group_index, sample.index = self.sample_group_index, self.sample_index
            self.sample_index += 1
        self._row_of[self.sample_group_index] = row
        self.sample_group_index += 1
        return group

    def _outcomes(self, rollouts: list[list[Any]], row: int) -> Floats:
        """In [0, 1], of each rollout that has a reward."""
        scored = [samples for samples in rollouts if all(sample.reward is not None for sample in samples)]
        if not scored:
            return np.empty(0)
        if callable(self.success):
            return verdicts([self.success(samples[-1]) for samples in scored], len(scored))
        rewards = [np.mean([sample.get_reward_value(self.args) for sample in samples]) for samples in scored]
        ids = self._in_flight.curriculum.pool.ids[[row] * len(scored)]
        return outcomes(np.array(rewards, np.float64), self.success, ids)

    def _metadata(self, key: str, option: str) -> list[Any]:
        for row, sample in enumerate(self._prompts):
            if key not in sample.metadata:
                raise ConfigError(
                    f"prompt {row} has no '{key}' in its metadata, which {option} names (it has"
                    f" {', '.join(sorted(sample.metadata)) or 'nothing'}); --metadata-key says which column that is"
                )
        return [sample.metadata[key] for sample in self._prompts]

    @staticmethod
    def _state_file(folder: str, rollout_id: int | None) -> Path:
        return Path(folder) / "rollout" / f"edgewise_{rollout_id}.npz"


def _index(group: list[Any]) -> int:
    """Group index of a group, which is a list of samples, or of lists where rollouts fan out into several."""
    first = group[0]
    return int((first[0] if isinstance(first, list) else first).group_index)


def tell(args: Any, samples: list[Any], **_: Any) -> DynamicFilterOutput:
    """slime's dynamic sampling filter: tells the curriculum what a group brought, and keeps it unless its gate rejects it."""
    keep = _source().tell(samples)
    return DynamicFilterOutput(keep=keep, reason=None if keep else "edgewise_gate")


def log_rollout(rollout_id: int, args: Any, samples: Any, rollout_extra_metrics: Any, rollout_time: float) -> bool:
    """slime's rollout log function: adds the curriculum's metrics to those that slime logs for the rollout."""
    rollout_extra_metrics.update({f"edgewise/{name}": value for name, value in _source().metrics().items()})
    return False


# slime calls the functions above without the data source, in the process that made it.
_sources: list[CurriculumDataSource] = []


def _register(source: CurriculumDataSource) -> None:
    _sources[:] = [source]


def _source() -> CurriculumDataSource:
    if not _sources:
        raise ConfigError(
            f"there is no curriculum yet: give --data-source-path {__name__}.CurriculumDataSource, or a subclass"
        )
    return _sources[0]


__all__ = ["CurriculumDataSource", "log_rollout", "tell"]
