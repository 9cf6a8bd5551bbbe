import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.selectors.test_golden import selected

import edgewise as ew
from edgewise.beliefs import AbilityBelief
from edgewise.sampling.unseen import Unseen
from edgewise.sampling.waits import AllWaits, ShortWaits


def observed(size, count, excluded, seed=0):
    """What `count` observed prompts of a pool of `size` leave to choose from, without `excluded`."""
    belief = AbilityBelief(ew.PromptPool(range(size)))
    rows = np.random.default_rng(seed).choice(size, count, replace=False)
    belief.observe(rows, np.ones(count, np.int64), np.full(count, 2))
    exchangeable = belief.exchangeable()
    assert exchangeable is not None
    return Unseen(belief.pool, exchangeable, np.asarray(excluded, np.int64)), rows


@pytest.mark.parametrize("limits", [(0.5,), (0.01, 0.05, 0.4, np.inf), (0.2, 0.2, 9.0), (40.0,)])
def test_short_waits_are_distributed_as_waits_of_all_prompts(limits):
    excluded = np.arange(0, 400, 3)
    unseen, rows = observed(400, 300, excluded)
    allowed = np.setdiff1d(rows, excluded)
    found, waits = [], []
    for seed in range(200):
        short = ShortWaits(unseen, np.random.default_rng(seed))
        for limit in limits:
            chosen, wait = short.within(limit)
            assert (np.diff(chosen) > 0).all()
            assert (wait <= limit).all()
        found.append(chosen)
        waits.append(wait)
    assert np.isin(np.concatenate(found), allowed).all()
    # Each prompt's wait ends by the limit with probability 1 - exp(-limit), whichever prompt it is.
    ended = -np.expm1(-limits[-1])
    times = np.bincount(np.searchsorted(allowed, np.concatenate(found)), minlength=len(allowed))
    bounds = stats.binom.ppf([1e-5, 1 - 1e-5], 200, ended)
    assert bounds[0] <= times.min()
    assert times.max() <= bounds[1]
    assert 1e-4 < stats.binom.cdf(times.sum(), 200 * len(allowed), ended) <= 1
    share = -np.expm1(-np.concatenate(waits)) / ended
    assert stats.kstest(share, "uniform").pvalue > 1e-3


def test_waits_drawn_earlier_stay_when_the_limit_rises():
    unseen, _ = observed(5000, 4000, [1, 2, 3])
    short = ShortWaits(unseen, np.random.default_rng(0))
    before = dict(zip(*map(np.ndarray.tolist, short.within(0.1)), strict=True))
    after = dict(zip(*map(np.ndarray.tolist, short.within(3.0)), strict=True))
    assert 0 < len(before) < len(after) < short.size
    assert {row: after[row] for row in before} == before
    assert min(after[row] for row in after.keys() - before.keys()) > 0.1


def test_few_draws_are_made_where_few_waits_are_short():
    unseen, _ = observed(200_000, 150_000, [])
    asked = []

    class Counted:
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def __getattr__(self, name):
            def draw(*arguments, **options):
                result = getattr(self.rng, name)(*arguments, **options)
                asked.append(np.size(result))
                return result

            return draw

    rows, _ = ShortWaits(unseen, Counted()).within(1e-3)
    assert 80 < len(rows) < 250
    assert sum(asked) < 1000
    everything = AllWaits(unseen, np.random.default_rng(0))
    assert everything.size == 150_000


@pytest.mark.parametrize(("kind", "golden"), [("plain", "4c11f67e48bf"), ("labels", "cdd2ff9de987")])
def test_selections_with_short_waits_are_fixed_by_the_seed(kind, golden, monkeypatch):
    monkeypatch.setattr("edgewise.sampling.proportional.PLAIN", 0)
    assert selected("edge", kind) == selected("edge", kind) == golden


def test_short_waits_select_as_often_as_all_waits_do(monkeypatch):
    """A draw of 8 of 600 prompts observed, of known values: how often each is selected."""
    counts = []
    for plain in (10**9, 0):
        monkeypatch.setattr("edgewise.sampling.proportional.PLAIN", plain)
        selector = ew.make_selector("edge", ew.PromptPool(range(600)), retest=0.0, seed=plain % 7)
        selector.observe(np.arange(600), np.arange(600) % 9, 8)
        selector.advance()
        picks = np.concatenate([selector.select(8) for _ in range(1500)])
        counts.append(np.bincount(picks % 9, minlength=9))
    assert stats.chi2_contingency(np.array(counts)).pvalue > 1e-3


@settings(max_examples=60)
@given(
    size=st.integers(1, 40),
    seen=st.integers(1, 40),
    n_excluded=st.integers(0, 40),
    limits=st.lists(st.sampled_from([0.0, 0.01, 0.3, 2.0, np.inf]), min_size=1, max_size=6),
    seed=st.integers(0, 9),
)
def test_waits_are_a_function_of_the_row_whatever_the_order_of_limits(size, seen, n_excluded, limits, seed):
    excluded = np.random.default_rng(seed).permutation(size)[:n_excluded]
    unseen, rows = observed(size, min(seen, size), np.sort(excluded))
    allowed = np.setdiff1d(rows, excluded).tolist()
    for kind in (ShortWaits, AllWaits):
        waits = kind(unseen, np.random.default_rng(seed))
        assert waits.size == len(allowed)
        found = [dict(zip(*map(np.ndarray.tolist, waits.within(limit)), strict=True)) for limit in limits]
        last = dict(zip(*map(np.ndarray.tolist, waits.within(np.inf)), strict=True))
        assert list(last) == allowed
        for limit, own in zip(limits, found, strict=True):
            assert own == {row: wait for row, wait in last.items() if wait <= limit}


@pytest.mark.parametrize(("size", "excluded"), [(1, []), (2, [0]), (30, range(29)), (300, range(0, 297))])
def test_few_waits_are_exponential(size, excluded):
    unseen, _ = observed(size, size, list(excluded))
    waits = []
    for seed in range(400):
        short = ShortWaits(unseen, np.random.default_rng(seed))
        for limit in (0.1, 0.8, 0.8):
            short.within(limit)
        waits.append(short.within(np.inf)[1])
    assert stats.kstest(np.concatenate(waits), "expon").pvalue > 1e-3
