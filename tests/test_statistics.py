from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edgewise.errors import RewardError
from edgewise.statistics import calibration, calibration_error, pass_at_k, somers_d, spearman


@settings(derandomize=True, max_examples=60)
@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_counts_the_draws_with_a_success(case):
    n, c, k = case
    draws = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(c, n, k) == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-12)


def test_pass_at_k_of_arrays_and_large_numbers():
    assert pass_at_k([0, 1, 1000], 1000, 1000).tolist() == [0.0, 1.0, 1.0]
    assert pass_at_k(np.array([[3], [1]]), np.array([4, 8]), 1).tolist() == [[0.75, 0.375], [0.25, 0.125]]
    assert pass_at_k([], [], 3).shape == (0,)


@pytest.mark.parametrize(
    ("correct", "total", "k"), [(3, 2, 1), (-1, 2, 1), (1, 2, 3), (1, 2, 0), (1, 2, 1.5), (0.5, 2, 1), (1, 2.0, 1)]
)
def test_pass_at_k_refuses_nonsense(correct, total, k):
    with pytest.raises(RewardError):
        pass_at_k(correct, total, k)


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_spearman_agrees_with_scipy(pairs):
    a, b = np.array(pairs, float).T
    ours = spearman(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)


def test_spearman_edges():
    assert np.isnan(spearman([], []))
    assert np.isnan(spearman([1.0], [2.0]))
    with pytest.raises(ValueError, match="length"):
        spearman([1.0, 2.0], [1.0])


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_somers_d_agrees_with_scipy(pairs):
    a, b = np.array(pairs, float).T
    ours = somers_d(a, b)
    if len(set(b)) == 1:
        assert np.isnan(ours)
    elif len(set(a)) == 1:
        assert ours == 0.0
    else:
        assert ours == pytest.approx(stats.somersd(b, a).statistic, abs=1e-9)


def test_somers_d_gains_by_telling_apart_what_spearman_would_rather_have_tied():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=1500)
    told = np.where(truth > 0.8, truth, 0.0)  # nothing is known of the lower prompts
    hint = np.where(truth > 0.8, truth, -100.0 + 0.2 * truth + rng.normal(size=1500))  # a little, rightly
    assert somers_d(hint, truth) > somers_d(told, truth) + 0.03
    assert spearman(hint, truth) < spearman(told, truth) - 0.03
    apart = np.sign(truth[:, None] - truth)  # without ties, and in one block where the other has two
    assert somers_d(hint, truth) == pytest.approx((apart * np.sign(hint[:, None] - hint)).sum() / (1500 * 1499))
    assert np.isnan(somers_d([], []))
    with pytest.raises(ValueError, match="length"):
        somers_d([1.0, 2.0], [1.0])


def test_calibration():
    predicted, successes, trials = [0.05, 0.95, 1.0, 0.05], [0, 8, 8, 2], [8, 8, 8, 8]
    table = calibration(predicted, successes, trials)
    assert table["trials"].tolist() == [16] + [0] * 8 + [16]
    assert table["observed"][[0, 9]].tolist() == [0.125, 1.0]
    assert np.isnan(table["observed"][1:9]).all()
    assert calibration_error(predicted, successes, trials) == pytest.approx(0.5 * 0.075 + 0.5 * 0.025)
    assert np.isnan(calibration_error([], [], []))


def test_a_calibrated_forecast_has_no_error():
    rng = np.random.default_rng(0)
    p = rng.random(20000)
    assert calibration_error(p, rng.binomial(8, p), np.full(20000, 8)) < 0.01
    assert calibration_error(np.sqrt(p), rng.binomial(8, p), np.full(20000, 8)) > 0.1
