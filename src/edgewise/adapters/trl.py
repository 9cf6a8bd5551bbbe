"""TRL: GRPO and RLOO on prompts that a curriculum selects just before each generation.

A trainer of TRL draws a batch of rows, generates once, and trains on the completions for `steps_per_generation` x
`num_iterations` steps. The adapter swaps the rows at the moment of generation and observes the rewards before the next one,
so beliefs never lag. Every process holds the same curriculum, sees the same gathered rewards and therefore selects the same
prompts. Left out: numbers of rollouts that differ between prompts, which TRL's groups do not allow.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import shutil
import sys
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise.adapters.features import FeatureChoice
from edgewise.adapters.installed import missing_hooks, require, versions
from edgewise.adapters.priors import PriorChoice
from edgewise.adapters.prompts import MARKS, make_pool, require_size
from edgewise.adapters.success import Floats, Rule, Success
from edgewise.allocation import Constant
from edgewise.arrays import Counts, Flags, Rows
from edgewise.batch import Batch
from edgewise.checkpoint import load_state, save_state
from edgewise.curriculum import Curriculum
from edgewise.errors import CheckpointError, ConfigError, EdgewiseError, RewardError
from edgewise.replay import Recorder

require("trl")

import torch  # noqa: E402
from accelerate.utils import gather_object  # noqa: E402
from trl import GRPOTrainer, RLOOTrainer  # noqa: E402
from trl.trainer.utils import pad  # noqa: E402

if TYPE_CHECKING:
    from trl import GRPOTrainer as _Trainer
else:
    _Trainer = object

log = logging.getLogger("edgewise")

CURRICULUM, STATE = "curriculum.npz", "edgewise.npz"
"""Files in each of the trainer's checkpoints."""
PER_STEP = {"effective_ratio", "success_rate", "rounds"}
"""Metrics of one generation, averaged between two log lines; the others are running values."""
METHODS = {
    "_generate_and_score_completions": ("inputs",),
    "_calculate_rewards": ("inputs", "prompts", "completions", "completion_ids_list"),
    "_save_checkpoint": ("model", "trial"),
    "_load_optimizer_and_scheduler": ("checkpoint",),
    "_remove_unused_columns": ("dataset", "description"),
    "_get_output_dir": ("trial",),
    "_log_completion_extra": ("column", "values"),
}
"""Hook points: methods of TRL's trainers and their arguments."""
ATTRIBUTES = (
    "reward_funcs",
    "reward_func_names",
    "reward_weights",
    "num_generations",
    "num_iterations",
    "_step",
    "_buffered_inputs",
    "_metrics",
    "_logs",
    "_tokenizer",
)
"""Attributes of TRL's trainers that are read or set."""
_IMPORTED = {"GRPOTrainer": GRPOTrainer, "RLOOTrainer": RLOOTrainer}
LEFT = {"prompt_ids", "prompt_mask"}
"""Tensors that TRL pads on the left."""


