"""Offsets make forecasts of each kind right on average, whatever the forecasts; they follow drift and stay bounded."""

import numpy as np
import pytest

from edgewise.errors import CheckpointError
from edgewise.offsets import LARGEST, Offsets


def trained(forecast, rates, steps, n=32, seed=0, offsets=None):
    """Two kinds; kind c has true rate rates[c] and is forecast forecast[c]."""
    rng = np.random.default_rng(seed)
    offsets = offsets or Offsets(2)
    for _ in range(steps):
        kind = rng.integers(2, size=n)
        outcome = (rng.random(n) < np.asarray(rates)[kind]).astype(float)
        offsets.learn(np.asarray(forecast)[kind], kind, outcome)
    return offsets


def test_without_outcomes_forecasts_stay_as_they_are():
    p = np.linspace(0, 1, 11)
    assert Offsets(3).apply(p, np.arange(11) % 3) == pytest.approx(p, abs=1e-8)


@pytest.mark.parametrize("rates", [(0.13, 0.6), (0.9, 0.5), (0.35, 0.35)])
def test_forecasts_become_right_on_average(rates):
    offsets = trained((0.47, 0.5), rates, 200)
    calibrated = offsets.apply(np.array([0.47, 0.5]), np.array([0, 1]))
    # About 16 outcomes a step, of which the last 50 steps count.
    assert calibrated == pytest.approx(rates, abs=0.06)


def test_right_forecasts_are_left_alone():
    offsets = trained((0.2, 0.7), (0.2, 0.7), 300)
    assert np.abs(offsets.values).max() < 0.35


def test_they_follow_a_change():
    offsets = trained((0.5, 0.5), (0.1, 0.5), 150)
    trained((0.5, 0.5), (0.8, 0.5), 150, seed=1, offsets=offsets)
    assert offsets.apply(np.array([0.5]), np.array([0]))[0] == pytest.approx(0.8, abs=0.1)


def test_one_great_surprise_moves_them_by_a_bounded_step():
    offsets = Offsets(1)
    offsets.learn(np.full(256, 1e-6), np.zeros(256, int), np.ones(256))
    assert 0 < offsets.values[0] <= 1.0
    for _ in range(100):
        offsets.learn(np.full(256, 1e-9), np.zeros(256, int), np.ones(256))
    assert offsets.values[0] <= LARGEST


def test_steps_without_outcomes_change_nothing_but_memory():
    offsets = trained((0.47, 0.5), (0.1, 0.6), 50)
    before = offsets.values.copy()
    offsets.learn(np.empty(0), np.empty(0, int), np.empty(0))
    assert (offsets.values == before).all()


def test_state_goes_round_and_other_kinds_are_refused():
    offsets = trained((0.47, 0.5), (0.1, 0.6), 50)
    again = Offsets(2)
    again.load_state_dict(offsets.state_dict())
    trained((0.47, 0.5), (0.1, 0.6), 5, seed=3, offsets=offsets)
    trained((0.47, 0.5), (0.1, 0.6), 5, seed=3, offsets=again)
    assert (again.values == offsets.values).all()
    with pytest.raises(CheckpointError, match="kinds"):
        Offsets(3).load_state_dict(offsets.state_dict())


def test_forecasts_that_may_only_be_lowered_are_not_raised():
    offsets = Offsets(2, highest=0.0)
    trained((0.47, 0.5), (0.9, 0.2), 100, offsets=offsets)
    assert offsets.apply(np.array([0.47, 0.5]), np.array([0, 1])) == pytest.approx((0.47, 0.2), abs=0.06)
    assert offsets.values[0] <= 0
