"""Data source and dynamic sampling filter of slime and miles, whose interfaces are alike; `slime.py` and `miles.py` bind it."""

from __future__ import annotations

import copy
import inspect
import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edgewise.adapters.features import FeatureChoice
from edgewise.adapters.in_flight import CurriculumChoice, InFlight
from edgewise.adapters.priors import PriorChoice
from edgewise.adapters.prompts import digest, hashes, unique_pool
from edgewise.adapters.success import Rule, Success, number
from edgewise.arrays import Rows, whole_number
from edgewise.checkpoint import load_state, save_state
from edgewise.errors import CheckpointError, ConfigError, RewardError

log = logging.getLogger("edgewise")
_Base: Any = object
if TYPE_CHECKING:
    _Base = Any

PATIENCE = 16
"""Rollouts after which a group of a fully asynchronous run is forgotten."""


class CurriculumSource(_Base):  # type: ignore[misc]
    """Data source with selected prompts. To change a setting, subclass the trainer's `CurriculumDataSource`:

        class Source(CurriculumDataSource):
            id_key = "id"
            success = 0.9

    Attributes:
        curriculum: name of a selector, or a method `curriculum(self, pool)` that returns a `Curriculum` over the pool.
        id_key: key of the unique id in a sample's metadata; None: a hash of the prompt.
        category_key: key in the metadata of a label that prompts share; None: no categories.
        priors: success rates known before the run: a key in the metadata, a JSON file of `edgewise fit --priors`, or rates by
            id; None: none.
        prior_strength: rollouts that a known rate is worth.
        features: numbers that describe each prompt, such as the log-likelihood of its answer: a key in the metadata, a JSON
            file of `edgewise features`, or numbers by id; None: none.
        success: correctness of a rollout: a threshold on the reward (that of `--reward-key`), the key of an entry of a reward
            that is a dict, or a method `success(self, sample)` that returns a bool, or None where it is unknown. None: the
            reward, in [0, 1], as it is. Where one rollout has several samples, their mean reward counts, and `success` sees
            the last of them.
        patience: rollouts after which a group that has not come back is forgotten; None: 16 in fully asynchronous runs, and 0
            in others, which abort at the end of a rollout what is unfinished. A late group is still evidence.
        keep_when_insufficient: whether the trainer may fill a rollout with groups that the gates reject (slime#2250); it
            needs the log function, which marks the end of such a rollout.
        oversample: whether a request of groups is answered with as many as are expected to fill the rollout, by
            `Curriculum.oversampling`, instead of `--over-sampling-batch-size`. Not in fully asynchronous runs, which request
            one group at a time.

    Raises:
        ConfigError: arguments or a dataset that do not fit.
    """

    curriculum: CurriculumChoice = "edge"
    id_key: str | None = None
    category_key: str | None = None
    priors: PriorChoice = None
    prior_strength: float = 4.0
    features: FeatureChoice = None
    success: Rule = None
    patience: int | None = None
    keep_when_insufficient: bool = False
    oversample: bool = False
    trainer: ClassVar[str]
    filters_asynchronously: ClassVar[bool]
    """Whether every version's fully asynchronous rollout calls the filter."""
    fills: ClassVar[bool]
    """Whether the filter of the installed version can offer a rejected group to fill a rollout."""
    current: ClassVar[CurriculumSource | None] = None
    """The data source of this process: the trainer calls the filter without it."""

    def __init__(self, args: Any):
        super().__init__(args)
        module = f"edgewise.adapters.{self.trainer}"
        if self.dataset is None:
            raise ConfigError(
                "a curriculum selects from a dataset: give --prompt-data, without --disable-rollout-global-dataset"
            )
        if args.dynamic_sampling_filter_path is None:
            raise ConfigError(
                f"rewards reach the curriculum through the filter: add --dynamic-sampling-filter-path {module}.observe (it"
                " keeps every group unless the curriculum has a gate)"
            )
        self._is_asynchronous = asynchronous = _is_asynchronous(args)
        if asynchronous and not self.filters_asynchronously and args.custom_rollout_log_function_path is None:
            raise ConfigError(
                "some versions' fully asynchronous rollout does not call the filter: add --custom-rollout-log-function-path"
                f" {module}.log_rollout, which observes the groups that the filter has not seen"
            )
        if self.keep_when_insufficient and not self.fills:
            raise ConfigError(
                f"this version of {self.trainer} drops every group that its filter rejects: leave keep_when_insufficient out"
            )
        if self.keep_when_insufficient and args.custom_rollout_log_function_path is None:
            raise ConfigError(
                "keep_when_insufficient ends rollouts with groups that the gates reject, which the filter cannot count: add"
                f" --custom-rollout-log-function-path {module}.log_rollout, which marks the end of each"
            )
        for name in ("curriculum", "success"):
            _require_method(self, name)
        # In the order of the file, whatever --rollout-shuffle does.
        self._prompts = self.dataset.origin_samples
        if self.id_key is None:
            ids, source = hashes((sample.prompt for sample in self._prompts), "id_key"), "the hash of the prompt"
        else:
            ids, source = self._metadata(self.id_key, "id_key"), f"metadata '{self.id_key}'"
        categories = None if self.category_key is None else self._metadata(self.category_key, "category_key")
        hint = "name a unique id in the metadata with id_key"
        pool = unique_pool(
            ids,
            categories,
            source,
            hint,
            priors=self.priors,
            prior_strength=self.prior_strength,
            features=self.features,
            column=self._metadata,
        )
        self._in_flight = InFlight(pool, self.curriculum, args.n_samples_per_prompt, seed=args.rollout_seed)
        self._success = Success(self.success, names=None)
        if self._in_flight.curriculum.gates.parts and getattr(args, "async_unused_samples_handler", None) == "retry":
            raise ConfigError(
                "--async-unused-samples-handler retry generates stale groups anew that the gates have judged already, and they"
                " judge no group twice: leave it at drop"
            )
        patience = (PATIENCE if asynchronous else 0) if self.patience is None else self.patience
        self._patience = whole_number("patience", patience, 0, ConfigError)
        # Rollouts begun, and groups kept in the present one; whether the log function marks the end of each.
        self._rollout = self._kept = 0
        needed = asynchronous or self.keep_when_insufficient
        self._is_logged = needed and args.custom_rollout_log_function_path is not None
        # Groups that have to come back before a silent filter is a fault: what every mode keeps in flight, several times.
        size = max(args.rollout_batch_size, getattr(args, "over_sampling_batch_size", None) or 0)
        self._silence = 4 * size + (2 * _concurrency(args) if asynchronous else 0)
        self._served, self._has_results = 0, False
        # Row of the prompt by the index of its group: rollouts may write over the prompt and the metadata of their samples.
        self._rows: dict[int, int] = {}
        # Group indices that the filter has seen and the log function has not yet: a rejected group may come back too.
        self._filtered: dict[int, None] = {}
        self._guard = threading.RLock()
        next(
            c for c in type(self).__mro__ if issubclass(c, CurriculumSource) and CurriculumSource in c.__bases__
        ).current = self

    def get_samples(self, num_samples: int) -> list[list[Any]]:
        with self._guard:
            if not self._has_results and self._served > self._silence:
                raise ConfigError(
                    f"{self._served} groups were selected and no reward reached the curriculum:"
                    f" --dynamic-sampling-filter-path must be edgewise.adapters.{self.trainer}.observe or call it; where the"
                    " rollout function does not call the filter, --custom-rollout-log-function-path must be or call"
                    f" edgewise.adapters.{self.trainer}.log_rollout"
                )
            if not self._is_logged and self._kept >= self.args.rollout_batch_size:
                self._end_rollout()
            if self.oversample and not self._is_asynchronous:
                num_samples = self._expected_need(num_samples)
            groups: list[list[Any]] = self._get_samples_from_buffer(num_samples)
            rows = self._in_flight.select(num_samples - len(groups), self._rollout)
            self._served += num_samples
            return groups + [self._group(row) for row in rows.tolist()]

    def _expected_need(self, asked: int) -> int:
        """Groups to begin so that, with those in flight, as many are expected to be kept as the rollout still lacks."""
        curriculum = self._in_flight.curriculum
        lacking = self.args.rollout_batch_size - self._kept
        guess = curriculum.oversampling(max(lacking, 1))
        if not guess.groups:
            return asked
        waiting, buffered = len(curriculum.in_flight), len(self.buffer)
        return min(max(guess.prompts - (waiting - buffered), 1), curriculum.available + buffered)

    def add_samples(self, samples: list[list[Any]]) -> None:
        with self._guard:
            super().add_samples(samples)

    def observe(self, group: list[Any]) -> bool:
        """Take in a finished group; returns whether it trains the policy."""
        with self._guard:
            admitted, first = self._observe(group), _first(group)
            self._kept += admitted
            if first is not None:
                self._filtered[first.group_index] = None
                self._forget_oldest(self._filtered)
            return admitted

    def end_rollout(self, samples: Iterable[Any]) -> dict[str, float]:
        """Observe those groups of a finished rollout that the filter has not seen, and move the clock; returns metrics."""
        groups: dict[int, list[Any]] = {}
        for sample in _flat(samples):
            groups.setdefault(sample.group_index, []).append(sample)
        with self._guard:
            for index, group in groups.items():
                if self._filtered.pop(index, groups) is groups:
                    self._observe(group)
            metrics = self.metrics()
            self._is_logged, self._kept = True, max(self._kept, 1)
            self._end_rollout()
            return metrics

    def metrics(self) -> dict[str, float]:
        return self._in_flight.metrics()

    def save(self, rollout_id: int) -> None:
        with self._guard:
            super().save(rollout_id)
            if not self._is_logged:
                self._end_rollout()
            save_state(self._state_file(self.args.save, rollout_id), self.trainer, self._state())

    def load(self, rollout_id: int | None = None) -> None:
        super().load(rollout_id)
        if self.args.load is None:
            return
        path = self._state_file(self.args.load, rollout_id)
        if path.exists():
            self._restore(load_state(path, self.trainer))
        elif any(path.parent.glob(f"*_{rollout_id}.pt")):
            raise CheckpointError(
                f"{path.parent} holds rollout {rollout_id}, but no {path.name}: it was saved without a curriculum. Resume from"
                " another one, or start anew with its model"
            )

    def state_dict(self) -> dict[str, Any]:
        """For versions whose data sources are saved in this way."""
        with self._guard:
            return {**super().state_dict(), "edgewise": self._state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({name: value for name, value in state.items() if name != "edgewise"})
        self._restore(state.get("edgewise", {"in_flight": {}}))

    def _state(self) -> dict[str, Any]:
        return {"in_flight": self._in_flight.state_dict(), "rollout": self._rollout, "kept": self._kept}

    def _restore(self, state: dict[str, Any]) -> None:
        with self._guard:
            self._rows.clear()
            # What is in the buffer, where that is saved, comes from there.
            self._in_flight.load_state_dict(state["in_flight"], waiting=self._buffered())
            self._rollout, self._kept = int(state["rollout"]), int(state["kept"])

    def _end_rollout(self) -> None:
        """The next rollout begins if groups were kept; what is overdue, other than partial rollouts in the buffer, is lost."""
        if self._kept:
            self._rollout, self._kept = self._rollout + 1, 0
        self._in_flight.advance(self._rollout)
        overdue = self._in_flight.curriculum.stale(self._patience + 1).rows
        self._in_flight.forget(np.setdiff1d(overdue, self._buffered()))

    def _buffered(self) -> Rows:
        firsts = [_first(group) for group in self.buffer]
        rows = [self._rows[first.group_index] for first in firsts if first.group_index in self._rows]
        ids = [self._id(first) for first in firsts if first.group_index not in self._rows]
        found = self._in_flight.pool.find(np.array(ids)) if ids else np.empty(0, np.int64)
        return np.concatenate([np.array(rows, np.int64), found[found >= 0]])

    def _id(self, sample: Any) -> Any:
        return digest(sample.prompt) if self.id_key is None else (sample.metadata or {}).get(self.id_key, "")

    def _group(self, row: int) -> list[Any]:
        group = [copy.deepcopy(self._prompts[row]) for _ in range(self.args.n_samples_per_prompt)]
        for sample in group:
            sample.group_index, sample.index = self.sample_group_index, self.sample_index
            self.sample_index += 1
        self._rows[self.sample_group_index] = row
        self._forget_oldest(self._rows)
        self.sample_group_index += 1
        return group

    def _forget_oldest(self, groups: dict[int, Any]) -> None:
        while len(groups) > 8 * self._silence:
            del groups[next(iter(groups))]

    def _observe(self, group: list[Any]) -> bool:
        self._has_results = True
        first = _first(group)
        if first is None:
            log.warning("a group without samples: it changes no belief, and its prompt is forgotten when it is overdue")
            return False
        known = self._rows.pop(first.group_index, None)
        row = self._in_flight.row_of(self._id(first)) if known is None else known
        if row < 0:
            return not self._in_flight.curriculum.gates.parts
        rollouts = [rollout if isinstance(rollout, list) else [rollout] for rollout in group]
        scored = [samples for samples in rollouts if samples and all(sample.reward is not None for sample in samples)]
        last = [samples[-1] for samples in scored]
        return self._in_flight.observe_group(
            row,
            [float(np.mean([self._reward(sample, row) for sample in samples])) for samples in scored],
            self._success,
            [[getattr(sample, "response_length", None) for sample in samples] for samples in scored],
            evaluate=lambda rule: [rule(sample) for sample in last],
            score=lambda name: [self._entry(sample, name, row) for sample in last],
        )

    def _reward(self, sample: Any, row: int) -> float:
        try:
            reward = sample.get_reward_value(self.args)
        except (TypeError, KeyError):
            reward = sample.reward
        hint = f"--reward-key is {self.args.reward_key!r}: name the entry that is one with --reward-key"
        return number(reward, self._in_flight.pool.ids[row].item(), hint)

    def _entry(self, sample: Any, name: str, row: int) -> Any:
        if not isinstance(sample.reward, dict):
            raise RewardError(
                f"prompt {self._in_flight.pool.ids[row].item()!r} has the reward {sample.reward!r:.100}, which is no dict:"
                f" success='{name}' names an entry of one"
            )
        return sample.reward.get(name)

    def _metadata(self, key: str, option: str) -> list[Any]:
        for row, sample in enumerate(self._prompts):
            if not isinstance(sample.metadata, dict):
                raise ConfigError(
                    f"prompt {row} has the metadata {sample.metadata!r:.60}, a {type(sample.metadata).__name__}: {option} names a key"
                    " of a dict, which the column of --metadata-key has to hold"
                )
            if key not in sample.metadata:
                raise ConfigError(
                    f"prompt {row} has no '{key}' in its metadata, which {option} names (it has"
                    f" {', '.join(sorted(sample.metadata)) or 'nothing'}); --metadata-key says which column that is"
                )
        return [sample.metadata[key] for sample in self._prompts]

    @staticmethod
    def _state_file(folder: str, rollout_id: int | None) -> Path:
        return Path(folder) / "rollout" / f"edgewise_{rollout_id}.npz"


def make_hooks(
    source: type[CurriculumSource], output: Callable[..., Any]
) -> tuple[Callable[..., Any], Callable[..., bool]]:
    """The trainer's dynamic sampling filter and rollout log function; `output` is its `DynamicFilterOutput`."""
    source.fills = "keep_when_insufficient" in inspect.signature(output).parameters

    def made() -> CurriculumSource:
        if source.current is None:
            raise ConfigError(
                f"there is no curriculum yet: give --data-source-path {source.__module__}.{source.__name__}, or a subclass"
            )
        return source.current

    def observe(args: Any, samples: list[Any], **_: Any) -> Any:
        """Dynamic sampling filter: the curriculum observes the group, and its gates decide whether it is kept."""
        keep = made().observe(samples)
        fallback = {"keep_when_insufficient": True} if made().keep_when_insufficient and not keep else {}
        return output(keep=keep, reason=None if keep else "edgewise_gate", **fallback)

    def log_rollout(rollout_id: int, args: Any, samples: Any, rollout_extra_metrics: Any, rollout_time: float) -> bool:
        """Rollout log function: observes what no filter has seen, and adds the curriculum's metrics to the rollout's."""
        metrics = made().end_rollout(samples)
        if rollout_extra_metrics is not None:
            rollout_extra_metrics.update({f"edgewise/{name}": value for name, value in metrics.items()})
        return False

    return observe, log_rollout


def _flat(samples: Any) -> Iterable[Any]:
    for sample in samples:
        if isinstance(sample, list):
            yield from _flat(sample)
        else:
            yield sample


def _first(group: list[Any]) -> Any:
    """First sample of a group, which is a list of samples, or of lists where rollouts fan out into several; None without any."""
    return next(iter(_flat(group)), None)


def _require_method(source: Any, name: str) -> None:
    """Refuse a function in the place of a setting that does not take the data source before its one argument."""
    rule = getattr(source, name)
    if inspect.ismethod(rule):
        try:
            inspect.signature(rule).bind(None)
        except TypeError as error:
            argument = {"curriculum": "pool", "success": "sample"}[name]
            raise ConfigError(f"{name} in a data source is a method, def {name}(self, {argument}): {error}") from error


def _is_asynchronous(args: Any) -> bool:
    path = str(getattr(args, "rollout_function_path", None) or "").lower().replace("_", "")
    return bool(getattr(args, "fully_async", False)) or "fullyasync" in path


def _concurrency(args: Any) -> int:
    """Groups that a fully asynchronous worker keeps in flight at most."""
    engines = max(
        (getattr(args, "rollout_num_gpus", 0) or 0) // (getattr(args, "rollout_num_gpus_per_engine", 0) or 1), 1
    )
    return (getattr(args, "sglang_server_concurrency", 0) or 0) * engines
