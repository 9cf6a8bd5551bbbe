"""Online calibration makes predictions of each class right on average, follows drift, and stays bounded."""

import numpy as np
import pytest

from edgewise import PromptPool
from edgewise.calibration import LARGEST, OnlineCalibration
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
