"""verl's v1 trainer in Edgewise's modes: its loop, queue, buffer, advantages and checkpoints are real; the policy has known rates."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from tests.adapters.real_verl.verl_data import GROUP, score
from verl.trainer.ppo.v1 import get_trainer_cls
from verl.trainer.ppo.v1.trainer_separate_async import HybridEngineMode
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

TOKENS = 3


def _nothing(*_: Any, **__: Any) -> None: ...


def _decoded(ids: Any, **_: Any) -> str:
    return " ".join(str(int(token)) for token in ids)


class Rollouts:
    """Rolls out what is submitted at once, as verl's agent loops would write it; `selected` are the ids of each request.

    Groups of an id in `failing` produce nothing; those of an id in `short` lose their last rollout. A prompt may carry its own
    number of rollouts, as verl's agent loops read it. Sessions of an odd number have `outputs` outputs, as multi-turn agent
    loops that compact their context write them: each with the tokens of its turn, and with the score of the last one.
    """

    def __init__(self, trainer: Any, stop: int | None = None):
        self.trainer, self.stop = trainer, stop
        self.selected: list[list[int]] = []
        self.rollouts: dict[int, int] = {}
        self.outputs = 1
        self.failing: set[int] = set()
        self.short: set[int] = set()

    def generate_sequences(self, batch: Any) -> None:
        step = self.trainer.global_steps
        if step == self.stop:
            raise KeyboardInterrupt
        columns = {key: _each(batch, key) for key in list(batch.keys())}
        rows = [{key: column[row] for key, column in columns.items()} for row in range(len(batch))]
        self.selected.append([row["extra_info"]["index"] for row in rows])
        for row in rows:
            index = row["extra_info"]["index"]
            wanted = int(row.get("__rollout_n__", GROUP))
            self.rollouts[index] = wanted
            group = 0 if index in self.failing else wanted - (index in self.short)
            keys, fields, tags = [], [], []
            for rollout in range(group):
                correct = score(index, step, rollout)
                ones = torch.ones(TOKENS, dtype=torch.int64)
                rewards = torch.zeros(TOKENS)
                rewards[-1] = correct
                version = {"global_steps": step, "min_global_steps": step - 1, "max_global_steps": step - 1}
                for output in range(self.outputs if rollout % 2 else 1):
                    keys.append(f"{row['uid']}_{rollout}_{output}")
                    fields.append(
                        {
                            "uid": row["uid"],
                            "prompts": ones,
                            "responses": ones,
                            "response_mask": ones,
                            "rm_scores": rewards,
                            "old_log_probs": torch.zeros(TOKENS),
                            "num_turns": 2,
                            "extra_fields": {
                                "reward_extra_info": {"acc": bool(correct), "found": ["x"] * (1 + bool(correct))}
                            },
                        }
                    )
                    tags.append({"status": "success", "seq_len": 2 * TOKENS, "response_len": TOKENS, **version})
            if keys:
                tq.kv_batch_put(keys=keys, fields=list_of_dict_to_tensordict(fields), tags=tags, partition_id="train")
            status = "finished" if group == wanted else "failure"
            tq.kv_batch_put(keys=[row["uid"]], tags=[{"status": status}], partition_id="train")


def trainer(config: Any) -> Any:
    """The trainer that the config's mode names, without its workers."""
    cls = get_trainer_cls(config.trainer.v1.trainer_mode)

    class Cpu(cls):
        def _setup(self) -> None:
            self.tokenizer = SimpleNamespace(eos_token_id=0, pad_token_id=0, decode=_decoded)
            self.processor = None
            self._init_dataloader()
            self._init_dump_executor()
            self.actor_rollout_wg = SimpleNamespace(
                _dispatch_info={"actor": [0]}, save_checkpoint=_nothing, load_checkpoint=_nothing
            )
            self.checkpoint_manager = SimpleNamespace(
                update_weights=_nothing,
                sleep_replicas=_nothing,
                abort_replicas=_nothing,
                resume_generation_replicas=_nothing,
            )
            # Of the separate trainer: servers on GPUs of their own, and none on those of the trainer.
            self.standalone_checkpoint_manager = SimpleNamespace(update_weights=_nothing)
            self.current_mode = HybridEngineMode.TRAINER
            self.reward_loop_manager = SimpleNamespace(reward_loop_worker_handles=[])
            self.resource_pool_manager = SimpleNamespace(get_n_gpus=lambda: 1)
            self._load_checkpoint()

        def _compute_old_log_prob(self, batch: Any, metrics: Any) -> Any:
            return batch

        def _update_actor(self, batch: Any, metrics: Any) -> Any:
            return batch

        def _compute_metrics(self, batch: Any, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            super()._compute_metrics(batch, metrics, *args, **kwargs)
            self.logged.append(dict(metrics))

    made = Cpu(config)
    made.logged = []
    made.replay_buffer.poll_interval = 0.01
    return made


def run(config: Any, stop: int | None = None, **rollouts: Any) -> tuple[Any, Rollouts]:
    """`fit` on an empty queue, to the end or until it is about to generate step `stop`."""
    OmegaConf.resolve(config)
    for partition, items in (tq.kv_list() or {}).items():
        if items:
            tq.kv_clear(keys=list(items), partition_id=partition)
    made = trainer(config)
    policy = Rollouts(made, stop)
    for name, value in rollouts.items():
        setattr(policy, name, value)
    made.init()
    if stop is None:
        made.fit(policy)
        return made, policy
    try:
        made.fit(policy)
    except KeyboardInterrupt:
        return made, policy
    raise AssertionError(f"the run ended before step {stop}")


def _each(batch: Any, key: str) -> list[Any]:
    value = batch.get(key)
    if isinstance(value, torch.Tensor):
        return list(value)
    data = getattr(value, "tolist", None)
    items = data() if data else value
    return list(items) if isinstance(items, (list, tuple, np.ndarray)) else [items] * len(batch)
