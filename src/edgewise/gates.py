"""Gates decide which finished groups train the policy; a gate with refill and a uniform selector is dynamic sampling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.errors import ConfigError
from edgewise.registry import Registry

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """Rewards of finished groups: `rewards` (sum of trials,) in [0, 1], grouped in order; trials and successes (n,)."""

    rewards: Floats
    trials: Counts
    successes: Counts

    @property
    def starts(self) -> Counts:
        return np.cumsum(self.trials) - self.trials

    def means(self) -> Floats:
        """Mean reward of each group, (n,)."""
        return np.add.reduceat(self.rewards, self.starts) / self.trials if len(self.trials) else np.empty(0)

    def spreads(self) -> Floats:
        """Largest minus smallest reward of each group, (n,)."""
        if not len(self.trials):
            return np.empty(0)
        return np.maximum.reduceat(self.rewards, self.starts) - np.minimum.reduceat(self.rewards, self.starts)


class Gate(ABC):
    """Admits finished groups to training.

    Args:
        max_rounds: batches that one step may roll out until it has admitted as many groups as were asked for;
            1 filters without refill. DAPO's published cap is 10.
    """

    def __init__(self, max_rounds: int = 10):
        if not 1 <= max_rounds < np.inf or int(max_rounds) != max_rounds:
            raise ConfigError(f"max_rounds must be a whole number >= 1, got {max_rounds}")
        self.max_rounds = int(max_rounds)
        self.spec: dict[str, Any] | None = None

    @abstractmethod
    def admit(self, groups: Groups) -> npt.NDArray[np.bool_]:
        """Which groups train the policy, (n,)."""


gates: Registry[Gate] = Registry("gate")


@gates.register("informative")
class Informative(Gate):
    """DAPO's dynamic sampling (arXiv 2503.14476, eq. 11): a group trains iff its rollouts differ.

    Args:
        by: "success" admits 0 < successes < k; "reward" admits groups whose rewards spread by more than `tolerance`,
            for continuous rewards.
        tolerance: spread that still counts as float noise; 1e-6 covers rewards computed in float32.
        max_rounds: batches a step may roll out.
    """

    def __init__(self, by: str = "success", tolerance: float = 1e-6, max_rounds: int = 10):
        super().__init__(max_rounds)
        self.by = _by(by)
        if not 0 <= tolerance < 1:
            raise ConfigError(f"tolerance must lie in [0, 1), got {tolerance}")
        self.tolerance = float(tolerance)

    def admit(self, groups: Groups) -> npt.NDArray[np.bool_]:
        if self.by == "success":
            return (groups.successes > 0) & (groups.successes < groups.trials)
        return groups.spreads() > self.tolerance


@gates.register("band")
class Band(Gate):
    """Admits groups whose success rate, or mean reward, lies in [low, high] (balanced filtering, arXiv 2504.03380).

    Args:
        low, high: the band, borders included up to float noise.
        by: "success" or "reward".
        max_rounds: batches a step may roll out.
    """

    NOISE = 1e-9

    def __init__(self, low: float = 0.2, high: float = 0.8, by: str = "success", max_rounds: int = 10):
        super().__init__(max_rounds)
        if not 0 <= low <= high <= 1:
            raise ConfigError(f"a band needs 0 <= low <= high <= 1, got [{low}, {high}]")
        self.low, self.high, self.by = float(low), float(high), _by(by)

    def admit(self, groups: Groups) -> npt.NDArray[np.bool_]:
        means = groups.means() if self.by == "reward" else groups.successes / groups.trials
        return (means >= self.low - self.NOISE) & (means <= self.high + self.NOISE)


def make_gate(name: str, **options: Any) -> Gate:
    gate = gates.make(name, **options)
    gate.spec = {"name": name, "options": options}
    return gate


def _by(by: str) -> str:
    if by not in ("success", "reward"):
        raise ConfigError(f"by must be 'success' or 'reward', got '{by}'")
    return by
