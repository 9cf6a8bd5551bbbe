"""Base of the rules that first choose a category, then any of its prompts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import numpy as np

from edgewise.arrays import Counts, Floats, Rows
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.base import Selector
from edgewise.selectors.candidates import Candidates
from edgewise.selectors.groups import LastGroups


class CategorySelector(Selector):
    """Draws the category of every place in the batch, then prompts of the category uniformly, none twice.

    Prompts without a category are a category of their own, code 0. What an exhausted category cannot serve is drawn again
    from the others, counted by the metric `fallback_picks`.

    Args:
        pool: prompts with categories.
        seed: seed of the draws.
    """

    saved = ("fallback_picks",)

    def __init__(self, pool: PromptPool, *, seed: int = 0):
        super().__init__(pool, seed=seed)
        if not pool.has_categories:
            raise ConfigError("this selector chooses among categories: give PromptPool(..., categories=...)")
        self.fallback_picks = 0
        # Rollouts of a prompt that come in parts make one group, so that its advantages are those of the whole.
        self.groups = self.add("groups", LastGroups(pool))

    @abstractmethod
    def probabilities(self) -> Floats:
        """Probability of each category code, (C + 1,), >= 0; categories without prompts are left out later."""

    def reward(self, category: Rows, advantage: Floats, trials: Counts) -> None:
        """Learn from a step's groups: category code, mean absolute advantage of the rollouts, and their number, (m,) each."""

    def softmax(self, values: Floats) -> Floats:
        """Probabilities of the categories that have prompts, (C + 1,)."""
        held = self.pool.category_sizes() > 0
        powers = np.exp(np.where(held, values - values[held].max(), -np.inf))
        return powers / powers.sum()

    def choose(self, n: int, candidates: Candidates) -> Rows:
        sizes = self.pool.category_sizes()
        members: Callable[[int], np.ndarray] = self.pool.members
        if not candidates.is_pool:
            codes = self.pool.category_index(candidates.rows)
            sizes = np.bincount(codes, minlength=len(sizes))
            parts = np.split(candidates.rows[np.argsort(codes, kind="stable")], np.cumsum(sizes)[:-1])
            members = parts.__getitem__
        excluded = np.bincount(self.pool.category_index(candidates.exclude), minlength=len(sizes))
        counts = self._counts(n, sizes - excluded)
        chosen = [np.empty(0, np.int64)]
        for code in np.flatnonzero(counts).tolist():
            # With as many more as are excluded there are always enough left, and what is left is a uniform draw.
            places = self.rng.choice(sizes[code], min(counts[code] + excluded[code], sizes[code]), replace=False)
            drawn = members(code)[places]
            if excluded[code]:
                drawn = drawn[~np.isin(drawn, candidates.exclude)]
            chosen.append(drawn[: counts[code]])
        return np.concatenate(chosen).astype(np.int64)

    def advance(self, steps: int = 1) -> None:
        slots, table = self.groups.current(), self.groups.table
        if steps and len(slots):
            successes, trials = table["successes"][slots].astype(np.int64), table["trials"][slots].astype(np.int64)
            category = self.pool.category_index(table.rows[slots])
            self.reward(category, absolute_advantage(successes, trials), trials)
        super().advance(steps)

    def metrics(self) -> dict[str, float]:
        probabilities = self.probabilities()
        shares = {f"p_{name}": float(p) for name, p in zip(self.pool.category_names, probabilities[1:], strict=True)}
        return {**super().metrics(), **shares, "fallback_picks": float(self.fallback_picks)}

    def _counts(self, n: int, size: Counts) -> Counts:
        """Places of each category: multinomial, as far as its prompts reach."""
        probabilities = self.probabilities()
        counts = np.zeros(len(size), np.int64)
        missing = n
        while missing:
            left = size - counts
            weight = np.where(left > 0, probabilities, 0.0)
            if not weight.any():
                weight = left.astype(np.float64)
            counts += np.minimum(self.rng.multinomial(missing, weight / weight.sum()), left)
            missing = n - int(counts.sum())
            self.fallback_picks += missing
        return counts


def absolute_advantage(successes: Counts, trials: Counts) -> Floats:
    """Mean |A| over the rollouts of each group with A = (r - mean) / std, (n,) in [0, 1].

    With s of k binary rewards equal to 1 and p = s / k, std is sqrt(p (1 - p)); s rollouts have |A| = (1 - p) / std and k - s
    have p / std, so the mean is 2 p (1 - p) / std = 2 sqrt(p (1 - p)), which is 0 for groups that do not differ.
    """
    rate = successes / trials
    return 2.0 * np.sqrt(rate * (1.0 - rate))
