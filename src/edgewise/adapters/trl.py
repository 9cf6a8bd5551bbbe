"""TRL: GRPO and RLOO on prompts that a curriculum picks just before each generation.

A trainer of TRL draws a batch of rows, generates once, and trains on the completions for `steps_per_generation` x
`num_iterations` steps. The adapter swaps the rows at the moment of generation and tells the curriculum the rewards before
the next one, so beliefs never lag. Every process holds the same curriculum, sees the same gathered rewards and therefore
picks the same prompts. Left out: numbers of rollouts that differ between prompts, which TRL's groups do not allow.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgewise.adapters.installed import require
from edgewise.adapters.prompts import make_pool
from edgewise.adapters.success import outcomes, verdicts
from edgewise.allocation import Constant
from edgewise.checkpoint import load_state, save_state
from edgewise.curriculum import Batch, Curriculum
from edgewise.errors import CheckpointError, ConfigError, EdgewiseError, RewardError
from edgewise.pool import Rows
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

Success = float | Callable[[npt.NDArray[np.float64]], Any]
log = logging.getLogger("edgewise")

CURRICULUM, STATE = "curriculum.npz", "edgewise.npz"
"""Files in each of the trainer's checkpoints."""
PER_STEP = {"effective_ratio", "success_rate", "rounds"}
"""Metrics of one generation, averaged between two log lines; the others are running values."""
LEFT = {"prompt_ids", "prompt_mask"}
"""What TRL pads on the left."""


