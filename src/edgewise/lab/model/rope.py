"""Frequencies of the rotary position embedding (arXiv 2104.09864), with the scalings of long-context models."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from edgewise.errors import ConfigError

if TYPE_CHECKING:
    from edgewise.lab.model.config import ModelConfig

SCALINGS = {
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}


def frequencies(config: ModelConfig) -> Tensor:
    """Radians per position of each pair of dimensions, (head_dim / 2,) float32."""
    frequency = config.rope_theta ** (-torch.arange(0, config.head_dim, 2) / config.head_dim)
    scaling = config.rope_scaling
    if scaling is None:
        return frequency
    if scaling["rope_type"] == "linear":
        return frequency / scaling["factor"]
    return _llama3(frequency, scaling)


def check_scaling(scaling: dict[str, Any]) -> None:
    """`ConfigError` unless the scaling is one of `SCALINGS` with all of its numbers."""
    kind = scaling.get("rope_type")
    if kind not in SCALINGS:
        raise ConfigError(f"rope scaling '{kind}' is not read; those read are {', '.join(SCALINGS)}")
    missing = [name for name in SCALINGS[kind] if not isinstance(scaling.get(name), (int, float))]
    if missing:
        raise ConfigError(f"rope scaling '{kind}' needs numbers for {', '.join(missing)}")
    for name in SCALINGS[kind]:
        check_positive(f"{name} of rope scaling '{kind}'", scaling[name])


def check_positive(name: str, value: Any) -> None:
    """`ConfigError` unless the value is a finite number above 0."""
    if not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ConfigError(f"{name} must be a number above 0, got {value!r:.80}")


def _llama3(frequency: Tensor, scaling: dict[str, Any]) -> Tensor:
    """Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between interpolated."""
    original = scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = original * frequency / (2 * math.pi)
    kept = ((turns - low) / (high - low)).clamp(0.0, 1.0)
    return frequency * (kept + (1 - kept) / scaling["factor"])
