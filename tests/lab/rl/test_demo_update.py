"""The demo's algorithm, GRPO's advantage under DAPO's token mean with two ends of the clip, bit for bit as it was published."""

import copy

import numpy as np
import torch

from edgewise.lab.model import Decoder, ModelConfig
from edgewise.lab.model.generate import Rollouts, sequence_logprobs
from edgewise.lab.rl.algorithms import Algorithm
from edgewise.lab.rl.batch import RolloutBatch
from edgewise.lab.rl.config import RLConfig
from edgewise.lab.rl.update import BETAS, Learner, UpdateSettings

K, PROMPTS, LONGEST = 8, 12, 7


def published(model: Decoder, optimizer: torch.optim.Optimizer, prompts, completions, logprobs, rewards) -> None:
    """One step written out with lists: rewards (prompts, k); the rest a list for each completion."""
    centred = rewards - rewards.mean(1, keepdims=True)
    spread = rewards.std(1, ddof=1, keepdims=True)
    advantages = np.where(np.ptp(rewards, 1)[:, None] > 1e-6, centred / (spread + 1e-4), 0.0).ravel()
    tokens = sum(map(len, completions))
    flat = [item for item in zip(prompts, completions, logprobs, advantages.tolist(), strict=True) if item[3] != 0]
    flat.sort(key=lambda item: len(item[0]) + len(item[1]))
    optimizer.zero_grad(set_to_none=True)
    for begin in range(0, len(flat), 32):
        part = flat[begin : begin + 32]
        time = max(len(prompt) + len(completion) for prompt, completion, *_ in part)
        rows = torch.zeros(len(part), time, dtype=torch.int64)
        old, counted = torch.zeros(len(part), time - 1), torch.zeros(len(part), time - 1)
        for i, (prompt, completion, own, _) in enumerate(part):
            first, last = len(prompt), len(prompt) + len(completion)
            rows[i, :first], rows[i, first:last] = torch.tensor(prompt), torch.tensor(completion)
            old[i, first - 1 : last - 1] = torch.tensor(own)
            counted[i, first - 1 : last - 1] = 1.0
        weight = torch.tensor([advantage for *_, advantage in part])[:, None]
        ratio = ((sequence_logprobs(model, rows) - old) * counted).exp()
        surrogate = torch.minimum(ratio * weight, ratio.clamp(1 - 0.2, 1 + 0.28) * weight)
        (-(surrogate * counted).sum() / tokens).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def test_steps_of_the_default_algorithm_are_the_published_ones_bit_for_bit() -> None:
    assert RLConfig().algorithm == Algorithm.parse({"like": "dapo", "overlong": None})
    model = Decoder(ModelConfig(vocab_size=23, hidden_size=16, intermediate_size=24, num_hidden_layers=2), seed=2)
    other = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(other.parameters(), lr=2e-3, betas=BETAS, weight_decay=0.0, fused=True)
    learner = Learner(model, RLConfig().algorithm, UpdateSettings(2e-3, LONGEST))
    draw, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    for _ in range(4):
        prompts = [rng.integers(2, 23, rng.integers(2, 6)).tolist() for _ in range(PROMPTS)]
        prompts = [prompt for prompt in prompts for _ in range(K)]
        lengths = rng.integers(1, LONGEST + 1, PROMPTS * K)
        tokens = torch.randint(2, 23, (PROMPTS * K, LONGEST), generator=draw)
        logprobs = -3 - torch.rand(PROMPTS * K, LONGEST, generator=draw)
        rewards = (rng.random((PROMPTS, K)) < rng.random((PROMPTS, 1)).round(1)).astype(np.float64)
        rollouts = Rollouts(tokens, torch.from_numpy(lengths), logprobs)
        group = np.repeat(np.arange(PROMPTS), K)
        learner.update(RolloutBatch.of(prompts, rollouts, rewards.ravel(), group))
        rows = [tokens[i, :n].tolist() for i, n in enumerate(lengths)]
        published(other, optimizer, prompts, rows, [logprobs[i, :n].tolist() for i, n in enumerate(lengths)], rewards)
        for (name, ours), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
            assert torch.equal(ours, theirs), name
