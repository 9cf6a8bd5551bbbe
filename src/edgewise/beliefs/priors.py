"""Where a prompt's belief starts and returns to: fixed, known pass rates, or learned from its category."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from edgewise.beliefs.base import Counts, Floats
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool, Rows
from edgewise.registry import Registry


class Prior(ABC):
    """Pseudo-counts of successes and failures for every prompt.

    Where many prompts share a prior, they are of one kind, and what has to be known of the unseen ones is their number.
    """

    # Whether `counts` never changes.
    steady = False

    def __init__(self, pool: PromptPool):
        self.pool = pool

    def kinds(self) -> tuple[Floats, Floats] | None:
        """(alpha0, beta0) of each kind of prompt, (kinds,) each; None where every prompt has its own."""
        return None

    def kind(self, rows: np.ndarray) -> np.ndarray:
        """Kind of each prompt, integers (n,)."""
        return np.zeros(len(rows), np.int64)

    def sizes(self) -> np.ndarray:
        """Number of prompts of each kind, int64 (kinds,)."""
        return np.array([len(self.pool)], np.int64)

    def members(self, kind: int) -> np.ndarray | None:
        """Rows of one kind; None for the whole pool."""
        return None

    @abstractmethod
    def counts(self, rows: Rows) -> tuple[Floats, Floats]:
        """(alpha0, beta0), each (n,) and positive."""

    def observe(self, rows: Rows, successes: Counts, trials: Counts, predicted: Floats, first: np.ndarray) -> None:
        """Learn from rollouts: `predicted` is the mean before them, `first` marks prompts never observed before."""

    def advance(self) -> None:
        """One policy step has passed."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        """Restore `state_dict`."""
        if state:
            raise CheckpointError(
                f"a {type(self).__name__} learns nothing, but the saved prior holds {', '.join(state)}"
            )

    def grow(self) -> None:
        """The pool has been extended."""

    def metrics(self) -> dict[str, float]:
        return {}


priors: Registry[Prior] = Registry("prior")


@priors.register("fixed")
class FixedPrior(Prior):
    """One Beta(alpha0, beta0) for all prompts (MoPPS, arXiv 2507.04632; Beta(1, 1) without prior knowledge)."""

    steady = True

    def __init__(self, pool: PromptPool, alpha: float = 1.0, beta: float = 1.0):
        super().__init__(pool)
        if not (0 < alpha < np.inf and 0 < beta < np.inf):
            raise ConfigError(f"a Beta prior needs positive finite counts, got ({alpha}, {beta})")
        self.alpha, self.beta = float(alpha), float(beta)

    def counts(self, rows: Rows) -> tuple[Floats, Floats]:
        return np.full(len(rows), self.alpha), np.full(len(rows), self.beta)

    def kinds(self) -> tuple[Floats, Floats]:
        return np.array([self.alpha]), np.array([self.beta])


@priors.register("known")
class KnownRates(Prior):
    """Per-prompt pass rates known beforehand (an earlier evaluation), worth `strength` rollouts each, on top of Beta(1, 1).

    Args:
        rates: pass rate of each prompt in [0, 1], shape (pool,); NaN where it is unknown.
        strength: pseudo-rollouts, >= 0.
    """

    def __init__(self, pool: PromptPool, rates: Any, strength: float = 4.0):
        super().__init__(pool)
        self.rates = np.asarray(rates, np.float64)
        if self.rates.shape != (len(pool),):
            raise ConfigError(f"known pass rates must have shape ({len(pool)},), got {self.rates.shape}")
        known = self.rates[~np.isnan(self.rates)]
        if known.size and (known.min() < 0 or known.max() > 1):
            raise ConfigError("known pass rates must lie in [0, 1]")
        if not 0 <= strength < np.inf:
            raise ConfigError(f"strength must be a finite number of rollouts >= 0, got {strength}")
        self.strength = float(strength)

    def counts(self, rows: Rows) -> tuple[Floats, Floats]:
        rates = self.rates[rows]
        weight = np.where(np.isnan(rates), 0.0, self.strength)
        rates = np.nan_to_num(rates, nan=0.5)
        return 1.0 + weight * rates, 1.0 + weight * (1.0 - rates)

    def grow(self) -> None:
        self.rates = np.concatenate([self.rates, np.full(len(self.pool) - len(self.rates), np.nan)])


@priors.register("category")
class CategoryPrior(Prior):
    """A Beta prior for each category whose mean and strength are learned online, drift included (ours).

    Mean: a recursive average of innovations (observed minus predicted rate), weighted by how many independent rollouts a
    group is worth, shrunk towards the mean over all categories. Innovations, not raw rates: a selector that prefers some
    prompts of a category would bias the raw average, while a calibrated prediction makes innovations unbiased.

    Strength: from the spread of first visits. With intra-class correlation r, groups of k rollouts around mean m have
    variance m(1-m)(1/k + (1-1/k) r) (beta-binomial); a Beta prior with that r has strength 1/r - 1.

    Args:
        memory: steps after which an old observation counts 1/e, > 0. The policy drifts; so must the prior.
        shrinkage: rollouts that the average over categories counts for in each, > 0.
    """

    def __init__(self, pool: PromptPool, memory: float = 20.0, shrinkage: float = 8.0):
        super().__init__(pool)
        if not memory > 0 or not shrinkage > 0:
            raise ConfigError(f"memory and shrinkage must be positive, got {memory} and {shrinkage}")
        self.decay, self.shrinkage = float(np.exp(-1.0 / memory)), float(shrinkage)
        # One column a category code. Rows: mean; rollouts behind it; spread of first visits
        # beyond chance; what that spread would be at r = 1; and this step's rollouts, innovations, spread and its scale.
        self._state = np.empty((8, 0))
        self._names: list[str] = []
        self.grow()

    def counts(self, rows: Rows) -> tuple[Floats, Floats]:
        alpha, beta = self.kinds()
        kind = self.kind(rows)
        return alpha[kind], beta[kind]

    def observe(self, rows: Rows, successes: Counts, trials: Counts, predicted: Floats, first: np.ndarray) -> None:
        """Takes effect with the next `advance`, so that the order of observations within a step does not matter."""
        group, size = self.kind(rows), self._state.shape[1]
        mean, strength = self._table()
        rate = successes / trials
        worth = trials / (1.0 + (trials - 1.0) / (1.0 + strength[group]))
        self._state[4] += np.bincount(group, worth, size)
        self._state[5] += np.bincount(group, worth * (rate - predicted), size)
        fresh = first & (trials > 1)
        g, k, m = group[fresh], trials[fresh], mean[group[fresh]]
        within = m * (1.0 - m)
        self._state[6] += np.bincount(g, (rate[fresh] - m) ** 2 - within / k, size)
        self._state[7] += np.bincount(g, within * (1.0 - 1.0 / k), size)

    def advance(self) -> None:
        mean, _ = self._table()
        _, weight, excess, scale, gained, innovation, new_excess, new_scale = self._state
        # The recursion starts from the shrunken mean: a category's first data moves it from where the others are.
        moved = np.clip(mean + innovation / (weight + self.shrinkage + gained), 0.01, 0.99)
        # How prompts differ inside a category changes more slowly than how good the policy is.
        slow = np.sqrt(self.decay)
        self._state[0] = np.where(gained > 0, moved, self._state[0])
        self._state[1] = (weight + gained) * self.decay
        self._state[2] = (excess + new_excess) * slow
        self._state[3] = (scale + new_scale) * slow
        self._state[4:] = 0.0

    def kinds(self) -> tuple[Floats, Floats]:
        mean, strength = self._table()
        return mean * strength, (1.0 - mean) * strength

    def kind(self, rows: np.ndarray) -> np.ndarray:
        return self.pool.category_index(rows)

    def sizes(self) -> np.ndarray:
        return self.pool.category_sizes()

    def members(self, kind: int) -> np.ndarray | None:
        if self.pool.categories is None:
            return None
        return self.pool.members(kind)

    def _table(self) -> tuple[Floats, Floats]:
        """(mean, strength) by category, each shrunk towards the average over categories."""
        own, weight, excess, scale = self._state[:4]
        overall = (own @ weight + 0.5 * self.shrinkage) / (weight.sum() + self.shrinkage)
        mean = (own * weight + overall * self.shrinkage) / (weight + self.shrinkage)
        # Before any data r = 1/3, which is Beta(1, 1). A scale of 1.5 is about eight groups around a mean of 0.5.
        shared = (excess.sum() + 1.0) / (scale.sum() + 3.0)
        correlation = (excess + 1.5 * shared) / (scale + 1.5)
        return mean, 1.0 / np.clip(correlation, 0.02, 0.8) - 1.0

    def grow(self) -> None:
        self._carry(self._names, self._state)

    def _carry(self, names: list[str], table: Floats) -> None:
        """Take over the columns of categories that `table` has; others start afresh."""
        source = self.pool.match_categories(names)
        self._state = np.zeros((8, len(source)))
        self._state[0] = 0.5
        if table.shape[1]:
            self._state[:, source >= 0] = table[:, source[source >= 0]]
        self._names = list(self.pool.category_names)

    def state_dict(self) -> dict[str, Any]:
        return {"names": list(self.pool.category_names), "table": self._state.copy()}

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        names, table = list(state["names"]), np.asarray(state["table"], np.float64)
        if table.shape != (8, len(names) + 1):
            raise CheckpointError(f"the saved category prior has shape {table.shape}, expected {(8, len(names) + 1)}")
        self._carry(names, table)

    def metrics(self) -> dict[str, float]:
        mean, strength = self._table()
        return {"prior_strength": float(strength.mean()), "prior_mean": float(mean.mean())}
