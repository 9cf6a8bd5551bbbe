"""Likelihood of given completions under a model, before anything is sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from edgewise.errors import ConfigError
from edgewise.lab.model.decoder import Decoder
from edgewise.lab.model.packed import Pack, token_losses
from edgewise.lab.model.policy import Policy
from edgewise.tasks import Problem

PACK = 8192
"""Tokens computed at once."""
Gold = Literal["answer", "solution"]


@dataclass(frozen=True)
class Likelihood:
    """Negative log-likelihood of each completion given its prompt, in nats, and its tokens: (prompts,) each."""

    nats: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]


@torch.no_grad()
def likelihood(model: Decoder, prompts: Sequence[list[int]], completions: Sequence[list[int]]) -> Likelihood:
    """The likelihood of completions, each given its prompt, both as token ids.

    A forward pass over prompt and completion: what reading the prompt costs, and nothing is generated.
    """
    lengths = np.array([len(prompt) + len(own) for prompt, own in zip(prompts, completions, strict=True)])
    tokens = np.array([len(own) for own in completions], np.int64)
    nats = np.empty(len(prompts))
    device = next(model.parameters()).device
    # The longest first, as in a pack, so that the losses of a pack come in the order of its rows.
    order = np.argsort(-lengths, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(np.cumsum(lengths[order]) // PACK)) + 1):
        pack = Pack.of([prompts[row] + completions[row] for row in rows], [len(prompts[row]) for row in rows])
        losses = token_losses(model, pack.to(device)).double().cpu().numpy()
        ends = np.cumsum(tokens[rows])
        nats[rows] = np.add.reduceat(losses, ends - tokens[rows])
    return Likelihood(nats, tokens)


def solution_likelihood(policy: Policy, problems: Sequence[Problem]) -> Likelihood:
    """The likelihood of `problem.solution`, and of what ends a completion, for every problem."""
    return likelihood(policy.model, policy.encode(problems), policy.encode_solutions(problems))


def gold_log_likelihood(policy: Policy, problems: Sequence[Problem], of: Gold) -> npt.NDArray[np.float64]:
    """log p(gold completion | prompt) of every problem, in nats, (problems,): a feature that predicts success rates.

    Args:
        policy: the policy before training.
        problems: with gold completions.
        of: the text before what ends a completion. "answer": the answer alone, for models that answer at once; "solution": the
            worked solution.

    Raises:
        ConfigError: a problem has no such completion.
    """
    gold = [getattr(problem, of) for problem in problems]
    missing = [problem.prompt for problem, text in zip(problems, gold, strict=True) if not text]
    if missing:
        raise ConfigError(
            f"{len(missing)} of {len(problems)} problems have no gold {of}, so its likelihood is no feature of them;"
            f" the first is {missing[0]!r:.120}"
        )
    if of == "solution":
        return -solution_likelihood(policy, problems).nats
    completions = policy.encode_answers(problems)
    return -likelihood(policy.model, policy.encode(problems), completions).nats
