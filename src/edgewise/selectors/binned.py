"""Thompson sampling of graded bins by P(informative) (marin's rule, marin-community/marin#8765)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from edgewise.acquisition import PInformative
from edgewise.arrays import Counts, Floats, Rows
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.base import selectors
from edgewise.selectors.candidates import Candidates
from edgewise.selectors.categories import CategorySelector


@selectors.register("binned")
class BinnedSelector(CategorySelector):
    """Category c with probability floor / C + (1 - floor) w(p_c) / sum of w, p_c ~ Beta(1 + a_c, 1 + b_c), w = P(informative).

    a and b are the right and wrong rollouts of a category, of which the share `retention` survives a policy step: without
    new ones the belief returns to Beta(1, 1), whose mean is 1/2. One draw of every category serves a selection.

    Of the published rule only a description could be had: its priors by grade are left out, and the defaults are ours.

    Args:
        pool: prompts with categories.
        rollouts: k, rollouts of a prompt.
        retention: share of the evidence that survives a policy step, in [0, 1].
        floor: share of the places that all categories get alike, in [0, 1].
        seed: seed of the draws.

    Example:
        >>> import edgewise as ew
        >>> selector = BinnedSelector(ew.PromptPool(range(40), ["easy", "hard"] * 20), floor=0.0)
        >>> selector.observe(range(40), [8, 4] * 20, 8)
        >>> bool((selector.select(10) % 2).sum() > 5)
        True
    """

    by_category: ClassVar[Mapping[str, float]] = {
        "right": 0.0,
        "wrong": 0.0,
        "new_right": 0.0,
        "new_wrong": 0.0,
        "drawn": 0.5,
    }

    def __init__(
        self, pool: PromptPool, *, rollouts: int = 8, retention: float = 0.9, floor: float = 0.1, seed: int = 0
    ):
        super().__init__(pool, seed=seed)
        if not 0 <= retention <= 1:
            raise ConfigError(f"retention must lie in [0, 1], got {retention}")
        if not 0 <= floor <= 1:
            raise ConfigError(f"floor is a share of the places in [0, 1], got {floor}")
        self.informative = PInformative(rollouts)
        self.rollouts = self.informative.rollouts
        self.retention, self.floor = float(retention), float(floor)
        self.right, self.wrong, self.new_right, self.new_wrong = np.zeros((4, len(pool.category_names) + 1))
        self.drawn = np.full(len(pool.category_names) + 1, 0.5)

    def probabilities(self) -> Floats:
        held = self.pool.category_sizes() > 0
        weight = np.where(held, np.maximum(self.informative.value(self.drawn), 1e-12), 0.0)
        return self.floor * held / held.sum() + (1.0 - self.floor) * weight / weight.sum()

    def choose(self, n: int, candidates: Candidates) -> Rows:
        self.drawn = self.rng.beta(1.0 + self.right + self.new_right, 1.0 + self.wrong + self.new_wrong)
        return super().choose(n, candidates)

    def learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        code, size = self.pool.category_index(rows), len(self.drawn)
        self.new_right = self.new_right + np.bincount(code, successes, size)
        self.new_wrong = self.new_wrong + np.bincount(code, trials - successes, size)

    def advance(self, steps: int = 1) -> None:
        if steps:
            self.right = (self.right + self.new_right) * self.retention**steps
            self.wrong = (self.wrong + self.new_wrong) * self.retention**steps
            self.new_right, self.new_wrong = np.zeros((2, len(self.drawn)))
        super().advance(steps)
