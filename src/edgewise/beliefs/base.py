"""Contract of a belief: a distribution of every prompt's success rate under the current policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from edgewise.arrays import Counts, Floats, Rows
from edgewise.distributions import Distribution
from edgewise.parts import Part
from edgewise.registry import Registry
from edgewise.seen import SeenTable

WIDEST = 1000.0
"""Largest standard deviation on the logit scale that a belief starts from: a logit of 40 is a success rate of 1 already."""


class Exchangeable(NamedTuple):
    """Prompts never observed, in classes whose prompts share one distribution.

    Attributes:
        distribution: of a prompt of each class, (classes,).
        sizes: prompts never observed of each class, int64 (classes,).
        by_category: the classes are the category codes; otherwise all prompts are one class.
        seen: the prompts that have been observed.
    """

    distribution: Distribution
    sizes: Counts
    by_category: bool
    seen: SeenTable


class Belief(Part, ABC):
    """Distribution of every prompt's success rate under the current policy.

    Everything is vectorised over rows, and nothing visits the pool unless it is given all rows. Within one policy step the
    order of observations does not matter. A belief starts from the pool's priors where there are any.

    Example:
        >>> import edgewise as ew
        >>> from edgewise.distributions import Beta
        >>> class Counter(Belief):
        ...     "Beta(1 + successes, 1 + failures)."
        ...     by_row = {"wins": 0.0, "losses": 0.0}
        ...     def __init__(self, pool):
        ...         super().__init__(pool)
        ...         self.wins, self.losses = np.zeros(len(pool)), np.zeros(len(pool))
        ...     def distribution(self, rows):
        ...         return Beta(1 + self.wins[rows], 1 + self.losses[rows])
        ...     def observe(self, rows, successes, trials, age=None):
        ...         self.wins[rows] += successes
        ...         self.losses[rows] += trials - successes
        >>> belief = Counter(ew.PromptPool(range(2)))
        >>> belief.observe(np.array([1]), np.array([6]), np.array([6]))
        >>> belief.mean(np.arange(2)).tolist()
        [0.5, 0.875]
    """

    @abstractmethod
    def distribution(self, rows: Rows) -> Distribution:
        """Distribution of each prompt's success rate now, (n,)."""

    @abstractmethod
    def observe(self, rows: Rows, successes: Counts, trials: Counts, age: Counts | None = None) -> None:
        """See `Part.observe`."""

    def mean(self, rows: Rows) -> Floats:
        """Predicted success rates, (n,) in [0, 1]."""
        return self.distribution(rows).mean()

    def std(self, rows: Rows) -> Floats:
        """Standard deviation of each prompt's success rate, (n,) in [0, 1/2]."""
        return self.distribution(rows).std()

    def draw(self, rows: Rows, rng: np.random.Generator) -> Floats:
        """One independent draw of each prompt's success rate, (n,) in [0, 1] (Thompson sampling)."""
        return self.distribution(rows).draw(rng)

    def exchangeable(self) -> Exchangeable | None:
        """Prompts never observed by class, so that draws need not visit them; None where each has its own distribution."""
        return None

    @property
    def static(self) -> bool:
        """Whether a prompt's distribution changes only when that prompt is observed."""
        return False


beliefs: Registry[Belief] = Registry("belief")


def list_beliefs() -> list[str]:
    """Names of all registered beliefs, those of installed packages included."""
    return beliefs.names()
