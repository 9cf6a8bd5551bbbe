"""The 103M model on a GPU: tokens a second of pre-training and of generation, and how much of the GPU training uses.

MFU (model FLOPs utilisation, PaLM, arXiv 2204.02311): 6 P FLOPs a token over the peak of the GPU, attention not counted.
Nothing is printed where there is no GPU.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.language import TASK, Side
from benchmarks.row import Row, seconds
from edgewise.lab.model.generate import generate
from edgewise.lab.model.packed import Objective, Pack
from edgewise.lab.model.policy import Policy
from edgewise.lab.run.budgets import train_flops
from edgewise.lab.run.corpus import Corpus
from edgewise.lab.run.presets import preset

SIZE, TOKENS, STEPS = "103M", 65_536, 20
ROLLOUTS, NEW = 1_024, 512
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bfloat16 FLOPs a second, from the vendor's data sheets, by what the device's name contains."""


def rows() -> Iterator[Row]:
    if not torch.cuda.is_available():
        return
    device, name = torch.device("cuda"), torch.cuda.get_device_name()
    policy = Policy.fresh(TASK, preset(SIZE)["model"], seed=0)
    policy.model.to(device)
    rolled = generation(policy, ROLLOUTS, NEW)
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

    def loss(objective: torch.nn.Module, pack: Pack) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return objective(pack) / len(pack.targets)

    side = Side(loss, objective)
    # Every pack has its own shapes: the round that does not count compiles for them. Reading a loss waits for the GPU.
    return tokens * steps / seconds(lambda: [side.step(pack) for pack in packs], 1)


def generation(policy: Policy, rollouts: int, new: int) -> float:
    """Completion tokens a second; a model without training hardly ever ends by itself, so rows have `new` tokens."""
    prompts = policy.tokenizer.encode([problem.prompt for problem in policy.task.make(rollouts, 0, op=(2, 20))])
    end, pad = policy.tokenizer.end, policy.tokenizer.pad
    counts: list[int] = []
    spent = seconds(lambda: counts.append(int(generate(policy.model, prompts, new, end, pad).lengths.sum())), 1)
    return counts[-1] / spent
