"""Online calibration makes predictions of each class right on average, follows drift, and stays bounded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise import PromptPool
from edgewise.calibration import LARGEST, OnlineCalibration, PlattCalibration
from edgewise.errors import CheckpointError

POOL = PromptPool([0])


def trained(predicted, rates, steps, n=32, seed=0, calibration=None):
    """Two kinds; kind c has true rate rates[c] and is predicted predicted[c]."""
    rng = np.random.default_rng(seed)
    calibration = calibration or OnlineCalibration(POOL, 2)
    for _ in range(steps):
        classes = rng.integers(2, size=n)
        outcome = (rng.random(n) < np.asarray(rates)[classes]).astype(float)
        calibration.learn(np.asarray(predicted)[classes], classes, outcome)
        calibration.advance()
    return calibration


def test_without_outcomes_predictions_stay_as_they_are():
    p = np.linspace(0, 1, 11)
    assert OnlineCalibration(POOL, 3).apply(p, np.arange(11) % 3) == pytest.approx(p, abs=1e-8)


@pytest.mark.parametrize("rates", [(0.13, 0.6), (0.9, 0.5), (0.35, 0.35)])
def test_predictions_become_right_on_average(rates):
    calibration = trained((0.47, 0.5), rates, 200)
    calibrated = calibration.apply(np.array([0.47, 0.5]), np.array([0, 1]))
    # About 16 outcomes a step, of which the last 50 steps count.
    assert calibrated == pytest.approx(rates, abs=0.06)


def test_right_predictions_are_left_alone():
    calibration = trained((0.2, 0.7), (0.2, 0.7), 300)
    assert np.abs(calibration.offsets).max() < 0.35


def test_they_follow_a_change():
    calibration = trained((0.5, 0.5), (0.1, 0.5), 150)
    trained((0.5, 0.5), (0.8, 0.5), 150, seed=1, calibration=calibration)
    assert calibration.apply(np.array([0.5]), np.array([0]))[0] == pytest.approx(0.8, abs=0.1)


def test_one_great_surprise_moves_them_by_a_bounded_step():
    calibration = OnlineCalibration(POOL, 1)
    calibration.learn(np.full(256, 1e-6), np.zeros(256, int), np.ones(256))
    assert 0 < calibration.offsets[0] <= 1.0
    for _ in range(100):
        calibration.learn(np.full(256, 1e-9), np.zeros(256, int), np.ones(256))
    assert calibration.offsets[0] <= LARGEST


def test_steps_without_outcomes_change_nothing_but_memory():
    calibration = trained((0.47, 0.5), (0.1, 0.6), 50)
    before = calibration.offsets.copy()
    calibration.advance()
    calibration.learn(np.empty(0), np.empty(0, int), np.empty(0))
    assert (calibration.offsets == before).all()


def test_state_goes_round_and_other_kinds_are_refused():
    calibration = trained((0.47, 0.5), (0.1, 0.6), 50)
    again = OnlineCalibration(POOL, 2)
    again.load_state_dict(calibration.state_dict())
    trained((0.47, 0.5), (0.1, 0.6), 5, seed=3, calibration=calibration)
    trained((0.47, 0.5), (0.1, 0.6), 5, seed=3, calibration=again)
    assert (again.offsets == calibration.offsets).all()
    with pytest.raises(CheckpointError, match="shape"):
        OnlineCalibration(POOL, 3).load_state_dict(calibration.state_dict())


def test_predictions_that_may_only_be_lowered_are_not_raised():
    calibration = OnlineCalibration(POOL, 2, highest=0.0)
    trained((0.47, 0.5), (0.9, 0.2), 100, calibration=calibration)
    assert calibration.apply(np.array([0.47, 0.5]), np.array([0, 1])) == pytest.approx((0.47, 0.2), abs=0.06)
    assert calibration.offsets[0] <= 0


def rates_of(log_odds, slope):
    return 1 / (1 + np.exp(-slope * log_odds))


def followed(slopes, steps=120, seed=0, calibration=None):
    """Predictions of two classes whose true log-odds are `slopes` times the predicted ones, plus an offset of 0 and 1."""
    rng = np.random.default_rng(seed)
    calibration = calibration or PlattCalibration(POOL, 2)
    for _ in range(steps):
        classes = rng.integers(2, size=64)
        odds = rng.normal(0, 1.5, 64)
        outcome = rng.binomial(8, 1 / (1 + np.exp(-(slopes * odds + classes)))) / 8
        calibration.learn(rates_of(odds, 1.0), classes, outcome)
        calibration.advance()
    return calibration


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.5])
def test_predictions_too_near_the_middle_or_too_far_from_it_are_corrected(slope):
    odds = np.array([-2.0, -0.5, 0.5, 2.0])
    found = followed(slope).apply(rates_of(odds, 1.0), np.zeros(4, int))
    assert found == pytest.approx(rates_of(odds, slope), abs=0.05)


def test_classes_share_the_slope_and_have_offsets_of_their_own():
    weights = followed(2.0).weights
    assert weights == pytest.approx([0.0, 1.0, 2.0], abs=0.3)


def test_a_slope_of_long_ago_is_forgotten():
    calibration = followed(3.0)
    followed(1.0, 60, 1, calibration)
    assert calibration.weights[-1] == pytest.approx(1.0, abs=0.2)
    calibration.advance(1000)
    assert calibration.precision == pytest.approx(PlattCalibration(POOL, 2).precision)


def test_without_outcomes_a_slope_leaves_predictions_as_they_are():
    calibration, p = PlattCalibration(POOL, 3), np.linspace(0, 1, 11)
    calibration.learn(np.empty(0), np.empty(0, int), np.empty(0))
    assert calibration.apply(p, np.arange(11) % 3) == pytest.approx(p, abs=1e-8)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2), st.floats(0, 1)), min_size=1, max_size=40),
    st.integers(1, 30),
)
def test_whatever_comes_weights_stay_finite_and_the_order_of_predictions_is_kept(groups, steps):
    predicted, classes, outcome = (np.array(part) for part in zip(*groups, strict=True))
    calibration = PlattCalibration(POOL, 3)
    for _ in range(steps):
        calibration.learn(predicted, classes, outcome)
        calibration.advance()
    assert (np.abs(calibration.weights) <= LARGEST).all()
    p = calibration.apply(np.linspace(0, 1, 50), np.zeros(50, int))
    assert (np.diff(p, prepend=0, append=1) >= 0).all()
    again = PlattCalibration(POOL, 3)
    again.load_state_dict(calibration.state_dict())
    assert (again.apply(predicted, classes) == calibration.apply(predicted, classes)).all()


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), shape=st.sampled_from([0.05, 0.5, 1.0]), agree=st.sampled_from([-1, 0, 1]))
def test_a_slope_stays_bounded_and_keeps_the_order_whatever_comes(seed, shape, agree):
    rng, calibration = np.random.default_rng(seed), PlattCalibration(POOL, 3)
    for _ in range(30):
        n = int(rng.integers(0, 200))
        predicted, classes = rng.beta(shape, shape, n), rng.integers(3, size=n)
        rates = {-1: 1 - predicted, 0: np.full(n, 0.5), 1: predicted}[agree]
        calibration.learn(predicted, classes, (rng.random(n) < rates).astype(float))
        calibration.advance(int(rng.integers(0, 4)))
        assert np.isfinite(calibration.precision).all()
        assert (np.abs(calibration.weights) <= LARGEST).all()
        assert calibration.weights[-1] >= 1 / LARGEST
        calibrated = calibration.apply(np.linspace(0, 1, 40), np.zeros(40, int))
        assert (np.diff(calibrated) >= 0).all()
        assert calibrated[0] >= 0
        assert calibrated[-1] <= 1
