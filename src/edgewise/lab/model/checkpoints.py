"""Checkpoints of the laboratory: a folder of safetensors, JSON and npz, complete or absent.

model.safetensors config.json tokenizer.json   the model, readable by transformers
task.json                                      the task and options it was trained for
optimizer.safetensors state.json               what exact resume needs besides
curriculum.npz                                 RL only
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from edgewise.checkpoint import write_json
from edgewise.errors import CheckpointError, EdgewiseError
from edgewise.lab.model.hugging_face import read_json
from edgewise.lab.model.policy import Policy
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
    steps = RunFolder(folder).steps()
    if steps:
        raise CheckpointError(f"{base} is the folder of a run; name one of its checkpoints, such as {steps[-1]}")
    return folder


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is missing or damaged: {error}") from error


class RunFolder:
    """The checkpoints of one run: step_000100, step_000200, ...; only the newest `keep` stay."""

    def __init__(self, root: Path, keep: int = 2):
        self.root, self.keep = root / "checkpoints", keep

    def steps(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(p for p in self.root.glob("step_*") if re.fullmatch(r"step_\d+", p.name))

    def save(
        self,
        step: int,
        policy: Policy,
        optimizer: torch.optim.Optimizer | None,
        state: dict[str, Any],
        extra: Any = None,
    ) -> Path:
        """Write a checkpoint under a temporary name and rename it. `extra(folder)` may add files.

        Raises:
            CheckpointError: the disk is full, or the folder cannot be written; checkpoints written before stay.
        """
        target, temporary = self.root / f"step_{step:06d}", self.root / f".step_{step:06d}.tmp"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            policy.save(temporary)
            if optimizer is not None:
                save_file(optimizer_tensors(optimizer), temporary / "optimizer.safetensors")
            write_json(temporary / "state.json", {**state, "step": step})
            if extra is not None:
                extra(temporary)
            for path in temporary.iterdir():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            shutil.rmtree(target, ignore_errors=True)
            temporary.rename(target)
        except (OSError, SafetensorError) as error:
            # What is half-written would fill the disk that is full already.
            shutil.rmtree(temporary, ignore_errors=True)
            kept = self.steps()
            before = f"{kept[-1]} is whole" if kept else "there is none before it"
            raise CheckpointError(
                f"cannot write the checkpoint of step {step} to {self.root}: {error}; {before}."
                " Make room or fix the folder; the same command goes on from there"
            ) from error
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(old)
        return target

    def latest(self, load: Any) -> Any | None:
        """What `load(folder)` makes of the newest checkpoint that is whole; None if there is none."""
        problems = []
        for folder in reversed(self.steps()):
            try:
                return load(folder)
            except EdgewiseError as error:
                problems.append(str(error))
        if problems:
            raise CheckpointError(f"no checkpoint under {self.root} can be read: {problems[0]}")
        return None


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
