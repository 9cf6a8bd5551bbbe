"""pass@k curves: the estimator against enumeration, the interval against its coverage."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from edgewise.errors import ConfigError, RewardError
from edgewise.statistics import pass_curve, pass_gain, pass_table, share_curve

KS = tuple(range(1, 129))


def test_the_table_is_the_share_of_subsets_that_hold_a_success() -> None:
    table = pass_table(6, (1, 2, 5, 6))
    for correct in range(7):
        rollouts = [1] * correct + [0] * (6 - correct)
        for column, k in enumerate((1, 2, 5, 6)):
            drawn = list(combinations(rollouts, k))
            assert table[correct, column] == pytest.approx(sum(any(d) for d in drawn) / len(drawn))


def test_every_k_up_to_128_follows_the_formula() -> None:
    table = pass_table(128, KS)
    assert table.shape == (129, 128)
    for c, k in [(0, 128), (1, 1), (1, 64), (3, 17), (77, 128), (128, 1), (30, 99)]:
        assert table[c, k - 1] == pytest.approx(1 - comb(128 - c, k) / comb(128, k), abs=1e-12)


def test_the_curve_rises_with_k_and_its_interval_holds_the_mean() -> None:
    successes = np.random.default_rng(0).binomial(128, 0.03, 200)
    curve = pass_curve(successes, 128, KS)
    assert (np.diff(curve.mean) > 0).all()
    assert curve.mean[0] == pytest.approx(successes.mean() / 128)
    assert curve.mean[-1] == pytest.approx((successes > 0).mean())
    assert ((curve.low <= curve.mean) & (curve.mean <= curve.high)).all()


DISTRIBUTIONS = {
    "spread": lambda rng, n: rng.beta(0.3, 0.6, n),
    "skewed": lambda rng, n: rng.beta(1.0, 3.0, n),
    "narrow": lambda rng, n: rng.beta(5.0, 5.0, n),
    "near one": lambda rng, n: rng.beta(20.0, 1.0, n),
    "all or nothing": lambda rng, n: (rng.random(n) < 0.5) * 1.0,
    "rare": lambda rng, n: (rng.random(n) < 0.1) * 1.0,
}


@pytest.mark.parametrize("n", [2, 3, 5, 10, 20, 60, 200])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_interval_of_a_share_covers_the_mean_with_few_values_too(name: str, n: int) -> None:
    draw, rng = DISTRIBUTIONS[name], np.random.default_rng([n, len(name)])
    truth = draw(rng, 1_000_000).mean()
    curve = share_curve(draw(rng, (n, 1000)))
    assert ((curve.low <= truth) & (truth <= curve.high)).mean() > 0.9
    assert (curve.low >= 0).all()
    assert (curve.high <= 1).all()


def test_equal_values_keep_an_interval() -> None:
    unsolved = pass_curve([0] * 200, 16, (1, 16))
    assert unsolved.low.tolist() == [0.0, 0.0]
    assert 0.01 < unsolved.high[0] < 0.03
    assert pass_curve([16] * 200, 16, (1,)).low[0] < 0.99
    single = pass_curve([8], 16, (1,))
    assert (single.low[0], single.high[0]) == (0.0, 1.0)


def test_the_width_is_that_of_the_standard_error() -> None:
    values = np.random.default_rng(2).random((400, 1))
    curve = share_curve(values)
    assert (curve.high - curve.low)[0] == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.03)


def test_a_gain_is_paired() -> None:
    rng = np.random.default_rng(3)
    before = rng.binomial(8, rng.random(300))
    after = np.minimum(before + rng.binomial(1, 0.5, 300), 8)
    gain = pass_gain(before, after, 8, (1, 8))
    assert gain.low[0] > 0
    assert gain.mean[0] == pytest.approx((after - before).mean() / 8)
    # Far narrower than the curves themselves, whose problems differ much more than their gains.
    curve = pass_curve(before, 8, (1,))
    assert (gain.high - gain.low)[0] < 0.3 * (curve.high - curve.low)[0]


def test_bad_counts_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"between 1 and samples \(4\), got 1, 5"):
        pass_curve([1, 2], 4, (1, 5))
    with pytest.raises(RewardError, match="between 0 and 4, got 1 to 5"):
        pass_curve([1, 5], 4, (1,))
    with pytest.raises(RewardError, match="at least one problem"):
        pass_curve([], 4, (1,))
    with pytest.raises(RewardError, match="same problems"):
        pass_gain([1, 2], [1], 4, (1,))
    with pytest.raises(ConfigError, match="level"):
        share_curve(np.ones((3, 1)), level=1.0)
