"""Batched sampling with a static KV cache: prompts of different lengths, finished rows retired, log-probabilities kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.errors import ConfigError
from edgewise.lab.model.decode import make_stepper
from edgewise.lab.model.decoder import Cache, Decoder
from edgewise.lab.model.ending import Ending

PREFILL = 32
"""Prompts read at once."""


@dataclass(frozen=True)
class Rollouts:
    """Completions of n prompts, left-aligned: tokens (n, time) int64 padded behind their end, lengths (n,) with the end
    token counted, and the log-probability of each sampled token under the sampling distribution (n, time), 0 in padding."""

    tokens: Tensor
    lengths: Tensor
    logprobs: Tensor


@torch.no_grad()
def generate(
    model: Decoder,
    prompts: list[list[int]],
    max_new_tokens: int,
    end: int | Ending,
    pad: int,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
) -> Rollouts:
    """Sample one completion of each prompt.

    Args:
        model: the policy.
        prompts: token ids of each, of any length >= 1.
        max_new_tokens: completions are cut there, >= 1.
        end: id of the token that ends a completion, or several and stop strings.
        pad: id to fill up with.
        generator: source of randomness, on the model's device; the global one if None.
        temperature: > 0; 0 takes the most likely token.
    """
    if max_new_tokens < 1 or temperature < 0 or not prompts or not all(prompts):
        raise ConfigError("generation needs prompts that are not empty, max_new_tokens >= 1 and temperature >= 0")
    ending = Ending([end]) if isinstance(end, int) else end
    device = next(model.parameters()).device
    longest, count = max(map(len, prompts)), len(prompts)
    if longest + max_new_tokens > model.config.max_position_embeddings:
        raise ConfigError(
            f"a prompt of {longest} tokens and {max_new_tokens} new ones are longer than the model's"
            f" {model.config.max_position_embeddings} positions"
        )
    # The rollouts of one prompt share its prefill; prompts of like length are read together.
    different = sorted({tuple(prompt) for prompt in prompts}, key=len)
    place = {prompt: row for row, prompt in enumerate(different)}
    rows = torch.tensor([place[tuple(prompt)] for prompt in prompts], device=device)
    cache = Cache(model.config, len(different), longest, model.model.embed_tokens.weight)
    sizes = torch.tensor([len(prompt) for prompt in different], device=device)
    cache.valid[:] = torch.arange(longest, device=device) >= (longest - sizes)[:, None]
    hidden = torch.cat([_read(model, different, cache, at, longest, pad) for at in range(0, len(different), PREFILL)])
    hidden = hidden[rows]
    cache.spread(rows, longest + max_new_tokens)
    stepper = make_stepper(model, cache, max_new_tokens)

    tokens = torch.full((count, max_new_tokens), pad, dtype=torch.int64, device=device)
    logprobs = torch.zeros(count, max_new_tokens, device=device)
    lengths = torch.full((count,), max_new_tokens, dtype=torch.int64, device=device)
    # Rows of the cache, and which of them are still being written.
    owner, going = torch.arange(count, device=device), torch.ones(count, dtype=torch.bool, device=device)
    for time in range(max_new_tokens):
        token, logprob = _sample(model.logits(hidden).float(), temperature, generator)
        tokens[owner, time] = torch.where(going, token, pad)
        logprobs[owner, time] = torch.where(going, logprob, 0.0)
        ended = going & ending(tokens[owner, : time + 1])
        lengths[owner[ended]] = time + 1
        going &= ~ended
        left = int(going.sum())
        if time + 1 == max_new_tokens or left == 0:
            break
        # Moving rows costs little, but not nothing.
        if left <= stepper.share * len(owner):
            kept = stepper.retire(going, longest + time)
            owner, going, token = owner[kept], going[kept], token[kept]
        hidden = stepper.step(token, longest + time)
    return Rollouts(tokens, lengths, logprobs)


def _read(model: Decoder, prompts: list[tuple[int, ...]], cache: Cache, first: int, end: int, pad: int) -> Tensor:
    """Read prompts `first`.. into the cache columns that stop before `end`; hidden states of their last tokens."""
    part = prompts[first : first + PREFILL]
    width = len(part[-1])
    context = [[pad] * (width - len(prompt)) + list(prompt) for prompt in part]
    view = cache.part(first, first + len(part))
    return model.hidden(torch.tensor(context, device=cache.store.device), view, end - width)[:, -1]


def _sample(scores: Tensor, temperature: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    if temperature == 0:
        token = scores.argmax(-1)
        best = scores.gather(1, token[:, None])[:, 0]
        # 0, or NaN where the scores are no numbers: such a policy must not pass for one that answers.
        return token, best - best
    # Inversion of the cumulated probabilities: one exponential a token of the vocabulary, one random number a row.
    scores = scores / temperature
    top = scores.max(-1, keepdim=True).values
    cumulated = (scores - top).exp_().cumsum(-1, dtype=torch.float64)
    total = cumulated[:, -1:]
    point = torch.rand(total.shape, dtype=torch.float64, device=scores.device, generator=generator) * total
    token = torch.searchsorted(cumulated, point, right=True).clamp_max_(scores.shape[1] - 1)
    logprob = scores.gather(1, token) - top - total.log().float()
    return token[:, 0], logprob[:, 0]


def sequence_logprobs(model: Decoder, sequences: Tensor, temperature: float = 1.0) -> Tensor:
    """Log-probability of each token given those before it, (rows, time - 1), for left-aligned sequences (rows, time)."""
    scores = model(sequences[:, :-1]) / temperature
    # Patches of pictures are no words; their places are in the prompt and count nowhere.
    targets = sequences[:, 1:].clamp_max(model.config.vocab_size - 1)
    return -torch.nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none").view(
        len(sequences), -1
    )
