"""verl's own `RayPPOTrainer`: its data, loop and checkpoints are real, its workers are a policy with known success rates."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from tests.adapters.real_verl.verl_data import score
from verl import DataProto
from verl.trainer.ppo.ray_trainer import RayPPOTrainer
from verl.trainer.ppo.utils import Role

TOKENS = 5


class Workers:
    """An actor that learns nothing and saves nothing."""

    def save_checkpoint(self, *_: Any, **__: Any) -> None: ...

    def load_checkpoint(self, *_: Any, **__: Any) -> None: ...


class CpuTrainer(RayPPOTrainer):
    """Stops with `KeyboardInterrupt` when it is about to generate step `stop`; `selected` are the ids of each step."""

    def __init__(self, config: Any, stop: int | None = None, change: Callable[[DataProto], DataProto] | None = None):
        super().__init__(
            config,
            tokenizer=None,
            role_worker_mapping={Role.ActorRollout: None},
            resource_pool_manager=SimpleNamespace(get_n_gpus=lambda: 1),
            device_name="cpu",
        )
        nothing = lambda *_, **__: None  # noqa: E731
        self.actor_rollout_wg = Workers()
        self.checkpoint_manager = SimpleNamespace(update_weights=nothing, sleep_replicas=nothing)
        self.async_rollout_manager = self.llm_server_manager = SimpleNamespace(generate_sequences=self.generate)
        self.selected: list[list[int]] = []
        self.stop, self.change = stop, change

    def generate(self, batch: DataProto) -> DataProto:
        if self.global_steps == self.stop:
            raise KeyboardInterrupt
        n, carried = len(batch), batch.non_tensor_batch
        indices = [info.get("index") for info in carried["extra_info"]]
        self.selected.append(list(dict.fromkeys(indices)))
        ones = torch.ones(n, TOKENS, dtype=torch.int64)
        tensors = {
            "prompts": ones,
            "responses": ones,
            "response_mask": ones,
            "input_ids": torch.cat([ones, ones], 1),
            "attention_mask": torch.cat([ones, ones], 1),
            "position_ids": torch.cat([ones, ones], 1).cumsum(1),
            "rm_scores": torch.zeros(n, TOKENS),
        }
        seen: dict[Any, int] = {}
        for row, uid in enumerate(carried["uid"]):
            seen[uid] = seen.get(uid, -1) + 1
            # Any prompt without an index is as hard as any other.
            tensors["rm_scores"][row, -1] = score(
                1 if indices[row] is None else indices[row], self.global_steps, seen[uid]
            )
        objects = {
            "raw_prompt": carried["raw_prompt"],
            "multi_modal_inputs": np.array([{} for _ in range(n)], object),
            "__num_turns__": np.full(n, 2, np.int32),
        }
        return DataProto.from_dict(tensors, non_tensors=objects, meta_info={"timing": {}})

    def _balance_batch(self, batch: DataProto, *_: Any, **__: Any) -> None:
        order = np.random.default_rng(self.global_steps).permutation(len(batch))
        batch.reorder(torch.from_numpy(order))
        if self.change is not None:
            self.change(batch)

    def _compute_old_log_prob(self, batch: DataProto) -> tuple[DataProto, float]:
        zeros = torch.zeros(len(batch), TOKENS)
        return DataProto.from_dict({"old_log_probs": zeros, "entropys": zeros.clone()}), 0.0

    def _update_actor(self, batch: DataProto) -> DataProto:
        return DataProto(meta_info={"metrics": {}})


def run(config: Any, stop: int | None = None, **options: Any) -> CpuTrainer:
    """verl's `fit`, to the end or to the interruption."""
    trainer = CpuTrainer(config, stop, **options)
    if stop is None:
        trainer.fit()
        return trainer
    try:
        trainer.fit()
    except KeyboardInterrupt:
        return trainer
    raise AssertionError(f"the run ended before step {stop}")
