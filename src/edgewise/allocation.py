"""How many rollouts each selected prompt gets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.errors import ConfigError
from edgewise.registry import Registry

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class Allocation(ABC):
    """Rollouts for a batch."""

    def __init__(self) -> None:
        self.spec: dict[str, Any] | None = None

    @abstractmethod
    def rollouts(self, predicted: Floats) -> Counts:
        """Rollouts of each prompt, (n,) >= 1, given its predicted success rate (n,)."""


allocations: Registry[Allocation] = Registry("allocation")


@allocations.register("constant")
class Constant(Allocation):
    """The same number of rollouts for every prompt."""

    def __init__(self, rollouts: int = 8):
        super().__init__()
        if int(rollouts) != rollouts or rollouts < 1:
            raise ConfigError(f"rollouts must be a whole number >= 1, got {rollouts}")
        self.number = int(rollouts)

    def rollouts(self, predicted: Floats) -> Counts:
        return np.full(len(predicted), self.number, np.int64)


def make_allocation(name: str, **options: Any) -> Allocation:
    allocation = allocations.make(name, **options)
    allocation.spec = {"name": name, "options": options}
    return allocation
