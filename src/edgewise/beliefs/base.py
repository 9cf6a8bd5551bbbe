"""The contract of a belief: a distribution over every prompt's success rate now."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.pool import PromptPool, Rows

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class Belief(ABC):
    """What we believe about every prompt's success rate under the current policy.

    Everything is vectorised over rows; nothing does work proportional to the pool unless it is asked about the pool.
    Within one policy step, the order of observations does not matter.
    """

    def __init__(self, pool: PromptPool):
        self.pool = pool

    @abstractmethod
    def mean(self, rows: Rows) -> Floats:
        """Mean success rate, (n,) in [0, 1]."""

    @abstractmethod
    def draw(self, rows: Rows, rng: np.random.Generator) -> Floats:
        """One independent draw of each prompt's success rate, (n,) in [0, 1] (Thompson sampling)."""

    def spread(self, rows: Rows) -> Floats:
        """Standard deviation of each prompt's success rate, (n,) in [0, 1/2]; from a hundred draws where not overridden."""
        rng = np.random.default_rng(0)
        return np.std([self.draw(rows, rng) for _ in range(100)], axis=0)

    def closest(self, n: int, target: float, exclude: Rows, rng: np.random.Generator) -> Rows | None:
        """The n rows, none of `exclude` (sorted), whose draws are closest to `target`, without drawing for every prompt.

        Distributed exactly as the n closest of one `draw` of all others; None where a belief or target has no such way.
        """
        return None

    @abstractmethod
    def observe(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        """Take in `successes` of `trials` rollouts, each (n,), rows distinct and already checked."""

    @abstractmethod
    def advance(self) -> None:
        """One policy step has passed: beliefs about all prompts age, observed or not. Cost independent of the pool."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything learned, as arrays and JSON values; rows refer to the pool as it is now."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        """Restore `state_dict`. `remap[old row]` is the row in the present pool, -1 for prompts that are gone."""

    def grow(self) -> None:
        """The pool has been extended; make room for the new rows."""

    def metrics(self) -> dict[str, float]:
        return {}
