"""Likelihood of the gold solutions under a model, before anything is sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from edgewise.lab.model.packed import Pack, token_losses
from edgewise.lab.model.policy import Policy
from edgewise.tasks import Problem

PACK = 8192
"""Tokens computed at once."""


@dataclass(frozen=True)
class Likelihood:
    """Negative log-likelihood of each gold solution given its prompt, in nats, and its tokens: (problems,) each."""

    nats: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]


@torch.no_grad()
def solution_likelihood(policy: Policy, problems: Sequence[Problem]) -> Likelihood:
    """The likelihood of `problem.solution` for every problem."""
    prompts = policy.encode(problems)
    solutions = policy.tokenizer.encode([problem.solution for problem in problems])
    lengths = np.array([len(prompt) + len(solution) for prompt, solution in zip(prompts, solutions, strict=True)])
    tokens = np.array([len(solution) for solution in solutions], np.int64)
    nats = np.empty(len(problems))
    device = next(policy.model.parameters()).device
    # The longest first, as in a pack, so that the losses of a pack come in the order of its rows.
    order = np.argsort(-lengths, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(np.cumsum(lengths[order]) // PACK)) + 1):
        documents = [prompts[row] + solutions[row] for row in rows]
        pack = Pack.of(documents, [len(prompts[row]) for row in rows]).to(device)
        losses = token_losses(policy.model, pack).double().cpu().numpy()
        ends = np.cumsum(tokens[rows])
        nats[rows] = np.add.reduceat(losses, ends - tokens[rows])
    return Likelihood(nats, tokens)
