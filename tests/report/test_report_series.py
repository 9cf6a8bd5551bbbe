"""Means and intervals over seeds."""

from __future__ import annotations

import numpy as np
from scipy import stats

from edgewise.report.series import over_rollouts, over_steps, smooth


def test_interval_is_students() -> None:
    x = np.arange(4.0)
    values = np.random.default_rng(0).normal(0.5, 0.05, (5, 4))
    band = over_steps([(x, y) for y in values])
    low, high = stats.t.interval(0.95, 4, values.mean(0), stats.sem(values, axis=0))
    np.testing.assert_allclose(band.mean, values.mean(0))
    np.testing.assert_allclose([band.low, band.high], [low, high])


def test_interval_stays_inside_the_limits_and_needs_three_seeds() -> None:
    x = np.array([1.0, 2.0])
    band = over_steps([(x, np.array([0.0, 0.2])), (x, np.array([1.0, 0.4])), (x[:1], np.array([1.0]))])
    assert (band.low[0], band.high[0]) == (0.0, 1.0)
    assert np.isnan(band.low[1])
    assert np.isnan(band.high[1])
    np.testing.assert_allclose(band.mean, [2 / 3, 0.3])


def test_long_smoothed_curves_are_thinned_and_keep_their_values() -> None:
    x = np.arange(1.0, 1001)
    band = over_steps([(x, x / 1000)] * 3, window=5)
    assert 100 < len(band.x) <= 160
    np.testing.assert_allclose(band.mean[1:-1], band.x[1:-1] / 1000)
    assert len(band.seeds[0][0]) == len(band.x)


def test_rollouts_are_interpolated_as_far_as_complete_seeds_go() -> None:
    first = (np.array([0.0, 10, 20]), np.array([0.0, 0.5, 1.0]))
    second = (np.array([0.0, 20, 40]), np.array([0.0, 0.5, 1.0]))
    killed = (np.array([0.0, 10]), np.array([0.0, 0.5]))
    band = over_rollouts([first, second, killed])
    np.testing.assert_allclose(band.x, [0, 10, 20])
    np.testing.assert_allclose(band.mean, [0, (0.5 + 0.25 + 0.5) / 3, (1.0 + 0.5) / 2])
    assert len(over_rollouts([]).x) == 0


def test_averages_skip_unknown_values() -> None:
    values = np.array([1.0, np.nan, 3.0, 5.0])
    np.testing.assert_allclose(smooth(values, 3), [1, 2, 4, 4])
    assert np.isnan(smooth(np.array([np.nan, np.nan]), 3)).all()
