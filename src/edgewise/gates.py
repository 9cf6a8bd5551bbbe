"""Gates: which finished groups train the policy. A gate with refill behind a uniform selector is dynamic sampling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from edgewise.arrays import NOISE, Counts, Flags, Floats, Rows, is_number, whole_number
from edgewise.errors import ConfigError
from edgewise.registry import Registry

By = Literal["success", "reward"]
Refill = Literal["shortfall", "batch"]


@dataclass(frozen=True, eq=False)
class Groups:
    """Finished groups, in the order in which they were observed.

    Attributes:
        rows: row of each prompt, (n,).
        ids: id of each prompt, (n,).
        rewards: rewards in [0, 1] as the trainer gave them, (sum of trials,), group after group.
        successes: correct rollouts of each group, (n,).
        trials: rollouts of each group, (n,).
        steps: policy step in which each prompt was selected, (n,).
        step: the present policy step.
        lengths: completion lengths in tokens, (sum of trials,); None where the trainer gave none.
    """

    rows: Rows
    ids: np.ndarray
    rewards: Floats
    successes: Counts
    trials: Counts
    steps: Counts
    step: int
    lengths: Counts | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def starts(self) -> Counts:
        """Position of each group's first rollout, (n,)."""
        return np.cumsum(self.trials) - self.trials

    @cached_property
    def informative(self) -> Flags:
        """0 < successes < trials, (n,)."""
        return (self.successes > 0) & (self.successes < self.trials)

    @cached_property
    def alike(self) -> Flags:
        """Several rollouts, all right or all wrong, (n,); a single rollout has no other to be like."""
        return (self.trials > 1) & ~self.informative

    def means(self) -> Floats:
        """Mean reward of each group, (n,)."""
        return np.add.reduceat(self.rewards, self.starts) / self.trials if len(self) else np.empty(0)

    def spreads(self) -> Floats:
        """Largest minus smallest reward of each group, (n,)."""
        if not len(self):
            return np.empty(0)
        return np.maximum.reduceat(self.rewards, self.starts) - np.minimum.reduceat(self.rewards, self.starts)


class Gate(ABC):
    """Admits finished groups to training. Several gates of a curriculum are combined by AND.

    Args:
        max_rounds: selections that one policy step may make until it has admitted as many groups as were asked for; 1
            filters without refill. DAPO's published cap is 10.
        refill: "shortfall" selects as many prompts as are missing; "batch" selects a whole batch again and carries what is
            admitted beyond the step's need over to the next (DAPO's generation batches).

    Example:
        >>> class Short(Gate):
        ...     \"\"\"Admits groups whose longest completion has at most 512 tokens.\"\"\"
        ...     def admit(self, groups):
        ...         return np.maximum.reduceat(groups.lengths, groups.starts) <= 512
        >>> Short(max_rounds=1)
        Short(max_rounds=1, refill='shortfall')
    """

    def __init__(self, *, max_rounds: int = 10, refill: Refill = "shortfall"):
        if refill not in ("shortfall", "batch"):
            raise ConfigError(f"refill must be 'shortfall' or 'batch', got '{refill}'")
        self.max_rounds, self.refill = whole_number("max_rounds", max_rounds, 1, ConfigError), refill

    def __repr__(self) -> str:
        return f"{type(self).__name__}(max_rounds={self.max_rounds}, refill='{self.refill}')"

    @abstractmethod
    def admit(self, groups: Groups) -> Flags:
        """Which groups train the policy, bool (n,)."""

    def metrics(self) -> dict[str, float]:
        """Numbers for a trainer's logger."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What a gate with memory has learned, as arrays and JSON values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`."""


gates: Registry[Gate] = Registry("gate")