class EdgewiseMixin(_Trainer):  # type: ignore[misc]
    """Gives a GRPO or RLOO trainer a curriculum: `class Mine(EdgewiseMixin, MyGRPOTrainer)`.

    Args:
        curriculum: name of a selector, or a `Curriculum` over the prompts of `train_dataset` (`make_pool`) for a gate with
            refill (dynamic sampling), options of the selector, or a random share.
        id_column: unique ids in the dataset; None: a hash of each prompt's content, of the whole row with environments.
        category_column: labels that prompts share, for a curriculum given by name; the column `environment` by default where
            it routes prompts to several environments.
        success: correctness of a rollout: a threshold on the weighted reward; the name of the reward function that decides,
            from 0.5 on, and whose None means unknown; or a function of the rewards (rollouts, reward functions), NaN where
            a function returned None, that returns one bool a rollout, None or NaN where it is unknown. None: the reward of
            the only reward function, in [0, 1], is judged by the curriculum itself.
        trace: file to record a trace in, for `edgewise.replay`.
        priors: success rates known before the run; see `make_pool`. For a curriculum given by name.
        prior_strength: rollouts that one is worth.
        features: numbers that describe each prompt; see `make_pool`. For a curriculum given by name.

    Everything else goes to the trainer as it is.

    Raises:
        ConfigError: settings or a dataset that do not fit, before anything is generated.
    """

    def __init__(
        self,
        *args: Any,
        curriculum: Curriculum | str = "edge",
        id_column: str | None = None,
        category_column: str | None = None,
        success: Rule = None,
        trace: str | os.PathLike[str] | None = None,
        priors: PriorChoice = None,
        prior_strength: float = 4.0,
        features: FeatureChoice = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self._require_hooks()
        if not isinstance(curriculum, (Curriculum, str)):
            raise ConfigError(f"curriculum is a Curriculum or the name of a selector, got {curriculum!r}")
        self._success = Success.of_functions(success, self.reward_func_names)
        by_environment = getattr(self, "environment_factories", None) is not None
        placeholder = [[{"role": "user", "content": ""}]]
        if by_environment and list(next(iter(self.train_dataset), {}).values()) == placeholder:
            raise ConfigError(
                "the environment itself owns the data, so that there are no prompts to select from: give train_dataset one row"
                " for each of its problems, with the arguments of reset() as columns, such as a seed"
            )
        if category_column is None and isinstance(curriculum, str) and getattr(self, "_multi_environment", False):
            category_column = "environment"
        pool = make_pool(
            self.train_dataset,
            id_column,
            category_column,
            priors=priors,
            prior_strength=prior_strength,
            features=features,
            whole_row=by_environment,
        )
        if isinstance(curriculum, str):
            seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
            curriculum = Curriculum(pool, curriculum, rollouts=self.num_generations, seed=seed)
        elif not (category_column is None and priors is None and features is None):
            raise ConfigError(
                "a Curriculum brings its own categories, priors and features: give category_column=, priors= and features= to"
                " make_pool instead"
            )
        self.curriculum = curriculum
        # Row of the dataset by row of the pool.
        self._dataset_rows = pool.find(curriculum.pool.ids)
        missing = np.flatnonzero(self._dataset_rows < 0)
        if missing.size:
            raise ConfigError(
                f"the curriculum was made for another dataset: {missing.size} of its {len(curriculum.pool)} prompts, such as"
                f" {curriculum.pool.ids[missing[0]].item()!r}, are not in train_dataset (ids such as"
                f" {pool.ids[0].item()!r}); make its pool with make_pool(train_dataset, id_column=...)"
            )
        if len(pool) > len(curriculum.pool):
            log.warning("%d prompts of the dataset are not in the curriculum's pool", len(pool) - len(curriculum.pool))
        self._check_settings()
        self._dataset = self._remove_unused_columns(self.train_dataset, description="training")
        # TRL computes rewards deep inside a generation, so they are kept here until it is over: of all processes, (rollouts,
        # reward functions), and the completions' tokens, (rollouts,).
        self._rewards: Floats = np.empty((0, len(self.reward_funcs)))
        self._lengths: Counts = np.empty(0, np.int64)
        # Prompts of the generation being trained on, and those of a generation that a checkpoint cut in two.
        self._selected = self._unfinished = np.empty(0, np.int64)
        self._recorder = None
        if trace is not None and self.accelerator.is_main_process:
            self._recorder = Recorder(curriculum.pool, trace, about={"trainer": type(self).__name__}).attach(curriculum)

    def _require_hooks(self) -> None:
        """Refuse a trainer whose methods and attributes, which this adapter overrides and reads, are not what they were."""
        base = type(self).__mro__[type(self).__mro__.index(EdgewiseMixin) + 1]
        faults = missing_hooks(base, METHODS) + [f"attribute {name}" for name in ATTRIBUTES if not hasattr(self, name)]
        if faults:
            raise ConfigError(
                f"{base.__module__}.{base.__name__} lacks what the adapter builds on: {', '.join(faults)}. Versions of TRL that"
                f" work: {versions('trl')}"
            )
        for name, imported in _IMPORTED.items():
            if (
                "unsloth" in sys.modules
                and getattr(sys.modules["trl"], name) is not imported
                and isinstance(self, imported)
            ):
                raise ConfigError(
                    f"unsloth has replaced trl.{name} since edgewise.adapters.trl was imported: import unsloth first"
                )

    def _check_settings(self) -> None:
        curriculum, allocation = self.curriculum, self.curriculum.allocation
        if not isinstance(allocation, Constant) or allocation.mean != self.num_generations:
            raise ConfigError(
                f"TRL rolls out num_generations={self.num_generations} completions for every prompt:"
                f" make the curriculum with rollouts={self.num_generations}"
            )
        size = self.args.generation_batch_size // self.num_generations
        if size > len(curriculum.pool):
            raise ConfigError(f"each generation takes {size} prompts, but the pool has {len(curriculum.pool)}")
        if curriculum.gates.max_rounds == 1:
            return
        for name, value in (
            ("scale_rewards", "batch"),
            ("multi_objective_aggregation", "normalize_then_sum"),
            ("normalize_advantages", True),
        ):
            if getattr(self.args, name, None) == value:
                raise ConfigError(
                    f"{name}={value!r} normalises over the whole batch, which a gate with refill puts together from several;"
                    " choose another, or a gate with max_rounds=1"
                )
        if {"image", "images"} & set(self.train_dataset.column_names):
            raise ConfigError("refill does not handle images; take a gate with max_rounds=1, or none")

    def train(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().train(*args, **kwargs)
        finally:
            self._save_trace()

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            self._mark(None, None, slice(0, len(inputs)))
            return super()._generate_and_score_completions(inputs)
        size = len(inputs) * self.accelerator.num_processes // self.num_generations
        if len(self._unfinished):
            return self._roll_out_again(size)
        # Nothing can be in flight here, unless an exception has cut a generation short; TRL keeps no surplus.
        self.curriculum.forget()
        self.curriculum.drop_surplus()
        require_size(self.curriculum.pool, len(self._dataset_rows))
        self._make_room()
        outputs, rows, flags = [], [], []
        unscored = 0
        # Every process takes the same number of rollouts.
        multiple = self.accelerator.num_processes // math.gcd(self.accelerator.num_processes, self.num_generations)
        for batch in self.curriculum.rounds(size, multiple=multiple):
            self._require_agreement(batch)
            outputs.append(self._roll_out(batch.rows, batch))
            rows.append(batch.rows)
            admitted_part, missing = self._observe(batch)
            flags.append(admitted_part)
            unscored += missing
        admitted = np.concatenate(flags)
        # Admitted groups first; then, where the gate's rounds are exhausted, others that will not train.
        chosen = np.sort(np.argsort(~admitted, kind="stable")[:size])
        output = outputs[0] if len(outputs) == 1 else self._merge(outputs, chosen)
        self._selected = np.concatenate(rows)[chosen]
        if self.curriculum.gates.parts:
            silent = np.repeat(~admitted[chosen], self.num_generations)[self._share(size * self.num_generations)]
            output["advantages"] = output["advantages"].masked_fill(
                torch.from_numpy(silent).to(output["advantages"].device), 0.0
            )
        self._log_curriculum(unscored, padded=int((~admitted[chosen]).sum()))
        return output

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: list[Any]
    ) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if self.model.training:
            sizes = torch.tensor([len(ids) for ids in completion_ids_list], device=self.accelerator.device)
            self._lengths = self.accelerator.gather(sizes).cpu().numpy()
            self._rewards = rewards.double().cpu().numpy()
        return rewards

    def _roll_out(self, rows: Rows, batch: Batch | None) -> dict[str, Any]:
        """TRL's own generation and scoring of this process's share of the groups of `rows`, selected in `batch` if just now."""
        share = self._share(len(rows) * self.num_generations)
        self._mark(rows, batch, share)
        mine = np.repeat(self._dataset_rows[rows], self.num_generations)[share]
        distinct, which = np.unique(mine, return_inverse=True)
        examples = self._dataset.__getitems__(distinct.tolist())
        # A copy for each rollout: TRL writes into them.
        return super()._generate_and_score_completions([dict(examples[i]) for i in which])

    def _make_room(self) -> None:
        """Empty TRL's log of completions for all rounds of a generation: it holds the newest rollouts, as many as one round has."""
        if not self.args.log_completions or self.curriculum.gates.max_rounds == 1:
            return
        most = self.curriculum.gates.max_rounds * self.args.generation_batch_size

        def empty() -> deque[Any]:
            return deque(maxlen=most)

        for name, kept in self._logs.items():
            self._logs[name] = defaultdict(empty) if isinstance(kept, dict) else empty()

    def _mark(self, rows: Rows | None, batch: Batch | None, share: slice) -> None:
        """Add the prompts and what selection did to TRL's log of the completions about to be generated; None where nothing was.

        TRL fills each column by itself, so that one which is left out of a generation would no longer fit its rows.
        """
        if not self.args.log_completions:
            return
        n = share.stop - share.start

        def each(values: np.ndarray) -> list[Any]:
            return np.repeat(values, self.num_generations)[share].tolist()

        marks: list[list[Any]] = [[None] * n] * len(MARKS)
        if rows is not None:
            # As texts: beside what was not selected, the table would make floats of numbers.
            marks[0] = each(self.curriculum.pool.ids[rows].astype(str))
        if batch is not None:
            marks[1:] = [self.curriculum.method] * n, each(batch.predicted), each(batch.random)
        for name, values in zip(MARKS, marks, strict=True):
            self._log_completion_extra(name, values)

    def _share(self, rollouts: int) -> slice:
        """This process's part of so many rollouts, in the order in which TRL gathers them."""
        each, rank = rollouts // self.accelerator.num_processes, self.accelerator.process_index
        return slice(rank * each, (rank + 1) * each)

    def _require_agreement(self, batch: Batch) -> None:
        """Stop if the processes selected different prompts: their groups and beliefs would silently be wrong."""
        if self.accelerator.num_processes == 1:
            return
        digests = gather_object([hashlib.sha256(batch.rows.tobytes()).hexdigest()])
        if len(set(digests)) > 1:
            raise EdgewiseError(
                "the processes selected different prompts: build the curriculum from the same data and seed on each, and make"
                " reward and success functions give every process the same numbers"
            )

    def _observe(self, batch: Batch) -> tuple[Flags, int]:
        """Observe the rollouts of a batch; returns the groups that train, (n,), and the number of rollouts without a score."""
        rewards, k = self._rewards, self.num_generations
        if len(rewards) != len(batch) * k:
            raise RewardError(f"expected rewards of {len(batch)} groups of {k}, got {len(rewards)} in all")
        # TRL's own sum, in float32 as it is logged; where nothing was scored it is the sum of nothing. Without a rule it is the
        # only function's own reward that has to lie in [0, 1].
        weights = 1.0 if self._success.rule is None else self.reward_weights.double().cpu().numpy()
        values = np.nansum(rewards * weights, axis=1)
        known, correct = self._success.read_functions(rewards, values, np.repeat(batch.ids, k), self.reward_func_names)
        if correct is not None:
            decided = ~np.isnan(correct)
            known[known] = decided
            correct = correct[decided]
        counts = known.reshape(-1, k).sum(axis=1)
        self.curriculum.forget(batch.take(counts == 0))
        feedback = self.curriculum.observe(
            batch.take(counts > 0, counts[counts > 0]), values[known], correct=correct, lengths=self._lengths[known]
        )
        admitted = np.full(len(batch), not self.curriculum.gates.parts)
        admitted[counts > 0] = feedback.admitted
        return admitted, int((~known).sum())

    def _merge(self, outputs: list[dict[str, Any]], chosen: Rows) -> dict[str, Any]:
        """One generation output out of several: this process's share of the groups `chosen`, counted over all outputs."""
        size, processes = self.num_generations, self.accelerator.num_processes
        wanted = (chosen[:, None] * size + np.arange(size)).ravel()
        needed = set(wanted.tolist())
        # Of all processes and outputs; None where a sequence is not needed.
        sequences: list[Any] = []
        for output in outputs:
            each = len(output["advantages"])
            if "num_images" in output:
                raise ConfigError("refill does not handle images; take a gate with max_rounds=1, or none")
            first = len(sequences) + self.accelerator.process_index * each
            own = [self._sequence(output, i, processes > 1) if first + i in needed else None for i in range(each)]
            sequences += gather_object(own)
        share = [sequences[i] for i in wanted[self._share(len(wanted))].tolist()]
        merged = {name: self._stack(name, [sequence[name] for sequence in share]) for name in share[0]}
        if "num_items_in_batch" in outputs[0]:
            mask = merged["completion_mask"]
            if "tool_mask" in merged:
                mask = mask * merged["tool_mask"]
            merged["num_items_in_batch"] = self.accelerator.gather(mask.sum()).sum()
        if "max_left_pad" in merged:
            # Unsloth's: the most padding in front of a prompt, which merging has changed, one number a sequence.
            merged["max_left_pad"].fill_((merged["prompt_mask"] == 0).sum(dim=1).max())
        return merged

    @staticmethod
    def _sequence(output: dict[str, Any], i: int, travels: bool) -> dict[str, torch.Tensor]:
        values = {name: value[i] for name, value in output.items() if value.ndim}
        return {name: value.cpu().clone() for name, value in values.items()} if travels else values

    def _stack(self, name: str, values: list[torch.Tensor]) -> torch.Tensor:
        if values[0].ndim == 0:
            stacked = torch.stack(values)
        else:
            # Padded tokens are masked; 1 is the neutral element of the ratio and of the tools' mask, as in TRL.
            value = {"prompt_ids": self._tokenizer.pad_token_id, "completion_ids": self._tokenizer.pad_token_id}.get(
                name, int(name in ("tool_mask", "importance_sampling_ratio"))
            )
            stacked = pad(values, padding_value=value, padding_side="left" if name in LEFT else "right")
        return stacked.to(self.accelerator.device)

    def _log_curriculum(self, unscored: int, padded: int) -> None:
        metrics = self._metrics["train"]
        metrics["edgewise/unscored_rollouts"].append(float(unscored))
        for name, value in self.curriculum.metrics().items():
            if name in PER_STEP:
                metrics[f"edgewise/{name}"].append(value)
            else:
                metrics[f"edgewise/{name}"] = [value]
        if self.curriculum.gates.parts:
            metrics["edgewise/padded_groups"].append(float(padded))

    def _roll_out_again(self, size: int) -> dict[str, Any]:
        """A checkpoint lay between two steps on the same completions, which TRL does not save: roll out its prompts anew.

        The curriculum has observed this generation's rewards already.
        """
        rows, self._unfinished = self._unfinished, self._unfinished[:0]
        if len(rows) != size:
            raise CheckpointError(
                f"the checkpoint lies inside a generation of {len(rows)} prompts, this run generates {size}:"
                " resume it with the batch settings it was saved with"
            )
        self._selected = rows
        return self._roll_out(rows, None)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # First of all: afterwards the trainer deletes old checkpoints, and the new one has to be whole by then.
        if self.args.should_save:
            with _made(Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}") as folder:
                self.curriculum.save(folder / CURRICULUM)
                # Since the last generation began: at its end, other batch settings than these may go on.
                passes = self._step % self._passes
                state = {"backward_passes": passes, "of": self._passes}
                save_state(folder / STATE, "trl", {**state, "selected": self.curriculum.pool.ids[self._selected]})
            self._save_trace()
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        folder = Path(checkpoint)
        if not (folder / CURRICULUM).exists():
            raise CheckpointError(
                f"{folder} holds no {CURRICULUM}: it was saved without a curriculum, or cut short while it was saved."
                " Resume from another checkpoint, or start anew with it as the model"
            )
        self.curriculum.load(folder / CURRICULUM)
        state = load_state(folder / STATE, "trl")
        # TRL counts from 0 again, which would shift the moments at which it generates. The same share of a generation may be
        # another number of passes now, on other devices.
        done, of = int(state["backward_passes"]), int(state.get("of", self._passes))
        self._step, rest = divmod(done * self._passes, of)
        if rest:
            raise CheckpointError(
                f"the checkpoint lies inside a generation, after {done} of {of} backward passes on it, and this run makes"
                f" {self._passes}: resume it with the batch settings it was saved with"
            )
        # Of a run that this trainer has made before.
        self._buffered_inputs, self._unfinished = None, self._unfinished[:0]
        if self._step:
            rows = self.curriculum.pool.find(state["selected"])
            if (rows >= 0).all():
                self._unfinished = rows
            else:
                log.warning(
                    "the generation that the checkpoint cut has prompts that left the dataset: others are selected"
                )

    @property
    def _passes(self) -> int:
        """Backward passes on one generation."""
        return int(self.args.steps_per_generation * self.num_iterations)

    def _save_trace(self) -> None:
        if self._recorder is not None:
            self._recorder.save_at_checkpoint()


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """A folder, which is left behind only if nothing fails: half a checkpoint would be resumed from."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        if is_new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def hook_faults() -> list[str]:
    """Hook points that TRL's trainers lack, described; none in the versions tested."""
    return missing_hooks(GRPOTrainer, METHODS) + missing_hooks(RLOOTrainer, METHODS)


class EdgewiseGRPOTrainer(EdgewiseMixin, GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPOTrainer on selected prompts; see `EdgewiseMixin` for its arguments."""


class EdgewiseRLOOTrainer(EdgewiseMixin, RLOOTrainer):  # type: ignore[misc]
    """TRL's RLOOTrainer on selected prompts; see `EdgewiseMixin` for its arguments."""


__all__ = ["EdgewiseGRPOTrainer", "EdgewiseMixin", "EdgewiseRLOOTrainer"]
