"""The 103M model on a GPU: tokens a second of pre-training and of generation, and how much of the GPU training uses.

MFU (model FLOPs utilisation, PaLM, arXiv 2204.02311): 6 P FLOPs a token over the peak of the GPU, attention not counted.
Nothing is printed where there is no GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch

from benchmarks.row import Row
from edgewise.lab.budgets import train_flops
from edgewise.lab.checkpoints import Policy
from edgewise.lab.corpus import Corpus
from edgewise.lab.generate import generate
from edgewise.lab.packed import Objective
from edgewise.lab.presets import preset

SIZE, TOKENS, STEPS = "103M", 65_536, 20
ROLLOUTS, NEW = 1_024, 512
TASK = {"name": "gsm_infinite", "options": {}}
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bfloat16 FLOPs a second, from the vendor's data sheets, by what the device's name contains."""


def rows() -> Iterator[Row]:
    if not torch.cuda.is_available():
        return
    device, name = torch.device("cuda"), torch.cuda.get_device_name()
    policy = Policy.fresh(TASK, preset(SIZE)["model"], seed=0)
    policy.model.to(device)
    rolled = generation(policy, device, ROLLOUTS, NEW)
    trained = training(policy, device, TOKENS, STEPS)
    yield Row(f"pre-training, {SIZE} parameters, {name}", trained, "tokens/s", "measured", True)
    peak = next((peak for part, peak in PEAKS.items() if part in name), None)
    if peak is not None:
        used = train_flops(sum(p.numel() for p in policy.model.parameters()), trained) / peak
        yield Row(f"MFU of it, peak {peak / 1e12:.0f} TFLOPs", 100 * used, "%", "measured", True)
    yield Row(f"generation, {SIZE} parameters, {ROLLOUTS} rows", rolled, "tokens/s", "measured", True)


def training(policy: Policy, device: torch.device, tokens: int, steps: int) -> float:
    """Tokens a second of optimiser steps on packs of `tokens` tokens, as `edgewise pretrain` takes them on a GPU."""
    longest = policy.model.config.max_position_embeddings
    corpus = Corpus(policy.task, policy.tokenizer, {"op": (2, 20)}, tokens, "text", longest)
    packs = [corpus[index].to(device) for index in range(steps)]
    objective: torch.nn.Module = Objective(policy.model)
    if device.type == "cuda":
        objective.compile()
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=1e-4, fused=True)

    def step(index: int) -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = objective(packs[index]) / len(packs[index].targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
        optimizer.step()

    def all_steps() -> None:
        for index in range(steps):
            step(index)

    # Every pack has its own shapes: they are compiled before time is taken.
    all_steps()
    return tokens * steps / _seconds(all_steps, device)


def generation(policy: Policy, device: torch.device, rollouts: int, new: int) -> float:
    """Completion tokens a second; a model without training hardly ever ends by itself, so rows have `new` tokens."""
    prompts = policy.tokenizer.encode([problem.prompt for problem in policy.task.make(rollouts, 0, op=(2, 20))])
    end, pad = policy.tokenizer.end, policy.tokenizer.pad
    generate(policy.model, prompts, 8, end, pad)
    counts: list[int] = []
    spent = _seconds(lambda: counts.append(int(generate(policy.model, prompts, new, end, pad).lengths.sum())), device)
    return counts[-1] / spent


def _seconds(action: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
