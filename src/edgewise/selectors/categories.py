"""Rules that first choose a category, then any of its prompts."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Counts, Floats
from edgewise.selectors.groups import LastGroups
from edgewise.selectors.onlooker import OnlookerSelector


class CategorySelector(OnlookerSelector):
    """Draws the category of every place in the batch, then prompts of the category uniformly, none twice.

    Arm 0 is the prompts without a category, arm c + 1 is category c. What an exhausted category cannot serve is drawn again
    from the others (`relaxed`).

    Args:
        pool: prompts with categories.
        arms: numbers that a rule learns about each category.
        seed: of the draws.
    """

    def __init__(self, pool: PromptPool, arms: int = 0, seed: int = 0):
        super().__init__(pool, seed)
        if pool.categories is None:
            raise ConfigError("this selector chooses among categories: give PromptPool(..., categories=...)")
        self.relaxed = 0
        # One row a number, one column an arm.
        self._arms = np.zeros((arms, 0))
        # Rollouts of a prompt that come in parts make one group, so that its advantages are those of the whole.
        self._groups = LastGroups(len(pool))
        self._reindex()

    @abstractmethod
    def probabilities(self) -> Floats:
        """Probability of each arm to be chosen, (categories + 1,), >= 0; arms without prompts are left out later."""

    def _reward(self, arm: np.ndarray, advantage: Floats, trials: Counts) -> None:
        """A step's groups: their arms, the mean absolute advantage of their rollouts, and how many rollouts, (m,) each."""

    def softmax(self, values: Floats) -> Floats:
        """Probabilities of the arms that have prompts, (arms,)."""
        held = np.diff(self._starts) > 0
        powers = np.exp(np.where(held, values - values[held].max(), -np.inf))
        return powers / powers.sum()

    def arm(self, rows: Rows) -> np.ndarray:
        """Arm of each prompt, (n,)."""
        return self.pool.category_index(rows)

    def _choose(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows:
        if candidates is None:
            rows, starts = self._by_arm, self._starts
        else:
            rows, starts = self._sorted(candidates)
        barred = np.bincount(self.arm(exclude), minlength=len(starts) - 1)
        counts = self._counts(n, np.diff(starts) - barred)
        chosen = [np.empty(0, np.int64)]
        for arm in np.flatnonzero(counts):
            lot = rows[starts[arm] : starts[arm + 1]]
            # With as many more as are excluded there are always enough left, and what is left is a uniform draw.
            drawn = lot[self.rng.choice(len(lot), min(counts[arm] + barred[arm], len(lot)), replace=False)]
            if barred[arm]:
                drawn = drawn[~np.isin(drawn, exclude)]
            chosen.append(drawn[: counts[arm]])
        # In random order: mini-batches cut from the batch in turn are then alike.
        return self.rng.permutation(np.concatenate(chosen))

    def _counts(self, n: int, size: Counts) -> Counts:
        """Places of each arm: multinomial, as far as its prompts reach."""
        probabilities = self.probabilities()
        counts = np.zeros(len(size), np.int64)
        missing = n
        while missing:
            room = size - counts
            weight = np.where(room > 0, probabilities, 0.0)
            if not weight.any():
                weight = room.astype(np.float64)
            counts += np.minimum(self.rng.multinomial(missing, weight / weight.sum()), room)
            missing = n - int(counts.sum())
            self.relaxed += missing
        return counts

    def _learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        super()._learn(rows, successes, trials)
        self._groups.observe(rows, successes, trials)

    def _age(self) -> None:
        super()._age()
        slots = self._groups.now()
        table = self._groups.table
        successes, trials = table["successes"][slots].astype(np.int64), table["trials"][slots].astype(np.int64)
        if len(slots):
            self._reward(self.arm(table.rows[slots].astype(np.int64)), absolute_advantage(successes, trials), trials)
        self._groups.advance()

    def _reindex(self) -> None:
        """Categories and prompts may have been added: later arms follow the earlier ones."""
        arms = len(self.pool.category_names) + 1
        added = np.zeros((len(self._arms), arms - self._arms.shape[1]))
        self._arms = np.concatenate([self._arms, added], axis=1)
        self._by_arm, self._starts = self._sorted(np.arange(len(self.pool), dtype=np.int64))

    def _sorted(self, rows: Rows) -> tuple[Rows, np.ndarray]:
        """Rows by arm, and where each arm starts, (categories + 2,)."""
        arm = self.arm(rows)
        sizes = np.bincount(arm, minlength=len(self.pool.category_names) + 1)
        return rows[np.argsort(arm, kind="stable")], np.concatenate([[0], np.cumsum(sizes)])

    def grow(self) -> None:
        super().grow()
        self._groups.grow(len(self.pool))
        self._reindex()

    def metrics(self) -> dict[str, float]:
        probabilities = self.probabilities()
        shares = {f"p_{name}": float(p) for name, p in zip(self.pool.category_names, probabilities[1:], strict=True)}
        return {**shares, "relaxed": float(self.relaxed)}

    def state_dict(self) -> dict[str, Any]:
        own = {"names": self.pool.category_names, "arms": self._arms.copy()}
        return {**super().state_dict(), **own, "groups": self._groups.state_dict(), "relaxed": self.relaxed}

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        super()._load(state, remap)
        self._groups.load_state_dict(state["groups"], remap)
        self.relaxed = int(state["relaxed"])
        arms = np.asarray(state["arms"], np.float64)
        if arms.shape != (len(self._arms), len(state["names"]) + 1):
            raise CheckpointError(f"the saved arms have shape {arms.shape}, which does not fit their names")
        source = self._saved_arms(state["names"])
        self._arms = np.where(source >= 0, arms[:, source], 0.0)

    def _saved_arms(self, names: list[str]) -> np.ndarray:
        """Arm in a state with these category names, for every arm of the present pool; -1 where it is new, (arms,)."""
        # By name: a reordered dataset may number its categories differently.
        old = {name: arm for arm, name in enumerate(names, start=1)}
        return np.array([0] + [old.get(name, -1) for name in self.pool.category_names], np.int64)


def absolute_advantage(successes: Counts, trials: Counts) -> Floats:
    """Mean |A| over the rollouts of each group with A = (r - mean) / std, (n,) in [0, 1].

    With s of k binary rewards equal to 1 and p = s / k, std is sqrt(p (1 - p)); s rollouts have |A| = (1 - p) / std and k - s
    have p / std, so the mean is 2 p (1 - p) / std = 2 sqrt(p (1 - p)), which is 0 for groups that do not differ.
    """
    rate = successes / trials
    return 2.0 * np.sqrt(rate * (1.0 - rate))
