"""Log-probabilities of tokens from hidden states, without the logits of more than a few places at a time.

At 49,152 tokens the logits of a thousand places take 200 MB, and their softmax and gradient as much again. Here the forward
pass keeps only the normaliser of each place, and the backward pass computes the logits of a chunk anew.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_LOGITS = 1 << 23
"""Logits computed at once: 32 MB in float32."""


def token_logprobs(
    hidden: Tensor, weight: Tensor, places: Tensor, targets: Tensor, temperature: float = 1.0, chunk: int | None = None
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target token and entropy of its distribution, softmax(hidden @ weight.T / temperature).

    Several targets may stand at one place; its logits are computed once. Differentiable in `hidden` and `weight`.

    Args:
        hidden: states after the last norm, (U, hidden).
        weight: projection to the vocabulary, (vocabulary, hidden).
        places: rows of `hidden` that predict the targets, (M,) int64.
        targets: token ids, (M,) int64.
        temperature: > 0.
        chunk: places whose logits are computed at once; by default as many as `CHUNK_LOGITS` allows.

    Returns:
        (M,) log-probabilities and (M,) entropies in nats, both float32.
    """
    if chunk is None:
        chunk = max(CHUNK_LOGITS // len(weight), 1)
    # A torch.autograd.Function is not cast by autocast.
    if torch.is_autocast_enabled(hidden.device.type):
        kind = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = hidden.to(kind), weight.to(kind)
    logprobs, entropies = _TokenLogprobs.apply(hidden, weight, places, targets, temperature, chunk)
    return logprobs, entropies.index_select(0, places)


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, places: Tensor, targets: Tensor, temperature: float, chunk: int
    ) -> tuple[Tensor, Tensor]:
        order, bounds = _by_chunk(places, len(hidden), chunk)
        logprobs = hidden.new_empty(len(places), dtype=torch.float32)
        normalisers = hidden.new_empty(len(hidden), dtype=torch.float32)
        entropies = torch.empty_like(normalisers)
        for index, part in enumerate(hidden.split(chunk)):
            begin = index * chunk
            logits = F.linear(part, weight).float().div_(temperature)
            normaliser = logits.logsumexp(-1)
            mine = order[bounds[index] : bounds[index + 1]]
            inside = places[mine] - begin
            logprobs[mine] = logits[inside, targets[mine]] - normaliser[inside]
            normalisers[begin : begin + chunk] = normaliser
            # -sum p log p, with p and log p in the same memory as far as it goes.
            logits.sub_(normaliser[:, None])
            entropies[begin : begin + chunk] = -torch.einsum("uv,uv->u", logits.exp(), logits)
        ctx.save_for_backward(hidden, weight, places, targets, normalisers, entropies, order)
        ctx.bounds, ctx.temperature, ctx.chunk = bounds, temperature, chunk
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_logprobs, of_entropies = gradients
        hidden, weight, places, targets, normalisers, entropies, order = ctx.saved_tensors
        to_hidden = torch.empty_like(hidden)
        # A frozen head needs no gradient, and its memory.
        to_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        total = torch.zeros_like(normalisers).index_add_(0, places, of_logprobs)
        bent = bool((of_entropies != 0).any())
        for index, part in enumerate(hidden.split(ctx.chunk)):
            rows = slice(index * ctx.chunk, (index + 1) * ctx.chunk)
            logs = F.linear(part, weight).float().div_(ctx.temperature).sub_(normalisers[rows, None])
            slope = logs.exp() if bent else logs.exp_()
            # d logprob / d logits = onehot - p;  d entropy / d logits = -p (log p + entropy).
            if bent:
                slope *= -total[rows, None] - of_entropies[rows, None] * (logs + entropies[rows, None])
            else:
                slope *= -total[rows, None]
            mine = order[ctx.bounds[index] : ctx.bounds[index + 1]]
            slope.index_put_((places[mine] - rows.start, targets[mine]), of_logprobs[mine], accumulate=True)
            slope = slope.div_(ctx.temperature).to(weight.dtype)
            to_hidden[rows] = slope @ weight
            if to_weight is not None:
                to_weight.addmm_(slope.T, part)
        return to_hidden, to_weight, None, None, None, None


def _by_chunk(places: Tensor, count: int, chunk: int) -> tuple[Tensor, list[int]]:
    """Order of the targets by place, and where the targets of each chunk of places begin in it."""
    ordered, order = places.sort(stable=True)
    edges = torch.arange(0, count + chunk, chunk, device=places.device)
    return order, torch.searchsorted(ordered, edges).tolist()
