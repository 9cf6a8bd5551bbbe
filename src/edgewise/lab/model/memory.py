"""Memory that an RL step needs, estimated before it starts, and the smaller setting that fits."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from edgewise.errors import ConfigError, EdgewiseError
from edgewise.lab.model.config import ModelConfig
from edgewise.lab.model.decoder import Decoder
from edgewise.lab.model.vocabulary import CHUNK_LOGITS

PROCESS = 350 << 20
"""Python, torch and their libraries."""
LARGE = 20_000_000
"""Parameters from which memory that was freed is given back to the system after every step."""
EVALUATION = 1 << 30
"""Bytes that sampling for an evaluation may take even where a step takes less."""
ADAM, FLOAT, HALF = 2, 4, 2
KEPT_PER_LAYER = 4
"""Activations of a layer that the backward pass reads, in units of hidden_size, besides those of attention and MLP."""


@dataclass(frozen=True)
class StepSize:
    """Sizes of an RL step that decide its memory.

    Args:
        rows: completions that are sampled at once.
        longest: tokens of the longest sequence, prompt and completion.
        micro_tokens: tokens whose activations are held at once in the update.
        copies: copies of the model besides the policy: a reference, a critic with its own network.
        recompute: activation checkpointing.
        trained: parameters that are trained; None: all of them.
        bfloat16: whether rollouts are sampled in bfloat16, keys and values included.
    """

    rows: int
    longest: int
    micro_tokens: int
    copies: int = 0
    recompute: bool = False
    trained: int | None = None
    bfloat16: bool = False


def parameters_count(config: ModelConfig) -> int:
    """Number of parameters of a decoder, without making one."""
    with torch.device("meta"):
        return Decoder(config, None).parameters_count


def step_bytes(config: ModelConfig, size: StepSize) -> dict[str, int]:
    """Bytes of each part of a step, the update's in float32: what stays, and the larger of sampling and update.

    The estimate is meant to be within a third of the peak; it holds for plain AdamW.
    """
    weights = FLOAT * parameters_count(config)
    trained = weights if size.trained is None else FLOAT * size.trained
    heads = (config.num_attention_heads + 2 * config.num_key_value_heads) * config.head_dim
    sampling = size.rows * _sampled_row(config, size.longest, size.bfloat16)
    layer = KEPT_PER_LAYER * config.hidden_size + 2 * heads + 4 * config.intermediate_size
    kept = config.num_hidden_layers * config.hidden_size + layer if size.recompute else config.num_hidden_layers * layer
    chunk = min(CHUNK_LOGITS, size.micro_tokens * config.vocab_size)
    # The gradients of the embeddings and of the head are each as large as the matrix before they are added up.
    table = 0 if size.trained is not None else 2 * config.vocab_size * config.hidden_size
    update = trained + FLOAT * (size.micro_tokens * kept + 3 * chunk + table)
    return {
        "process": PROCESS,
        "parameters": (1 + size.copies) * weights,
        "optimizer": ADAM * trained,
        "step": max(sampling, update),
    }


def rows_at_once(config: ModelConfig, size: StepSize, longest: int, most: int) -> int:
    """Completions of sequences of `longest` tokens, at most `most`, that an evaluation may sample at once beside such a step.

    They take the memory of what a step holds for a while, or `EVALUATION` bytes where that is more: an evaluation needs no
    more memory than the step that was checked.
    """
    bytes_left = max(step_bytes(config, size)["step"], EVALUATION)
    return min(max(bytes_left // _sampled_row(config, longest, size.bfloat16), 1), most)


def _sampled_row(config: ModelConfig, longest: int, bfloat16: bool) -> int:
    """Bytes of one completion while it is sampled."""
    kept_keys = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * longest
    # Scores, their exponentials and the cumulated probabilities in float64.
    return kept_keys * (HALF if bfloat16 else FLOAT) + 4 * config.vocab_size * FLOAT


@contextmanager
def enough_memory(words: str) -> Iterator[None]:
    """Turn torch's error of memory that ran out into a sentence; an estimate may be wrong, and other processes take some.

    Args:
        words: what takes less memory.

    Raises:
        EdgewiseError: memory ran out inside.
    """
    try:
        yield
    except RuntimeError as error:
        of_device = isinstance(error, torch.OutOfMemoryError)
        if not of_device and "DefaultCPUAllocator" not in str(error):
            raise
        raise EdgewiseError(f"the memory of the {'GPU' if of_device else 'machine'} ran out: {words}") from error


def available_bytes(device: torch.device) -> int | None:
    """Memory that is free for this process: of the GPU, or of the machine and its control group; None where unknown."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = [_meminfo(), _control_group()]
    known = [value for value in found if value is not None]
    return min(known) if known else None


def check_memory(config: ModelConfig, size: StepSize, device: torch.device, available: int | None = None) -> None:
    """Refuse a step that does not fit.

    Args:
        config: the model.
        size: the step.
        device: where it runs.
        available: bytes for the whole process; by default what `available_bytes` finds beside the policy, which is loaded.

    Raises:
        ConfigError: the estimate is above what is available; the message has both numbers and a setting that fits.
    """
    free = available_bytes(device) if available is None else available
    if free is not None and available is None:
        # The policy is in memory by now.
        free += PROCESS + FLOAT * parameters_count(config)
    needed = sum(step_bytes(config, size).values())
    if free is None or needed <= free:
        return
    parts = ", ".join(f"{name} {_gigabytes(value)}" for name, value in step_bytes(config, size).items())
    raise ConfigError(
        f"a step needs about {_gigabytes(needed)} of memory ({parts}), {_gigabytes(free)} are free; {_smaller(config, size, free)}"
    )


def release_memory(model: Decoder) -> None:
    """Give memory that was freed back to the system, where the C library keeps it and the model is large."""
    if model.parameters_count >= LARGE:
        trim = getattr(_c_library(), "malloc_trim", None)
        if trim is not None:
            trim(0)


@cache
def _c_library() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if os.name == "posix" else None


def _smaller(config: ModelConfig, size: StepSize, free: int) -> str:
    """The first setting that fits, of those that cost little to those that cost most."""
    fewer = [replace(size, micro_tokens=max(size.micro_tokens // cut, 1)) for cut in (2, 4, 8, 16)]
    fewer += [replace(smaller, recompute=True) for smaller in (size, *fewer)]
    fewer += [replace(fewer[-1], rows=max(size.rows // cut, 1)) for cut in (2, 4, 8, 16)]
    for smaller in fewer:
        if sum(step_bytes(config, smaller).values()) <= free:
            words = [f"micro_batch_tokens: {smaller.micro_tokens}"] if smaller.micro_tokens != size.micro_tokens else []
            words += ["recompute: true"] if smaller.recompute and not size.recompute else []
            words += [f"prompts x rollouts of at most {smaller.rows}"] if smaller.rows != size.rows else []
            return f"{' with '.join(words)} would fit"
    return "no setting fits: use a smaller model or a larger machine"


def _meminfo() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), None)


def _control_group() -> int | None:
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        inactive = Path("/sys/fs/cgroup/memory.stat").read_text().split("inactive_file ")[1].split()[0]
    except (OSError, ValueError, IndexError):
        return None
    return None if limit == "max" else max(int(limit) - used + int(inactive), 0)


def _gigabytes(value: int) -> str:
    return f"{value / 1e9:.1f} GB"