@gates.register("informative")
class Informative(Gate):
    """DAPO's dynamic sampling (arXiv 2503.14476, eq. 11): a group trains iff its rollouts differ.

    Args:
        by: "success" admits 0 < successes < k; "reward" admits groups whose rewards spread by more than `tolerance`,
            for continuous rewards.
        tolerance: spread that still counts as float noise; 1e-6 covers rewards computed in float32.
        max_rounds: selections that a policy step may make.
        refill: see `Gate`.
    """

    def __init__(
        self, *, by: By = "success", tolerance: float = NOISE, max_rounds: int = 10, refill: Refill = "shortfall"
    ):
        super().__init__(max_rounds=max_rounds, refill=refill)
        self.by = _by(by)
        if not is_number(tolerance) or not 0 <= tolerance < 1:
            raise ConfigError(f"tolerance must lie in [0, 1), got {tolerance!r}")
        self.tolerance = float(tolerance)

    def admit(self, groups: Groups) -> Flags:
        return groups.informative if self.by == "success" else groups.spreads() > self.tolerance


@gates.register("band")
class Band(Gate):
    """Admits groups whose success rate, or mean reward, lies in [low, high] (balanced filtering, arXiv 2504.03380).

    Args:
        low: lower border, included up to float noise.
        high: upper border, included up to float noise.
        by: "success" or "reward".
        max_rounds: selections that a policy step may make.
        refill: see `Gate`.
    """

    def __init__(
        self,
        low: float = 0.2,
        high: float = 0.8,
        *,
        by: By = "success",
        max_rounds: int = 10,
        refill: Refill = "shortfall",
    ):
        super().__init__(max_rounds=max_rounds, refill=refill)
        if not (is_number(low) and is_number(high)) or not 0 <= low <= high <= 1:
            raise ConfigError(f"a band needs 0 <= low <= high <= 1, got [{low!r}, {high!r}]")
        self.low, self.high, self.by = float(low), float(high), _by(by)

    def admit(self, groups: Groups) -> Flags:
        means = groups.means() if self.by == "reward" else groups.successes / groups.trials
        return (means >= self.low - NOISE) & (means <= self.high + NOISE)


class GateStack:
    """Several gates as one: a group is admitted if every gate admits it. Without gates every group is.

    Refill follows the gate with the most rounds.
    """

    def __init__(self, parts: Gate | str | Sequence[Gate | str] | None):
        if parts is None:
            parts = []
        if not isinstance(parts, (list, tuple)):
            parts = [parts]  # type: ignore[list-item]
        self.parts = [make_gate(part) if isinstance(part, str) else part for part in parts]
        for part in self.parts:
            if not isinstance(part, Gate):
                raise ConfigError(
                    f"gates are names or Gate objects, got {part!r}; registered gates: {', '.join(gates.names())}"
                )
        first = max(self.parts, key=lambda part: part.max_rounds, default=None)
        self.max_rounds: int = first.max_rounds if first is not None else 1
        self.refill: Refill = first.refill if first is not None else "shortfall"

    @property
    def names(self) -> list[str]:
        return [type(part).__name__ for part in self.parts]

    def admit(self, groups: Groups) -> Flags:
        admitted = np.ones(len(groups), bool)
        for part in self.parts:
            verdict = np.asarray(part.admit(groups))
            if verdict.dtype != np.bool_ or verdict.shape != admitted.shape:
                raise ConfigError(
                    f"{type(part).__name__}.admit must return bool ({len(groups)},), got {verdict.dtype} {verdict.shape}"
                )
            admitted &= verdict
        return admitted

    def metrics(self) -> dict[str, float]:
        return {name: value for part in self.parts for name, value in part.metrics().items()}

    def state_dict(self) -> dict[str, Any]:
        return {"names": self.names, "states": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for part, saved in zip(self.parts, state["states"], strict=True):
            part.load_state_dict(saved)


def make_gate(name: str, **options: Any) -> Gate:
    """Build a registered gate.

    Example:
        >>> make_gate("informative", max_rounds=4)
        Informative(max_rounds=4, refill='shortfall')
    """
    return gates.make(name, **options)


def list_gates() -> list[str]:
    """Names of the registered gates."""
    return gates.names()


def _by(by: By) -> By:
    if by not in ("success", "reward"):
        raise ConfigError(f"by must be 'success' or 'reward', got '{by}'")
    return by
