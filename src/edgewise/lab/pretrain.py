"""Next-token pre-training on a task's demonstrations: the loss counts completions, rows are bucketed by length."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgewise.errors import ConfigError, EdgewiseError
from edgewise.lab.checkpoints import Policy, RunFolder, read_state, read_tensors, restore_optimizer
from edgewise.lab.config import claim
from edgewise.lab.journal import Journal
from edgewise.lab.model import ModelConfig
from edgewise.lab.schedule import cosine

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of a pre-training run."""

    task: str = "opgraph"
    task_options: dict[str, Any] = field(default_factory=dict)
    difficulty: dict[str, Any] = field(default_factory=dict)
    """Arguments of the task's `demonstrations`."""
    model: ModelConfig = field(default_factory=ModelConfig)
    demonstrations: int = 400_000
    """Different problems; more steps than they last go round again."""
    steps: int = 3000
    batch: int = 128
    """Sequences a step."""
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-4
    warmup: float = 0.05
    """Share of the steps."""
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    save_every: int = 500

    def __post_init__(self) -> None:
        for name in ("demonstrations", "steps", "batch", "save_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")


def pretrain(config: PretrainConfig, out: Path, progress: Progress | None = None) -> Path:
    """Train a fresh model; resumes a run of the same configuration in `out`. Returns the last checkpoint's folder."""
    claim(out, config)
    folder, journal = RunFolder(out), Journal(out / "metrics.jsonl")
    policy = Policy.fresh(
        {"name": config.task, "options": config.task_options}, _model_fields(config.model), config.seed
    )
    model = policy.model
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.98), fused=True
    )

    def load(path: Path) -> int:
        saved = Policy.load(path)
        model.load_state_dict(saved.model.state_dict())
        restore_optimizer(optimizer, read_tensors(path / "optimizer.safetensors"))
        return int(read_state(path)["step"])

    start = folder.latest(load) or 0
    journal.rewind(start)
    if start >= config.steps:
        return folder.steps()[-1]
    texts = policy.task.demonstrations(config.demonstrations, config.seed, **config.difficulty)
    data = Corpus(policy.tokenizer.encode([p for p, _ in texts]), policy.tokenizer.encode([c for _, c in texts]))
    began, step = time.perf_counter(), start
    last = None
    for step, (tokens, counted) in enumerate(data.batches(config.batch, config.seed, start), start + 1):
        rate = cosine(step, config.steps, config.warmup, config.learning_rate, config.final_learning_rate)
        for group in optimizer.param_groups:
            group["lr"] = rate
        losses = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
        loss = (losses * counted[:, 1:].flatten()).sum() / counted[:, 1:].sum()
        if not torch.isfinite(loss):
            raise EdgewiseError(f"the loss became {loss.item()} at step {step}; the last good checkpoint is {last}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        if step % 10 == 0 or step == config.steps:
            seconds = time.perf_counter() - began
            line = {"step": step, "loss": loss.item(), "learning_rate": rate, "seconds": seconds}
            journal.append(line)
            if progress is not None:
                progress({**line, "steps": config.steps})
        if step % config.save_every == 0 or step == config.steps:
            last = folder.save(step, policy, optimizer, {})
        if step == config.steps:
            break
    return folder.steps()[-1]


class Corpus:
    """Prompt + completion sequences, batched by similar length so that little is padding."""

    def __init__(self, prompts: list[list[int]], completions: list[list[int]], pad: int = 0):
        self.sequences = [p + c for p, c in zip(prompts, completions, strict=True)]
        self.starts = np.array([len(p) for p in prompts])
        self.lengths = np.array([len(s) for s in self.sequences])
        self.pad = pad

    def batches(self, size: int, seed: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless (tokens (size, time) int64, counted (size, time) 0/1); the first `skip` batches are passed over."""
        if size > len(self.sequences):
            raise ConfigError(f"a batch of {size} is larger than the {len(self.sequences)} demonstrations")
        per_epoch = len(self.sequences) // size
        number = skip
        while True:
            epoch, index = divmod(number, per_epoch)
            rng = np.random.default_rng([seed, epoch])
            order = rng.permutation(len(self.sequences))[: per_epoch * size]
            # Sorted by length within chunks of 32 batches, then the batches shuffled.
            chunk = np.arange(len(order)) // (32 * size)
            order = order[np.lexsort((self.lengths[order], chunk))].reshape(per_epoch, size)
            order = order[rng.permutation(per_epoch)]
            for rows in order[index:]:
                yield self._pack(rows)
                number += 1

    def _pack(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        time_ = int(self.lengths[rows].max())
        tokens = np.full((len(rows), time_), self.pad, np.int64)
        for i, row in enumerate(rows):
            tokens[i, : self.lengths[row]] = self.sequences[row]
        column = np.arange(time_)
        counted = (column >= self.starts[rows, None]) & (column < self.lengths[rows, None])
        return torch.from_numpy(tokens), torch.from_numpy(counted.astype(np.float32))


def _model_fields(config: ModelConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ModelConfig.__dataclass_fields__ if name != "vocab_size"}
