"""Data parallelism over the processes that torchrun started; one process alone needs nothing of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from edgewise.errors import ConfigError


@dataclass(frozen=True)
class World:
    """The processes of a run and this one's place among them."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module whose gradients are averaged over the processes."""
        return DistributedDataParallel(module) if self.size > 1 else module

    def local(self, module: nn.Module) -> AbstractContextManager[None]:
        """Inside, gradients of a wrapped module stay in this process: all but the last part of an accumulation."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def sum(self, values: list[float]) -> list[float]:
        """Sums over the processes, in float64."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return self.sum([float(flag)])[0] > 0

    def sum_gradients(self, module: nn.Module) -> None:
        """Make each gradient the sum over the processes; where one computed none, its part is 0."""
        if self.size == 1:
            return
        for parameter in module.parameters():
            if not parameter.requires_grad:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)

    def gather(self, own: Tensor, owner: npt.NDArray[np.int64]) -> Tensor:
        """Rows of all processes (n, ...): row i comes from process `owner[i]`; `own` holds this one's, in order."""
        if self.size == 1:
            return own
        places = [torch.from_numpy(np.flatnonzero(owner == rank)).to(self.device) for rank in range(self.size)]
        padded = own.new_zeros(max(map(len, places)), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in places]
        dist.all_gather(parts, padded)
        rows = own.new_empty(len(owner), *own.shape[1:])
        for place, part in zip(places, parts, strict=True):
            rows[place] = part[: len(place)]
        return rows

    def fork(self, generator: torch.Generator) -> torch.Generator:
        """A generator of this process's own, seeded with one draw from the one that all share; alone, that one itself."""
        if self.size == 1:
            return generator
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        return torch.Generator(generator.device).manual_seed(seed + self.rank)

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()


ALONE = World(0, 1, torch.device("cpu"))
"""One process; the device does not matter where nothing travels."""


def find_device(name: str) -> torch.device:
    """The device of a setting: "auto" is the GPU of this process if there is one, otherwise the CPU."""
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device must be 'auto', 'cpu' or 'cuda', got '{name}'")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is 'cuda', but torch finds no GPU; use 'auto' or 'cpu'")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def world(device: str = "auto") -> Iterator[World]:
    """Join the processes that torchrun started, by NCCL on GPUs and by gloo on CPUs; leave them at the end."""
    where = find_device(device)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if where.type == "cuda":
        torch.cuda.set_device(where)
    if size == 1:
        yield World(0, 1, where)
        return
    # It has the group of the moment as a default argument. Imported only after the group exists, as the first optimizer does,
    # it would keep the group's threads alive past their end, and they crash some exits.
    from torch.distributed.nn import functional  # noqa: F401

    dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size(), where)
    finally:
        dist.destroy_process_group()
