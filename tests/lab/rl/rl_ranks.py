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
from edgewise.lab.rl.trainer import RLConfig, Trainer
from edgewise.lab.rl.update import Sample, update
from edgewise.lab.run.interrupts import stopping
from edgewise.lab.run.parallel import World, world

STOP_AT = 3
ROLLS = {"uneven": ([0, 1, 2], [2, 3, 1]), "fewer than processes": ([3], [4]), "one prompt in both": ([4, 4], [6, 6])}
"""Problems and counts."""


def config(base: Path) -> RLConfig:
    """With refill, so that later rounds may have fewer groups than there are processes."""
    return rl_config(base, selector="edge", gate="informative", steps=6, save_every=5)


def roller(policy: Policy, here: World) -> Roller:
    return Roller(policy, policy.task.problems(8, 0, op=(1, 3)), 6, here=here)


def updates(policy: Policy, here: World) -> dict[str, Any]:
    """Weights and statistics after one update on the same rollouts, whoever computes it."""
    # Drawn by each process alone: the same in all.
    alone = dataclasses.replace(here, rank=0, size=1)
    rolled = roller(policy, alone).roll(np.arange(5), np.full(5, 4), torch.Generator().manual_seed(0))
    samples = []
    for group in range(5):
        part = range(4 * group, 4 * group + 4)
        lengths = [int(rolled.tensors.lengths[i]) for i in part]
        tokens = [rolled.tensors.tokens[i, :n].tolist() for i, n in zip(part, lengths, strict=True)]
        logprobs = [rolled.tensors.logprobs[i, :n].tolist() for i, n in zip(part, lengths, strict=True)]
        samples.append(Sample(rolled.prompts[4 * group], tokens, logprobs, np.zeros(4)))
    advantages = np.random.default_rng(0).normal(size=(5, 4))
    advantages[2] = 0.0
    one = np.zeros((5, 4))
    one[3, 1] = 1.0
    poisoned = copy.deepcopy(samples)
    poisoned[0].logprobs[0][0] = float("nan")
    results = {}
    for name, batch, weights in (("many", samples, advantages), ("one", samples, one), ("nan", poisoned, advantages)):
        model = copy.deepcopy(policy.model)
        # Plain descent: differences of the weights are those of the gradients.
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
        stats = update(model, optimizer, batch, weights, (0.2, 0.28), 1.0, 2, 0.9, here)
        results[name] = {"weights": model.state_dict(), "stats": stats}
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
        step = trainer._train_step

        def signalled() -> dict[str, Any]:
            line = step()
            if here.rank == 1 and trainer.step == STOP_AT:
                signal.raise_signal(signal.SIGTERM)
            return line

        trainer._train_step = signalled
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
