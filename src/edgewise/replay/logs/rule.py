"""Rule of correctness: a threshold on a reward, or a column that says it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgewise.arrays import NOISE
from edgewise.errors import ConfigError


@dataclass(frozen=True)
class Rule:
    """When a rollout of a log counts as correct.

    Attributes:
        success: a reward of at least this is correct; None: 0.5, for rewards in [0, 1].
        scale: (low, high): rewards that are 0 and 1; a logged reward is brought to (reward - low) / (high - low).

    Raises:
        ConfigError: a scale that is not increasing, a threshold that is not finite.
    """

    success: float | None = None
    scale: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.success is not None and not np.isfinite(self.success):
            raise ConfigError(
                f"--success takes the reward from which on a rollout is correct, a number; got {self.success}"
            )
        if self.scale is not None and not (np.isfinite(self.scale).all() and self.scale[0] < self.scale[1]):
            raise ConfigError(
                f"--scale takes the rewards that stand for 0 and for 1, low before high; got {self.scale}"
            )

    def correct(self, rewards: npt.NDArray[np.float64], column: str, place: str) -> npt.NDArray[np.bool_]:
        """Correctness of rewards, (n,).

        Raises:
            ConfigError: rewards outside [0, 1] although neither the scale nor the threshold was given.
        """
        if self.scale is not None:
            rewards = (rewards - self.scale[0]) / (self.scale[1] - self.scale[0])
        outside = (rewards < -NOISE) | (rewards > 1 + NOISE)
        if outside.any() and (self.success is None or self.scale is not None):
            low, high = float(rewards.min()), float(rewards.max())
            if self.scale is not None:
                raise ConfigError(
                    f"{place}: after --scale {self.scale[0]:g} {self.scale[1]:g} the rewards of column '{column}' still go"
                    f" from {low:g} to {high:g}: give the lowest and the highest reward that can occur"
                )
            raise ConfigError(
                f"{place}: the rewards of column '{column}' go from {low:g} to {high:g}, outside [0, 1]: say what stands for"
                f" 0 and 1 (--scale {low:g} {high:g}), or from which reward on a rollout is correct (--success {high:g})"
            )
        return rewards >= (0.5 if self.success is None else self.success) - NOISE
