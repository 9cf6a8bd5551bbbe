from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from edgewise.errors import RewardError
from edgewise.statistics import (
    FEWEST,
    calibration,
    calibration_error,
    mean_interval,
    median_interval,
    median_ratio,
    pass_at_k,
    share_limits,
    somers_d,
    spearman,
)


@settings(max_examples=60)
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
    ("correct", "total", "k"),
    [
        *((3, 2, 1), (-1, 2, 1), (1, 2, 3), (1, 2, 0), (1, 2, 1.5), (0.5, 2, 1), (1, 2.0, 1)),
        *((1, 2, float("nan")), (1, 2, "1"), (1, 2, None), ([1, 1], [2, 2, 2], 1), ([[1], [1, 2]], 2, 1)),
    ],
)
def test_pass_at_k_refuses_nonsense(correct, total, k):
    with pytest.raises(RewardError):
        pass_at_k(correct, total, k)


@settings(max_examples=60)
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


@settings(max_examples=60)
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


def test_somers_d_rises_and_spearman_falls_when_tied_prompts_are_ranked_a_little_right():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=1500)
    known = np.where(truth > 0.8, truth, 0.0)  # nothing is known of the lower prompts
    hint = np.where(truth > 0.8, truth, -100.0 + 0.2 * truth + rng.normal(size=1500))  # a little, rightly
    assert somers_d(hint, truth) > somers_d(known, truth) + 0.03
    assert spearman(hint, truth) < spearman(known, truth) - 0.03
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


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.1, 1.5])
def test_predictions_that_are_no_probabilities_are_refused_by_value(bad):
    for measure in (calibration, calibration_error):
        with pytest.raises(RewardError, match=rf"must lie in \[0, 1\], got {bad:g}"):
            measure([0.5, bad], [1, 2], [4, 4])
    assert np.isnan(calibration_error([0.5], [0], [0]))


def test_a_calibrated_forecast_has_no_error():
    rng = np.random.default_rng(0)
    p = rng.random(20000)
    assert calibration_error(p, rng.binomial(8, p), np.full(20000, 8)) < 0.01
    assert calibration_error(np.sqrt(p), rng.binomial(8, p), np.full(20000, 8)) > 0.1


@pytest.mark.parametrize("measure", [spearman, somers_d])
def test_an_unknown_value_makes_a_rank_correlation_unknown(measure):
    assert np.isnan(measure([1.0, float("nan"), 2.0], [1.0, 2.0, 3.0]))
    assert np.isnan(measure([1.0, 2.0, 3.0], [1.0, float("nan"), 2.0]))


@pytest.mark.parametrize("measure", [spearman, somers_d])
def test_infinite_values_are_ranked_as_the_largest_finite_ones_would_be(measure):
    for a, b in (([1.0, 3.0, 2.0, 9.0], [1.0, 9.0, 3.0, 2.0]), ([-9.0, 9.0, 9.0, 1.0], [9.0, 2.0, -9.0, 9.0])):
        far = [[v if abs(v) < 9 else v * np.inf for v in side] for side in (a, b)]
        assert measure(*far) == measure(a, b)


def test_the_interval_of_a_mean_is_students_inside_its_range():
    values = [1.0, 2.0, 4.0]
    found = mean_interval(values)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 2, loc=7 / 3, scale=stats.sem(values)))
    share = mean_interval([0.9, 1.0, 0.2], limits=(0.0, 1.0))
    assert (share.low, share.high) == (0.0, 1.0)
    assert np.isnan(mean_interval([0.5, float("nan")]).estimate)
    assert np.isnan(mean_interval([]).estimate)
    assert (mean_interval([3.0]).estimate, np.isnan(mean_interval([3.0]).low)) == (3.0, True)


def test_a_share_of_one_leaves_no_room_for_a_gain():
    base, after = np.ones(4), np.array([1.0, 0.99, 1.0, 0.97])
    found = mean_interval(after - base, share_limits(base))
    assert found.high == 0.0
    assert found.low < found.estimate < 0


@settings(max_examples=60)
@given(st.integers(FEWEST, 60))
@example(1074)
@example(1075)
@example(4001)
def test_the_interval_of_a_median_is_the_narrowest_pair_of_order_statistics(n):
    found = median_interval(np.arange(1.0, n + 1))
    rank = int(found.low)
    assert found.high == n + 1 - rank
    assert found.coverage == pytest.approx(1 - 2 * stats.binom.cdf(rank - 1, n, 0.5))
    assert found.coverage >= 0.9375
    assert 1 - 2 * stats.binom.cdf(rank, n, 0.5) < 0.95


def test_a_median_counts_infinite_values():
    inf = float("inf")
    assert median_interval([1.0, inf, 3.0]).estimate == 3.0
    assert median_interval([1.0, inf, inf]).estimate == inf
    assert np.isnan(median_interval([1.0, 2.0, 3.0, 4.0]).low)
    assert median_interval([1.0, 2.0, 3.0, 4.0, inf]).high == inf


WAITING = st.one_of(st.floats(1, 200), st.just(float("inf")))


@settings(max_examples=200)
@given(st.lists(st.tuples(WAITING, WAITING), min_size=1, max_size=12))
def test_exchanging_the_methods_inverts_the_ratio(pairs):
    above, below = np.array(pairs).T
    ratio, inverse = median_ratio(above, below)[0], median_ratio(below, above)[0]
    with np.errstate(divide="ignore"):
        assert ratio.estimate == pytest.approx(1 / np.float64(inverse.estimate))
        if len(pairs) >= FEWEST:
            assert ratio.low == pytest.approx(1 / np.float64(inverse.high))


def test_pairs_that_neither_method_finishes_count_as_equal():
    inf = float("inf")
    found, ratios = median_ratio([60, inf, inf], [30, inf, 20])
    assert ratios.tolist() == [2.0, 1.0, inf]
    assert found.estimate == pytest.approx(2.0)
    assert np.isnan(median_ratio([60, float("nan")], [30, 20])[0].estimate)
    assert np.isnan(median_ratio([], [])[0].estimate)
