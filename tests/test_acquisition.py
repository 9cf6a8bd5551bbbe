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
    Learnability,
    PInformative,
    acquisitions,
    optimistic,
    p_informative,
    top,
)
from edgewise.beliefs import BetaBelief
from edgewise.distributions import Beta, States
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.sampling import Draw, Top
from edgewise.selectors import BanditSelector

RATES = np.array([0.0, 0.1, 0.25, 0.5, 0.8, 1.0])


def test_worths_by_hand() -> None:
    np.testing.assert_allclose(Closest(0.25).value(RATES), [-0.0625, -0.0225, 0, -0.0625, -0.3025, -0.5625])
    np.testing.assert_allclose(Band(0.2, 0.6).value(RATES), [-0.2, -0.1, 0, 0, -0.2, -0.4], atol=1e-12)
    np.testing.assert_allclose(Learnability().value(RATES), [0, 0.09, 0.1875, 0.25, 0.16, 0])
    np.testing.assert_allclose(PInformative(2).value(RATES), 2 * Learnability().value(RATES))
    assert PInformative(8).value(np.array([0.5]))[0] == pytest.approx(1 - 2 / 256)


@pytest.mark.parametrize("name", acquisitions.names())
def test_every_acquisition_judges_plain_rates(name: str) -> None:
    value = acquisitions.make(name).value(np.linspace(0, 1, 101))
    assert value.shape == (101,)
    assert np.isfinite(value).all()


@pytest.mark.parametrize("name", acquisitions.names())
def test_a_declared_peak_is_the_peak(name: str) -> None:
    acquisition = acquisitions.make(name)
    if acquisition.peak is not None:
        distance = np.linspace(0, min(acquisition.peak, 1 - acquisition.peak), 50)
        below, above = acquisition.value(acquisition.peak - distance), acquisition.value(acquisition.peak + distance)
        np.testing.assert_allclose(below, above, atol=1e-12)
        assert (np.diff(above) < 0).all()


@pytest.mark.parametrize(("name", "options"), [("closest", {"target": 1.2}), ("band", {"low": 0.7, "high": 0.3})])
def test_settings_are_checked(name: str, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        acquisitions.make(name, **options)
    for cls in (PInformative, InformationGain):
        with pytest.raises(ConfigError):
            cls(0)
    with pytest.raises(ConfigError, match="1025"):
        InformationGain(1025)
    most = InformationGain(1024).of(Beta(np.array([1.0, 200.0]), np.array([3.0, 0.5])))
    assert np.isfinite(most).all()


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (2.0, 5.0), (0.3, 0.4), (40.0, 3.0), (500.0, 500.0)])
@pytest.mark.parametrize("k", [1, 4, 16])
def test_information_gain_is_the_fall_of_entropy(a: float, b: float, k: int) -> None:
    belief = stats.beta(a, b)
    found = InformationGain(k).gain(np.array([belief.mean()]), np.array([belief.std()]))[0]
    after = [stats.beta(a + s, b + k - s).entropy() for s in range(k + 1)]
    expected = belief.entropy() - np.dot(stats.betabinom(k, a, b).pmf(np.arange(k + 1)), after)
    assert found == pytest.approx(float(expected), abs=1e-7)


def test_information_gain_of_one_rollout_under_a_flat_belief() -> None:
    # H(s) = log 2; E[H(s | p)] = -2 int p log p dp = 1/2.
    inside = integrate.quad(lambda p: special.entr(p) + special.entr(1 - p), 0, 1)[0]
    assert inside == pytest.approx(0.5)
    flat = InformationGain(1).gain(np.array([0.5]), np.array([np.sqrt(1 / 12)]))[0]
    assert flat == pytest.approx(np.log(2) - 0.5)


def test_information_gain_grows_with_doubt_and_never_fails() -> None:
    gain = InformationGain(8)
    spread = np.linspace(0, 0.5, 40)
    value = gain.gain(np.full(40, 0.4), spread)
    assert value[0] == pytest.approx(0.0, abs=1e-4)
    assert (np.diff(value[:30]) > 0).all()
    mean, spread = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 1, 21), np.linspace(0, 1, 21)))
    every = gain.gain(mean, spread)
    assert np.isfinite(every).all()
    assert (every >= 0).all()


def test_optimism_takes_the_best_rate_in_reach() -> None:
    mean, spread = np.array([0.2, 0.2, 0.9]), np.array([0.0, 0.1, 0.5])
    value = optimistic(Closest(0.5), mean, spread)
    np.testing.assert_allclose(value, [-0.09, -0.04, 0], atol=2e-3)
    np.testing.assert_allclose(optimistic(Closest(0.5), mean, spread, 2.0)[1], -0.01, atol=1e-12)


def test_top_takes_the_highest_and_breaks_ties_fairly() -> None:
    rng = np.random.default_rng(0)
    value = np.array([3.0, 1.0, 2.0, 2.0, 2.0, 0.0])
    counts = np.zeros(6)
    for _ in range(600):
        chosen = top(value, 3, rng)
        assert len(set(chosen.tolist())) == 3
        counts[chosen] += 1
    assert counts[0] == 600
    assert counts[1] == counts[5] == 0
    assert (np.abs(counts[2:5] - 400) < 60).all()


def chosen(n: int, acquisition: Acquisition, draw: Draw) -> set[int]:
    """Rows chosen of six, the first three observed with a success rate of a half, of one, and of a half for certain."""
    belief = BetaBelief(draw.pool)
    belief.observe(np.arange(3), np.array([4, 8, 30]), np.array([8, 8, 60]))
    return set(BanditSelector(draw.pool, belief, acquisition, draw).select(n).tolist())


def test_uncertainty_decides_where_the_acquisition_or_the_draw_weighs_it() -> None:
    pool = PromptPool(range(6))
    # Closest by mean: the certain 0.5 and the flat ones tie; only uncertainty distinguishes them.
    assert 2 not in chosen(3, InformationGain(), Top(pool))
    assert 1 not in chosen(5, Closest(), Top(pool, optimism=1.0))


def test_one_rollout_has_the_variance_of_its_reward_as_value() -> None:
    rates = np.linspace(0, 1, 11)
    np.testing.assert_allclose(PInformative(1).value(rates), rates * (1 - rates))
    np.testing.assert_allclose(p_informative(rates, 1), rates * (1 - rates))
    np.testing.assert_allclose(p_informative(rates[:, None], np.array([1, 2]))[:, 1], PInformative(2).value(rates))


def test_the_value_under_a_belief_is_the_expected_chance_to_be_informative() -> None:
    a, b, k = np.array([0.4, 1.0, 3.0, 60.0, 0.05]), np.array([0.7, 1.0, 9.0, 40.0, 2.0]), 6
    found = PInformative(k).of(Beta(a, b))
    expected = (
        1
        - np.exp(special.betaln(a + k, b) - special.betaln(a, b))
        - np.exp(special.betaln(a, b + k) - special.betaln(a, b))
    )
    np.testing.assert_allclose(found, expected, atol=2e-5)
    # Uniform inside: the integral of 1 - p^k - (1 - p)^k is 1 - 2 / (k + 1).
    states = States(np.array([0.2]), np.array([0.5]), np.array([0.3]))
    np.testing.assert_allclose(PInformative(k).of(states), 0.5 * (1 - 2 / (k + 1)))
