"""Contract of every belief: the laws that `edgewise.testing` ships for third parties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from edgewise.beliefs import (
    AbilityBelief,
    AnchoredBelief,
    Belief,
    BetaBelief,
    CategoryPrior,
    FeatureBelief,
    KalmanBelief,
    MarkovBelief,
    beliefs,
    list_beliefs,
)
from edgewise.distributions import Beta
from edgewise.pool import PromptPool
from edgewise.testing import check_belief, common
from edgewise.testing.beliefs import BELIEF_LAWS

MAKE: dict[str, Callable[[PromptPool], Belief]] = {
    "beta": BetaBelief,
    "beta-aged": lambda pool: BetaBelief(pool, CategoryPrior(pool), decay=0.5, retention=0.9),
    "hmm": lambda pool: MarkovBelief(pool, retention=0.7, transitions="progress"),
    "hmm-constant": lambda pool: MarkovBelief(pool, retention=1.0),
    "ability": lambda pool: AbilityBelief(pool, retention=0.9),
    "features": lambda pool: FeatureBelief(pool, retention=0.9),
    "kalman": lambda pool: KalmanBelief(pool, noise=0.2),
    "anchored": lambda pool: AnchoredBelief(pool, *anchors(pool)),
}


def anchors(pool: PromptPool) -> tuple[np.ndarray, np.ndarray]:
    """Pass rates that belong to the ids, one of them unknown."""
    weak = np.array([(int(i) % 7) / 10 for i in pool.ids])
    weak[pool.ids == 3] = np.nan
    return weak, np.minimum(weak + 0.4, 1.0)


def pool_with_priors(ids: list[int]) -> PromptPool:
    pool = common.featured_pool(ids)
    numbers = np.asarray(ids)
    rates = np.where(numbers % 5 == 1, np.nan, (numbers % 7) / 8)
    names = np.array([None, *pool.category_names], object)
    return PromptPool(ids, names[pool.categories].tolist(), pool.features, rates)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("law", BELIEF_LAWS, ids=lambda law: law.__name__)
def test_every_belief_keeps_the_contract(law: Callable[..., None], name: str) -> None:
    law(MAKE[name], common.featured_pool)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("law", BELIEF_LAWS, ids=lambda law: law.__name__)
def test_every_belief_keeps_the_contract_with_known_rates(law: Callable[..., None], name: str) -> None:
    law(MAKE[name], pool_with_priors)


@pytest.mark.parametrize("name", MAKE)
def test_known_rates_are_where_a_belief_starts(name: str) -> None:
    pool = PromptPool(range(9), priors=[0.05, 0.5, 0.95] * 3, features=np.random.default_rng(0).normal(size=(9, 2)))
    mean = MAKE[name](pool).mean(np.arange(9))
    assert mean[0] < mean[1] - 0.1
    assert mean[2] > mean[1] + 0.1
    assert (mean[0::3] < 0.45).all()
    assert (mean[2::3] > 0.55).all()
    belief = MAKE[name](pool)
    for _ in range(3):
        belief.observe(np.array([0]), np.array([8]), np.array([8]))
        belief.advance()
    assert belief.mean(np.array([0]))[0] > 0.45, "rollouts outweigh what was known before the run"


def test_all_registered_beliefs_are_tested() -> None:
    own = {name for name in list_beliefs() if beliefs.get(name).__module__.startswith("edgewise.")}
    assert {name.split("-")[0] for name in MAKE} == own


class Counts(Belief):
    """Beta(1 + successes, 1 + failures)."""

    by_row: ClassVar = {"wins": 0.0, "losses": 0.0}

    def __init__(self, pool: PromptPool):
        super().__init__(pool)
        self.wins, self.losses = np.zeros(len(pool)), np.zeros(len(pool))

    def distribution(self, rows: Any) -> Beta:
        return Beta(1 + self.wins[rows], 1 + self.losses[rows])

    def observe(self, rows: Any, successes: Any, trials: Any, age: Any = None) -> None:
        self.wins[rows] += successes
        self.losses[rows] += trials - successes


class FirstAlone(Counts):
    def observe(self, rows: Any, successes: Any, trials: Any, age: Any = None) -> None:
        super().observe(rows[:1], successes[:1], trials[:1])


class Beside(Counts):
    def mean(self, rows: Any) -> Any:
        return super().mean(rows) * 0.9


class OfAll(Counts):
    def mean(self, rows: Any) -> Any:
        return super().mean(rows) / max(len(rows), 1)


class Lucky(Counts):
    def draw(self, rows: Any, rng: Any) -> Any:
        return np.random.default_rng().random(len(rows))


class Timeless(Counts):
    def advance(self, steps: int = 1) -> None:
        pass


class Shared(Counts):
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "wins": self.wins}


def test_the_contract_finds_broken_beliefs() -> None:
    check_belief(Counts)
    for belief, message in (
        (FirstAlone, "groups of one call count otherwise"),
        (Beside, "the mean of a prompt is not that of its distribution"),
        (OfAll, "depends on the other rows that are read"),
        (Lucky, "the generator decides a draw"),
        (Timeless, "moves the clock"),
        (Shared, "a state changed after it was taken"),
    ):
        with pytest.raises(AssertionError, match=message):
            check_belief(belief)
