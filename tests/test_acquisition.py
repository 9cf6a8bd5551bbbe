"""Worth of success rates and of beliefs, and picking by it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, special, stats

from edgewise.acquisition import (
    Acquisition,
    Band,
    Closest,
    InformationGain,
    Informativeness,
    Learnability,
    acquisitions,
    capped,
    optimistic,
    top,
)
from edgewise.beliefs import AbilityBelief, BetaBelief
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors import BanditSelector

RATES = np.array([0.0, 0.1, 0.25, 0.5, 0.8, 1.0])


def test_worths_by_hand() -> None:
    np.testing.assert_allclose(Closest(0.25).worth(RATES), [-0.0625, -0.0225, 0, -0.0625, -0.3025, -0.5625])
    np.testing.assert_allclose(Band(0.2, 0.6).worth(RATES), [-0.2, -0.1, 0, 0, -0.2, -0.4], atol=1e-12)
    np.testing.assert_allclose(Learnability().worth(RATES), [0, 0.09, 0.1875, 0.25, 0.16, 0])
    np.testing.assert_allclose(Informativeness(2).worth(RATES), 2 * Learnability().worth(RATES))
    assert Informativeness(8).worth(np.array([0.5]))[0] == pytest.approx(1 - 2 / 256)


@pytest.mark.parametrize("name", acquisitions.names())
def test_every_acquisition_judges_plain_rates(name: str) -> None:
    worth = acquisitions.make(name).worth(np.linspace(0, 1, 101))
    assert worth.shape == (101,)
    assert np.isfinite(worth).all()


@pytest.mark.parametrize("name", acquisitions.names())
def test_a_declared_peak_is_the_peak(name: str) -> None:
    acquisition = acquisitions.make(name)
    if acquisition.peak is not None:
        distance = np.linspace(0, min(acquisition.peak, 1 - acquisition.peak), 50)
        below, above = acquisition.worth(acquisition.peak - distance), acquisition.worth(acquisition.peak + distance)
        np.testing.assert_allclose(below, above, atol=1e-12)
        assert (np.diff(above) < 0).all()


@pytest.mark.parametrize(("name", "options"), [("closest", {"target": 1.2}), ("band", {"low": 0.7, "high": 0.3})])
def test_settings_are_checked(name: str, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        acquisitions.make(name, **options)
    for cls in (Informativeness, InformationGain):
        with pytest.raises(ConfigError):
            cls(0)


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (2.0, 5.0), (0.3, 0.4), (40.0, 3.0), (500.0, 500.0)])
@pytest.mark.parametrize("k", [1, 4, 16])
def test_information_gain_is_the_fall_of_entropy(a: float, b: float, k: int) -> None:
    belief = stats.beta(a, b)
    found = InformationGain(k).believed(np.array([belief.mean()]), np.array([belief.std()]))[0]
    after = [stats.beta(a + s, b + k - s).entropy() for s in range(k + 1)]
    expected = belief.entropy() - np.dot(stats.betabinom(k, a, b).pmf(np.arange(k + 1)), after)
    assert found == pytest.approx(float(expected), abs=1e-7)


def test_information_gain_of_one_rollout_under_a_flat_belief() -> None:
    # H(s) = log 2; E[H(s | p)] = -2 int p log p dp = 1/2.
    inside = integrate.quad(lambda p: special.entr(p) + special.entr(1 - p), 0, 1)[0]
    assert inside == pytest.approx(0.5)
    flat = InformationGain(1).believed(np.array([0.5]), np.array([np.sqrt(1 / 12)]))[0]
    assert flat == pytest.approx(np.log(2) - 0.5)


def test_information_gain_grows_with_doubt_and_never_fails() -> None:
    gain = InformationGain(8)
    spread = np.linspace(0, 0.5, 40)
    worth = gain.believed(np.full(40, 0.4), spread)
    assert worth[0] == pytest.approx(0.0, abs=1e-4)
    assert (np.diff(worth[:30]) > 0).all()
    mean, spread = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 1, 21), np.linspace(0, 1, 21)))
    every = gain.believed(mean, spread)
    assert np.isfinite(every).all()
    assert (every >= 0).all()


def test_optimism_takes_the_best_rate_in_reach() -> None:
    mean, spread = np.array([0.2, 0.2, 0.9]), np.array([0.0, 0.1, 0.5])
    worth = optimistic(Closest(0.5), mean, spread)
    np.testing.assert_allclose(worth, [-0.09, -0.04, 0], atol=2e-3)
    np.testing.assert_allclose(optimistic(Closest(0.5), mean, spread, 2.0)[1], -0.01, atol=1e-12)


def test_top_takes_the_highest_and_breaks_ties_fairly() -> None:
    rng = np.random.default_rng(0)
    worth = np.array([3.0, 1.0, 2.0, 2.0, 2.0, 0.0])
    counts = np.zeros(6)
    for _ in range(600):
        chosen = top(worth, 3, rng)
        assert len(set(chosen.tolist())) == 3
        counts[chosen] += 1
    assert counts[0] == 600
    assert counts[1] == counts[5] == 0
    assert (np.abs(counts[2:5] - 400) < 60).all()


def test_capped_shares_the_places() -> None:
    rng = np.random.default_rng(0)
    worth = np.array([9.0, 8, 7, 6, 5, 4, 3, 2])
    codes = np.array([0, 0, 0, 0, 1, 1, -1, -1])
    assert sorted(capped(worth, 4, codes, 0.5, rng)) == [0, 1, 4, 5]
    assert sorted(capped(worth, 4, codes, 0.25, rng)) == [0, 1, 4, 6]
    assert sorted(capped(worth, 4, codes, 1.0, rng)) == sorted(top(worth, 4, rng)) == [0, 1, 2, 3]
    # 0.25 * 6 rounds up to 2 places for each of three categories.
    assert sorted(capped(worth, 6, codes, 0.25, rng)) == [0, 1, 4, 5, 6, 7]
    assert sorted(capped(worth, 8, codes, 0.1, rng)) == list(range(8))
    ties = np.concatenate([capped(np.zeros(8), 2, codes, 0.5, rng) for _ in range(800)])
    assert (np.bincount(ties, minlength=8) > 0).all()


def chosen(pool: PromptPool, n: int, **options: object) -> np.ndarray:
    belief = BetaBelief(pool)
    belief.observe(np.arange(3), np.array([4, 8, 30]), np.array([8, 8, 60]))
    acquisition = options.pop("acquisition", Closest())
    assert isinstance(acquisition, Acquisition)
    return np.sort(BanditSelector(pool, belief, acquisition, **options).select(n))  # type: ignore[arg-type]


def test_selectors_use_what_the_belief_is_unsure_of() -> None:
    pool = PromptPool(range(6), ["x", "x", "x", "x", "y", "y"])
    # Closest by mean: the certain 0.5 and the flat ones tie; nothing but doubt tells them apart.
    assert 2 not in chosen(pool, 3, acquisition=InformationGain())
    assert 1 not in chosen(pool, 5, by="ucb")
    # Of six, two may be x: the rest of the places go to y, then to the best of x.
    assert {4, 5} <= set(chosen(pool, 4, by="mean", category_cap=0.5).tolist())
    for options in ({"by": "guess"}, {"category_cap": 0.0}):
        with pytest.raises(ConfigError):
            chosen(pool, 2, **options)


def test_cap_holds_under_thompson_sampling() -> None:
    pool = PromptPool(range(100), np.repeat(["x", "y", "z", "w"], 25))
    selector = BanditSelector(pool, AbilityBelief(pool), Closest(), category_cap=0.25)
    for _ in range(5):
        rows = selector.select(20)
        assert (np.bincount(rows // 25, minlength=4) == 5).all()
        selector.observe(rows, np.where(rows < 25, 4, 8), 8)
