"""Checkpoints of the laboratory: a folder of safetensors, JSON and npz, complete or absent.

model.safetensors config.json tokenizer.json   the model, readable by transformers
task.json                                      the task and options it was trained for
optimizer.safetensors state.json               what exact resume needs besides
curriculum.npz                                 RL only
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from edgewise.checkpoint import read_json
from edgewise.errors import CheckpointError
from edgewise.lab.model.pretrained import IMPORTED

SHIPPED = Path(__file__).parent / "shipped"


def shipped(name: str) -> Path:
    """Folder of a checkpoint that comes with the package."""
    path = SHIPPED / name
    if not path.is_dir():
        known = ", ".join(sorted(p.name for p in SHIPPED.iterdir() if p.is_dir())) if SHIPPED.is_dir() else "none"
        raise CheckpointError(f"there is no folder and no shipped checkpoint '{name}'; shipped are: {known}")
    return path


def find(base: str) -> Path:
    """A checkpoint by folder, or by the name of an imported or a shipped one."""
    folder = Path(base)
    if not folder.is_dir():
        imported = IMPORTED / base
        if imported.is_dir():
            return imported
        if base == "smollm2":
            raise CheckpointError(f"{imported} does not exist; import the model first: edgewise model smollm2")
        return shipped(base)
    # The newest of a run may be another one tomorrow, and what was begun on this one could not go on.
    steps = steps_of(folder / "checkpoints")
    if steps:
        raise CheckpointError(f"{base} is the folder of a run; name one of its checkpoints, such as {steps[-1]}")
    return folder


def steps_of(folder: Path) -> list[Path]:
    """The checkpoints step_000100, step_000200, ... in a folder, oldest first: by number, since names grow beyond six digits."""
    return sorted((p for p in folder.glob("step_*") if p.name[5:].isdecimal()), key=lambda path: int(path.name[5:]))


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is missing or damaged: {error}") from error


def read_state(folder: Path) -> dict[str, Any]:
    return read_json(folder / "state.json")


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's moments as named tensors."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value).contiguous()
        for index, item in state.items()
        for name, value in item.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def generator_to_json(generator: torch.Generator) -> str:
    return bytes(generator.get_state().tolist()).hex()


def generator_from_json(generator: torch.Generator, text: str) -> None:
    generator.set_state(torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8))
