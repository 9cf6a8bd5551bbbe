"""Training on documents of unequal length: our packs against a Trainer-style loop on transformers, same weights and text.

The loop does what transformers' Trainer does by default: random batches padded to their longest row, labels of -100 where
nothing counts, a forward pass with labels, clipping, AdamW. Both count the documents' own tokens, padding excluded.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.row import Row
from edgewise.lab.model.packed import Objective, Pack
from edgewise.lab.model.policy import Policy
from edgewise.lab.run.presets import preset

DOCUMENTS = 16
"""A step's; GSM-Infinite of 2 to 20 operations: 60 to 700 tokens."""
REPEATS = {"1M": 7, "10M": 5}
Documents = list[tuple[list[int], list[int]]]
"""(prompt, completion) token ids."""
TASK = {"name": "gsm_infinite", "options": {}}


@dataclass
class Side:
    """One way to train: what a step does to its model with a batch."""

    loss: Callable[[torch.nn.Module, Any], torch.Tensor]
    model: torch.nn.Module

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)

    def step(self, batch: Any) -> float:
        """One optimiser step; the loss a counted token."""
        loss = self.loss(self.model, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()


def rows() -> Iterator[Row]:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    for name, repeats in REPEATS.items():
        policy = Policy.fresh(TASK, preset(name)["model"], seed=0)
        sides = [Side(_padded, _transformers(policy)), Side(_packed, Objective(policy.model))]
        theirs, ours = _tokens_a_second(sides, _steps(policy, repeats + 1))
        yield Row.rate(f"training, {name} parameters, unequal rows", ours, theirs, "tokens/s", 1.3)


def _steps(policy: Policy, count: int) -> list[Documents]:
    modes = {"forward": 0.5, "reverse": 0.5}
    pairs = policy.task.demonstrations(DOCUMENTS * count, 0, op=(2, 20), mode=modes)
    prompts = policy.tokenizer.encode([prompt for prompt, _ in pairs])
    completions = policy.tokenizer.encode([completion for _, completion in pairs])
    documents = list(zip(prompts, completions, strict=True))
    return [documents[begin : begin + DOCUMENTS] for begin in range(0, len(documents), DOCUMENTS)]


def _packed(objective: torch.nn.Module, documents: Documents) -> torch.Tensor:
    pack = Pack.of([p + c for p, c in documents], [len(p) for p, _ in documents])
    return objective(pack) / len(pack.targets)


def _padded(model: torch.nn.Module, documents: Documents) -> torch.Tensor:
    width = max(len(p) + len(c) for p, c in documents)
    tokens = torch.zeros(len(documents), width, dtype=torch.int64)
    labels, mask = torch.full_like(tokens, -100), torch.zeros_like(tokens)
    for row, (prompt, completion) in enumerate(documents):
        end = len(prompt) + len(completion)
        tokens[row, :end] = torch.tensor(prompt + completion)
        labels[row, len(prompt) : end] = torch.tensor(completion)
        mask[row, :end] = 1
    return model(input_ids=tokens, attention_mask=mask, labels=labels).loss


def _tokens_a_second(sides: list[Side], steps: list[Documents]) -> list[float]:
    """Medians over the steps, taken in turns; the first does not count, but shows that all compute the same loss."""
    first = [side.step(steps[0]) for side in sides]
    if not isclose(*first, rel_tol=1e-4):
        raise ValueError(f"the two sides do not compute the same loss: {first}")
    rates: list[list[float]] = [[] for _ in sides]
    for documents in steps[1:]:
        size = sum(len(p) + len(c) for p, c in documents)
        for side, own in zip(sides, rates, strict=True):
            start = time.perf_counter()
            side.step(documents)
            own.append(size / (time.perf_counter() - start))
    return [median(own) for own in rates]


def _transformers(policy: Policy) -> torch.nn.Module:
    from transformers import Qwen2ForCausalLM

    with tempfile.TemporaryDirectory() as folder:
        policy.save(Path(folder))
        loaded: torch.nn.Module = Qwen2ForCausalLM.from_pretrained(folder)
    return loaded.train()
