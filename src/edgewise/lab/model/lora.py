"""LoRA (arXiv 2106.09685) through the package peft: low-rank adapters of the projections, merged into plain weights on export."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.errors import CheckpointError, ConfigError
from edgewise.lab.model.decoder import Decoder

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ADAPTER, BASE = "default", "base_layer."


@dataclass(frozen=True)
class LoraSettings:
    """W x becomes W x + (alpha / rank) B A x; W is frozen, A (rank, in) and B (out, rank) are trained, B is 0 at first."""

    rank: int = 16
    alpha: float = 32.0
    targets: tuple[str, ...] = PROJECTIONS
    """Projections that get an adapter."""

    def __post_init__(self) -> None:
        if self.rank < 1 or not 0 < self.alpha < math.inf:
            raise ConfigError(
                f"LoRA needs a rank of at least 1 and a finite alpha above 0, got {self.rank} and {self.alpha}"
            )
        unknown = sorted(set(self.targets) - set(PROJECTIONS))
        if unknown or not self.targets:
            given = ", ".join(unknown) or "none"
            raise ConfigError(f"targets of LoRA must be some of {', '.join(PROJECTIONS)}, got {given}")


def add_lora(model: Decoder, settings: LoraSettings, seed: int) -> None:
    """Freeze a model and give it adapters, in place.

    Raises:
        ConfigError: the package peft is missing.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ModuleNotFoundError as error:
        raise ConfigError("LoRA needs the package peft: pip install peft") from error
    model.requires_grad_(False)
    alpha: Any = settings.alpha  # peft takes any number, and is typed for whole ones
    config = LoraConfig(r=settings.rank, lora_alpha=alpha, target_modules=list(settings.targets))
    # peft draws A from torch's global generator.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model)


def has_lora(model: nn.Module) -> bool:
    """Whether a model has adapters."""
    return any(f".lora_A.{ADAPTER}." in name for name, _ in model.named_parameters())


def adapter_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The adapters by name, empty without any."""
    return {n: p.detach().cpu().contiguous() for n, p in model.named_parameters() if ".lora_" in n}


def load_adapters(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Take back what `adapter_tensors` gave.

    Raises:
        CheckpointError: the adapters are of another model or of other settings; nothing has changed then.
    """
    own = {name: parameter for name, parameter in model.named_parameters() if ".lora_" in name}
    fits = own.keys() == tensors.keys() and all(own[name].shape == tensors[name].shape for name in own)
    if not fits:
        raise CheckpointError("the adapters of the checkpoint do not fit the model and its settings of LoRA")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(tensors[name])


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """The weights under the names that they have without adapters, which are merged: W + (alpha / rank) B A."""
    state = model.state_dict()
    if not has_lora(model):
        return state
    plain = {}
    for name, value in state.items():
        if ".lora_" in name:
            continue
        owner, base, end = name.rpartition(BASE)
        if not base:
            plain[name] = value
            continue
        layer: Any = model.get_submodule(owner.removesuffix("."))
        plain[owner + end] = value + layer.get_delta_weight(ADAPTER) if end == "weight" else value
    return plain
