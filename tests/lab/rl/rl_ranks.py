"""What each process of test_rl_parallel does: updates, rollouts and runs that it then compares."""

import copy
import dataclasses
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.small import rl_config

from edgewise.errors import EdgewiseError
from edgewise.lab.evaluation.rollouts import Roller
from edgewise.lab.model.policy import Policy
from edgewise.lab.rl.algorithms import Algorithm
from edgewise.lab.rl.batch import RolloutBatch
from edgewise.lab.rl.trainer import PoolConfig, RLConfig, Trainer
from edgewise.lab.rl.update import Learner, UpdateSettings
from edgewise.lab.run.interrupts import stopping
from edgewise.lab.run.parallel import World, world

STOP_AT = 3
ROLLS = {"uneven": ([0, 1, 2], [2, 3, 1]), "fewer than processes": ([3], [4]), "one prompt in both": ([4, 4], [6, 6])}
"""Problems and counts."""


def config(base: Path) -> RLConfig:
    """With refill, so that later rounds may have fewer groups than there are processes, and features that a model measures."""
    pool = PoolConfig(size=60, difficulty={"op": [1, 3]}, features="solution")
    return rl_config(base, selector="edge", gate="informative", steps=6, save_every=5, pool=pool)


def roller(policy: Policy, here: World) -> Roller:
    return Roller(policy, policy.task.problems(8, 0, op=(1, 3)), 6, here=here)


ALGORITHMS = {
    "plain": "dr_grpo",
    "references": {"like": "grpo", "entropy": 0.01, "kl_in_reward": 0.01},
    "critic head": {"like": "ppo", "kl_in_reward": 0.1},
    "own critic": {"like": "ppo", "critic": {"network": "own"}},
    "mini-batches": "gspo",
}


def updates(policy: Policy, here: World) -> dict[str, Any]:
    """Weights and statistics after one update of each kind on the same rollouts, in one process or in several."""
    # Drawn by each process alone: the same in all.
    alone = dataclasses.replace(here, rank=0, size=1)
    counts = np.array([4, 3, 5, 4, 2])
    rolled = roller(policy, alone).roll(np.arange(5), counts, torch.Generator().manual_seed(0))
    rewards = np.random.default_rng(0).random(counts.sum())
    rewards[7:12] = 0.5  # a group without an advantage
    batch = RolloutBatch.of(rolled.prompts, rolled.tensors, rewards, np.repeat(np.arange(5), counts))
    one = batch.with_rewards((torch.arange(len(batch)) == 3).double())
    poisoned = dataclasses.replace(batch, logprobs=batch.logprobs.clone())
    poisoned.logprobs[0][poisoned.mask[0] > 0] = float("nan")
    cases = {name: (algorithm, batch) for name, algorithm in ALGORITHMS.items()}
    results: dict[str, Any] = {}
    for name, (algorithm, part) in {**cases, "one group": ("dr_grpo", one), "nan": ("dr_grpo", poisoned)}.items():
        model = copy.deepcopy(policy.model)
        mini_batches = 3 if name == "mini-batches" else 1
        settings = UpdateSettings(0.3, 6, epochs=2, mini_batches=mini_batches, temperature=0.9)
        reference = copy.deepcopy(policy.model)
        torch.nn.init.normal_(reference.model.norm.weight, 1.0, 0.05, generator=torch.Generator().manual_seed(3))
        learner = Learner(model, Algorithm.parse(algorithm), settings, here, reference)
        # Plain descent: differences of the weights are those of the gradients.
        learner.optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
        if learner.critic is not None:
            learner.critic_optimizer = torch.optim.SGD(learner.critic.parameters(), lr=0.3)
        try:
            stats: Any = learner.update(part, torch.Generator().manual_seed(5))
        except EdgewiseError as error:
            stats = str(error)
        critic = {} if learner.critic is None else learner.critic.state_dict()
        results[name] = {
            "weights": {**model.state_dict(), **{f"critic.{k}": v for k, v in critic.items()}},
            "stats": stats,
        }
    return results


def main(base: Path, out: Path) -> None:
    settings = config(base)
    with world(settings.device) as here:
        policy = Policy.load(base)
        result: dict[str, Any] = {"updates": updates(policy, here), "rolls": {}}
        generator = torch.Generator().manual_seed(1)
        for name, (rows, counts) in ROLLS.items():
            rolled = roller(policy, here).roll(np.array(rows), np.array(counts), generator)
            result["rolls"][name] = {"prompts": rolled.prompts, "texts": rolled.completions, **vars(rolled.tensors)}
        result["generator"] = generator.get_state()

        trainer = Trainer(settings, out / "whole", here)
        trainer.run()
        result["weights"] = trainer.policy.model.state_dict()

        trainer = Trainer(settings, out / "stopped", here)
        step = trainer.train_step

        def signalled() -> dict[str, Any]:
            line = step()
            if here.rank == 1 and trainer.step == STOP_AT:
                signal.raise_signal(signal.SIGTERM)
            return line

        trainer.train_step = signalled
        try:
            with stopping() as stop:
                trainer.run(stop=stop)
        except KeyboardInterrupt:
            result["stopped"] = trainer.step

        try:
            Trainer(dataclasses.replace(settings, seed=here.rank), out / "astray", here).run()
        except EdgewiseError as error:
            result["astray"] = str(error)
        torch.save(result, out / f"rank_{here.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
