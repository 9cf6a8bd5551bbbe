"""Rolling out problems and verifying what comes back; accuracy and unbiased pass@k by category."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edgewise.errors import ConfigError, EdgewiseError
from edgewise.lab.model.generate import Rollouts, generate
from edgewise.lab.model.policy import Policy
from edgewise.lab.run.parallel import ALONE, World
from edgewise.statistics import pass_at_k
from edgewise.tasks import Problem, Verdict, make_reward

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
CHUNK = 1024
"""Completions of a process that are sampled at once."""


@dataclass(frozen=True)
class Rolled:
    """Verified rollouts, prompts repeated in order: texts, verdicts and tensors, each of length sum of counts."""

    prompts: list[list[int]]
    problems: list[Problem]
    completions: list[str]
    verdicts: list[Verdict]
    tensors: Rollouts

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        return np.array([verdict.correct for verdict in self.verdicts])

    def rewards(self, kind: str) -> npt.NDArray[np.float64]:
        """(n,) in [0, 1]; the kinds are those of `tasks.rewards`."""
        reward = make_reward(kind)
        return np.array([reward(verdict) for verdict in self.verdicts], np.float64)


class Roller:
    """Rolls out problems of a set with a policy; prompts are encoded once.

    Processes that call it alike share the rollouts out, and each gets those of all. Verifying is repeated in each: it takes
    a fraction of a millisecond a text, and verdicts are no tensors. With `bfloat16` the policy samples under autocast.
    """

    def __init__(
        self,
        policy: Policy,
        problems: list[Problem],
        max_new_tokens: int,
        temperature: float = 1.0,
        here: World = ALONE,
        *,
        without_pictures: bool = False,
        bfloat16: bool = False,
    ):
        self.policy, self.problems, self.here, self.bfloat16 = policy, problems, here, bfloat16
        self.max_new_tokens, self.temperature = max_new_tokens, temperature
        self.ending = policy.ending
        self.encoded = policy.encode(problems, without_pictures=without_pictures)
        longest = max(map(len, self.encoded))
        self.longest = longest + max_new_tokens
        """Tokens of the longest prompt and completion."""
        if self.longest > policy.model.config.max_position_embeddings:
            raise ConfigError(
                f"prompts of {longest} tokens and {max_new_tokens} new ones are longer than the model's"
                f" {policy.model.config.max_position_embeddings} positions"
            )

    def roll(self, rows: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], generator: torch.Generator) -> Rolled:
        """`counts[i]` rollouts of problem `rows[i]`."""
        repeated = np.repeat(rows, counts).tolist()
        prompts = [self.encoded[row] for row in repeated]
        problems = [self.problems[row] for row in repeated]

        # Whole groups, which share a prefill; every size-th, for a batch may be ordered by length or by worth.
        owner = np.repeat(np.arange(len(rows)) % self.here.size, counts)
        mine = [prompt for prompt, rank in zip(prompts, owner.tolist(), strict=True) if rank == self.here.rank]
        with torch.autocast(self.policy.model.head.device.type, torch.bfloat16, self.bfloat16):
            own = generate(
                self.policy.model,
                mine or prompts[:1],  # Fewer groups than processes: it rolls one out for nothing.
                self.max_new_tokens,
                self.ending,
                self.policy.tokenizer.pad,
                self.here.fork(generator),
                self.temperature,
            )
        parts = (part[: len(mine)] for part in (own.tokens, own.lengths, own.logprobs))
        tensors = Rollouts(*(self.here.gather(part, owner) for part in parts))
        if not bool(torch.isfinite(tensors.logprobs).all()):
            raise EdgewiseError(
                "the policy's probabilities are not numbers any more: its weights have diverged; go back to a checkpoint before"
                " that, with a lower learning_rate"
            )
        completions = self.policy.decode(tensors.tokens.cpu().numpy(), tensors.lengths.cpu().numpy())
        task = self.policy.task
        verdicts = [task.verify(problem, text) for problem, text in zip(problems, completions, strict=True)]
        return Rolled(prompts, problems, completions, verdicts, tensors)


@dataclass(frozen=True)
class Evaluation:
    """Successes of each problem, with its category: (n,)."""

    successes: npt.NDArray[np.int64]
    trials: int
    categories: npt.NDArray[np.str_]
    reasons: dict[str, int]

    def accuracy(self) -> float:
        """pass@1 over all problems."""
        return float(self.successes.mean() / self.trials)

    def by_category(self) -> dict[str, float]:
        return {
            str(name): float(self.successes[self.categories == name].mean() / self.trials)
            for name in sorted_labels(self.categories)
        }

    def pass_at(self, k: int) -> dict[str, float]:
        """Unbiased pass@k by category, and over all problems under "all"."""
        estimate = pass_at_k(self.successes, self.trials, k)
        table = {str(name): float(estimate[self.categories == name].mean()) for name in sorted_labels(self.categories)}
        return {"all": float(estimate.mean()), **table}


def own_generator(device: torch.device, seed: int, part: int) -> torch.Generator:
    """A generator of one part of an evaluation, a function of the seed and the part alone: how often and where a run was stopped
    does not show in its rollouts."""
    return torch.Generator(device).manual_seed((1_000_003 * (seed + 1) + part) % 2**64)


def chunks_of(roller: Roller, samples: int, chunk: int) -> list[npt.NDArray[np.int64]]:
    """Rows of the problems that are rolled out together, about `chunk` completions of each process.

    Problems of like length together: a chunk is done when its longest completion is.
    """
    order = np.argsort([len(prompt) for prompt in roller.encoded], kind="stable")
    step = max(chunk * roller.here.size // samples, 1)
    return [order[begin : begin + step] for begin in range(0, len(order), step)]


def evaluate(roller: Roller, samples: int, generator: torch.Generator, chunk: int = CHUNK) -> Evaluation:
    """Roll out every problem `samples` times, `chunk` completions of each process at a time."""
    successes = np.empty(len(roller.problems), np.int64)
    reasons: Counter[str] = Counter()
    for rows in chunks_of(roller, samples, chunk):
        rolled = roller.roll(rows, np.full(len(rows), samples), generator)
        successes[rows] = rolled.correct.reshape(len(rows), samples).sum(1)
        reasons.update(verdict.reason for verdict in rolled.verdicts)
    categories = np.array([problem.category for problem in roller.problems])
    return Evaluation(successes, samples, categories, dict(reasons))


def sorted_labels(labels: Any) -> list[str]:
    """Distinct labels, numbers in numeric order before other texts."""
    names = {str(label) for label in np.unique(labels)}
    values = {name: float(name) if NUMBER.fullmatch(name) else math.inf for name in names}
    return sorted(names, key=lambda name: (values[name], name))
