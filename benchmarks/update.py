"""Training steps of the algorithms on the same rollouts: what a critic costs beside GRPO's reference."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.row import Row, alternating
from edgewise.lab.evaluation.rollouts import Roller
from edgewise.lab.model.checkpoints import find
from edgewise.lab.model.policy import Policy
from edgewise.lab.rl.algorithms import Algorithm
from edgewise.lab.rl.batch import RolloutBatch
from edgewise.lab.rl.update import Learner, UpdateSettings

PROMPTS, K, LONGEST = 16, 8, 26


def rows() -> Iterator[Row]:
    torch.set_num_threads(1)
    policy = Policy.load(find("opgraph"))
    roller = Roller(policy, policy.task.problems(PROMPTS, 0, op=[1, 6]), LONGEST)
    counts = np.full(PROMPTS, K)

    def roll() -> Any:
        return roller.roll(np.arange(PROMPTS), counts, torch.Generator().manual_seed(0))

    rolled = roll()
    rewards = (np.random.default_rng(0).random(PROMPTS * K) < 0.5).astype(float)
    batch = RolloutBatch.of(rolled.prompts, rolled.tensors, rewards, np.repeat(np.arange(PROMPTS), K))

    def step(algorithm: Any) -> Callable[[], None]:
        learner = Learner(copy.deepcopy(policy.model), Algorithm.parse(algorithm), UpdateSettings(1e-9, LONGEST))

        def act() -> None:
            roll()
            learner.update(batch)

        return act

    own = {"like": "ppo", "critic": {"network": "own"}}
    grpo, head, network = alternating([step("grpo"), step("ppo"), step(own)], clock=time.process_time)
    yield Row.flat("a step of PPO (head) against GRPO's, 128 completions, processor time", head, grpo, 1.6)
    yield Row.flat("a step of PPO (own network) against GRPO's, the same", network, grpo, 1.6)
