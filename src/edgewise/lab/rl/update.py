"""One clipped policy-gradient update from finished groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgewise.lab.model.decoder import Decoder
from edgewise.lab.model.generate import sequence_logprobs
from edgewise.lab.run.parallel import ALONE, World

CHUNK = 32
"""Sequences computed at once."""


@dataclass(frozen=True)
class Sample:
    """What the update needs of one group: k completions of one prompt, each array-like of length k."""

    prompt: list[int]
    completions: list[list[int]]
    logprobs: list[list[float]]
    rewards: npt.NDArray[np.float64]


def clipped_loss(
    new: Tensor, old: Tensor, advantages: Tensor, counted: Tensor, low: float, high: float, tokens: int
) -> Tensor:
    """Token-mean clipped surrogate, DAPO's form of GRPO (arXiv 2503.14476, eq. 8 and 12), without a KL term.

    Args:
        new, old: log-probabilities now and when sampled, (rows, time).
        advantages: (rows,).
        counted: 1 for completion tokens, (rows, time).
        low, high: the ratio is clipped to [1 - low, 1 + high].
        tokens: completion tokens of the whole batch, which the sum is divided by.
    """
    ratio = ((new - old) * counted).exp()
    weight = advantages[:, None]
    surrogate = torch.minimum(ratio * weight, ratio.clamp(1 - low, 1 + high) * weight)
    return -(surrogate * counted).sum() / tokens


def update(
    model: Decoder,
    optimizer: torch.optim.Optimizer,
    samples: list[Sample],
    advantages: npt.NDArray[np.float64],
    clip: tuple[float, float],
    max_grad_norm: float,
    epochs: int = 1,
    temperature: float = 1.0,
    here: World = ALONE,
) -> dict[str, float]:
    """`epochs` optimiser steps on one batch; `advantages` is (groups, rollouts).

    Groups without advantage have no gradient: they count in the mean over tokens but are not computed. Processes that are
    given the same batch share its sequences out and end with the same weights.
    """
    tokens = sum(len(c) for sample in samples for c in sample.completions)
    flat = [
        (sample.prompt, c, lp, float(a))
        for sample, row in zip(samples, advantages, strict=True)
        for c, lp, a in zip(sample.completions, sample.logprobs, row, strict=True)
        if a != 0
    ]
    if not flat:
        return {"loss": 0.0, "grad_norm": 0.0, "clipped": 0.0}
    # Short sequences first, in chunks: little of a chunk is padding, and every size-th makes a share like the others.
    flat.sort(key=lambda item: len(item[0]) + len(item[1]))
    mine = flat[here.rank :: here.size]
    device = next(model.parameters()).device
    chunks = [[part.to(device) for part in _pack(mine[begin : begin + CHUNK])] for begin in range(0, len(mine), CHUNK)]
    loss = clipped = 0.0
    norm = torch.zeros(())
    for _ in range(epochs):
        optimizer.zero_grad(set_to_none=True)
        loss = clipped = 0.0
        for sequences, old, counted, weights in chunks:
            new = sequence_logprobs(model, sequences, temperature)
            part = clipped_loss(new, old, weights, counted, *clip, tokens)
            part.backward()
            loss += part.item()
            with torch.no_grad():
                ratio = (new - old).exp()
                outside = ((ratio < 1 - clip[0]) | (ratio > 1 + clip[1])) & counted.bool()
                clipped += float(outside.sum()) / tokens
        here.sum_gradients(model)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
    loss, clipped = here.sum([loss, clipped])
    return {"loss": loss, "grad_norm": norm.item(), "clipped": clipped}


def _pack(flat: list[tuple[list[int], list[int], list[float], float]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Left-aligned sequences (rows, time), old log-probabilities and completion mask (rows, time - 1), advantages (rows,)."""
    time = max(len(prompt) + len(completion) for prompt, completion, *_ in flat)
    sequences = np.zeros((len(flat), time), np.int64)
    old = np.zeros((len(flat), time - 1), np.float32)
    counted = np.zeros((len(flat), time - 1), np.float32)
    for i, (prompt, completion, logprobs, _) in enumerate(flat):
        begin, end = len(prompt), len(prompt) + len(completion)
        sequences[i, :begin], sequences[i, begin:end] = prompt, completion
        old[i, begin - 1 : end - 1] = logprobs
        counted[i, begin - 1 : end - 1] = 1.0
    advantages = torch.tensor([advantage for *_, advantage in flat])
    return torch.from_numpy(sequences), torch.from_numpy(old), torch.from_numpy(counted), advantages