class EdgewiseMixin(_Trainer):  # type: ignore[misc]
    """Gives a GRPO or RLOO trainer a curriculum: `class Mine(EdgewiseMixin, MyGRPOTrainer)`.

    Args:
        curriculum: name of a selector, or a `Curriculum` over the prompts of `train_dataset` (`make_pool`) for a gate with
            refill (dynamic sampling), options of the selector, or a probe.
        id_column: unique ids in the dataset; None: a hash of each prompt's content.
        category_column: labels that prompts share, for a curriculum given by name.
        success: when a rollout counts as correct: from this weighted reward on, or a function of the rewards
            (rollouts, reward functions), NaN where a function returned None, that returns one bool a rollout. None: the
            reward of the only reward function, in [0, 1], is judged by the curriculum itself.
        trace: file to record a trace in, for `edgewise.replay`.

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
        success: Success | None = None,
        trace: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        if not isinstance(curriculum, (Curriculum, str)):
            raise ConfigError(f"curriculum is a Curriculum or the name of a selector, got {curriculum!r}")
        if success is None and len(self.reward_funcs) > 1:
            raise ConfigError(
                f"{len(self.reward_funcs)} reward functions: say when a rollout is correct with success=, as a threshold on"
                " the weighted reward or a function such as `lambda rewards: rewards[:, 0] > 0.5`"
            )
        pool = make_pool(self.train_dataset, id_column, category_column)
        if isinstance(curriculum, str):
            seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
            curriculum = Curriculum(pool, curriculum, rollouts=self.num_generations, seed=seed)
        elif category_column is not None:
            raise ConfigError("a Curriculum brings its own categories: give category_column= to make_pool instead")
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
        self._success = success
        self._dataset = self._remove_unused_columns(self.train_dataset, description="training")
        self._rewards: npt.NDArray[np.float64] = np.empty((0, len(self.reward_funcs)))
        # Prompts of the generation being trained on, and those of a generation that a checkpoint cut in two.
        self._picked = self._unfinished = np.empty(0, np.int64)
        self._recorder = None
        if trace is not None and self.accelerator.is_main_process:
            self._recorder = Recorder(curriculum.pool, trace, about={"trainer": type(self).__name__})
        self._recorded = False

    def _check_settings(self) -> None:
        curriculum, gate = self.curriculum, self.curriculum.gate
        allocation = curriculum.allocation
        if not isinstance(allocation, Constant) or allocation.mean != self.num_generations:
            raise ConfigError(
                f"TRL rolls out num_generations={self.num_generations} completions for every prompt:"
                f" make the curriculum with rollouts={self.num_generations}"
            )
        size = self.args.generation_batch_size // self.num_generations
        if size > len(curriculum.pool):
            raise ConfigError(f"each generation takes {size} prompts, but the pool has {len(curriculum.pool)}")
        if gate is None or gate.max_rounds == 1:
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
        result = super().train(*args, **kwargs)
        self._save_trace()
        return result

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return super()._generate_and_score_completions(inputs)
        size = len(inputs) * self.accelerator.num_processes // self.num_generations
        if len(self._unfinished):
            return self._again(size)
        # Nothing can be in flight here, unless an exception has cut a generation short.
        self.curriculum.forget()
        batches: list[Batch] = []
        outputs, verdicts = [], []
        missing, unscored = size, 0
        while missing:
            # Every process takes the same number of rollouts.
            multiple = self.accelerator.num_processes // math.gcd(self.accelerator.num_processes, self.num_generations)
            batch = self.curriculum.select(-(-missing // multiple) * multiple)
            self._agree(batch)
            batches.append(batch)
            outputs.append(self._roll_out(batch.rows))
            values, scored = self._outcomes(batch)
            admitted, missing = self._observe(batch, values, scored)
            verdicts.append(admitted)
            unscored += int((~scored).sum())
        self.curriculum.drop_surplus()
        admitted = np.concatenate(verdicts)
        # Admitted groups first; then, where the gate's rounds are exhausted, others that will not train.
        chosen = np.sort(np.argsort(~admitted, kind="stable")[:size])
        output = outputs[0] if len(outputs) == 1 else self._merge(outputs, chosen)
        self._picked = np.concatenate([batch.rows for batch in batches])[chosen]
        if self.curriculum.gate is not None:
            silent = np.repeat(~admitted[chosen], self.num_generations)[self._share(size * self.num_generations)]
            output["advantages"] = output["advantages"].masked_fill(
                torch.from_numpy(silent).to(output["advantages"].device), 0.0
            )
        self._log_curriculum(unscored, padded=int((~admitted[chosen]).sum()))
        return output

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        rewards = super()._calculate_rewards(*args, **kwargs)
        self._rewards = rewards.double().cpu().numpy()
        return rewards

    def _roll_out(self, rows: Rows) -> dict[str, Any]:
        """TRL's own generation and scoring of this process's share of the groups of `rows`."""
        share = self._share(len(rows) * self.num_generations)
        mine = np.repeat(self._dataset_rows[rows], self.num_generations)[share]
        distinct, which = np.unique(mine, return_inverse=True)
        examples = self._dataset.__getitems__(distinct.tolist())
        # A copy for each rollout: TRL writes into them.
        return super()._generate_and_score_completions([dict(examples[i]) for i in which])

    def _share(self, rollouts: int) -> slice:
        """This process's part of so many rollouts, in the order in which TRL gathers them."""
        each, rank = rollouts // self.accelerator.num_processes, self.accelerator.process_index
        return slice(rank * each, (rank + 1) * each)

    def _agree(self, batch: Batch) -> None:
        """Stop if the processes picked different prompts: their groups and beliefs would silently be wrong."""
        if self.accelerator.num_processes == 1:
            return
        picks = gather_object([hashlib.sha256(batch.rows.tobytes()).hexdigest()])
        if len(set(picks)) > 1:
            raise EdgewiseError(
                "the processes picked different prompts: build the curriculum from the same data and seed on each, and make"
                " reward and success functions give every process the same numbers"
            )

    def _observe(
        self, batch: Batch, values: npt.NDArray[np.float64], scored: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.bool_], int]:
        """Tell the curriculum what `_outcomes` found; returns the groups it admits, and how many are still missing."""
        counts = scored.sum(axis=1)
        known = np.flatnonzero(counts)
        lost = np.flatnonzero(counts == 0)
        if lost.size:
            self.curriculum.forget(batch.take(lost))
        part = batch.take(known, counts[known])
        feedback = self.curriculum.observe(part, values[scored])
        if self._recorder is not None and len(part):
            self._recorder.record_feedback(part, values[scored], self.state.global_step, self.curriculum.success)
            self._recorded = True
        admitted = np.zeros(len(batch), bool)
        admitted[known] = feedback.admitted
        if self.curriculum.gate is None:
            admitted[:] = True
        return admitted, feedback.shortfall

    def _outcomes(self, batch: Batch) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Reward in [0, 1] of every rollout, and whether any reward function scored it; both (prompts, rollouts)."""
        rewards = self._rewards
        shape = (len(batch), self.num_generations)
        if len(rewards) != len(batch) * self.num_generations:
            raise RewardError(f"expected rewards of {shape[0]} groups of {shape[1]}, got {len(rewards)} in all")
        scored = ~np.isnan(rewards).all(axis=1)
        if callable(self._success):
            return verdicts(self._success(rewards.copy()), len(rewards)).reshape(shape), scored.reshape(shape)
        weights = self.reward_weights.double().cpu().numpy()
        values = np.nansum(rewards * weights, axis=1)
        # Where nothing was scored, the sum of nothing is told to nobody.
        values[scored] = outcomes(values[scored], self._success, np.repeat(batch.ids, self.num_generations)[scored])
        return values.reshape(shape), scored.reshape(shape)

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
        if self.curriculum.gate is not None:
            metrics["edgewise/padded_groups"].append(float(padded))

    def _again(self, size: int) -> dict[str, Any]:
        """A checkpoint lay between two steps on the same completions, which TRL does not save: roll out its prompts anew.

        The curriculum has seen this generation's rewards already and is not told again.
        """
        rows, self._unfinished = self._unfinished, self._unfinished[:0]
        if len(rows) != size:
            raise CheckpointError(
                f"the checkpoint lies inside a generation of {len(rows)} prompts, this run generates {size}:"
                " resume it with the batch settings it was saved with"
            )
        self._picked = rows
        return self._roll_out(rows)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if not self.args.should_save:
            return
        folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
        self.curriculum.save(folder / CURRICULUM)
        state = {"backward_passes": self._step, "picked": self.curriculum.pool.ids[self._picked]}
        save_state(folder / STATE, "trl", {**state, "global_step": self.state.global_step})
        self._save_trace()

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
        saved, state = load_state(folder / CURRICULUM, "curriculum"), load_state(folder / STATE, "trl")
        before, now = saved["parts"]["selector"], self.curriculum.selector.spec
        if before and now and before["name"] != now["name"]:
            raise CheckpointError(f"{folder} was saved with the selector {before['name']}, this run has {now['name']}")
        self.curriculum.restore(saved["state"], saved["ids"])
        # TRL counts from 0 again, which would shift the moments at which it generates.
        self._step = int(state["backward_passes"])
        if self._step % (self.args.steps_per_generation * self.num_iterations):
            self._unfinished = self.curriculum.pool.rows(state["picked"])
        if self._recorder is not None and self._recorder.path is not None and Path(self._recorder.path).exists():
            self._recorder = Recorder.resume(self._recorder.path, self.curriculum.pool, before=state["global_step"])

    def _save_trace(self) -> None:
        if self._recorder is not None and self._recorded:
            self._recorder.save()


class EdgewiseGRPOTrainer(EdgewiseMixin, GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPOTrainer on prompts that a curriculum picks; see `EdgewiseMixin` for what it adds."""


class EdgewiseRLOOTrainer(EdgewiseMixin, RLOOTrainer):  # type: ignore[misc]
    """TRL's RLOOTrainer on prompts that a curriculum picks; see `EdgewiseMixin` for what it adds."""


__all__ = ["EdgewiseGRPOTrainer", "EdgewiseMixin", "EdgewiseRLOOTrainer"]
