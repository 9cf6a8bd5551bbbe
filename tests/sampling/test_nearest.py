"""The window sampler chooses exactly as one draw a prompt would: compared with plain draws, seeds fixed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

import edgewise as ew
from edgewise.acquisition import Closest
from edgewise.beliefs import AbilityBelief, BetaBelief, CategoryPrior, FixedPrior
from edgewise.distributions import Beta, log_beta
from edgewise.sampling import Thompson
from edgewise.sampling.nearest import ExchangeableDraws, half_width, nearest, target_count
from edgewise.sampling.window_index import WindowIndex
from edgewise.selectors import BanditSelector, Candidates

NONE = np.empty(0, np.int64)
POSITIVE = st.floats(1e-3, 1e5)


@pytest.fixture(autouse=True)
def the_index_from_the_start(monkeypatch):
    monkeypatch.setattr("edgewise.sampling.thompson.PLAIN", 0)


@settings(max_examples=200)
@given(POSITIVE, POSITIVE)
def test_log_beta_agrees_with_scipy(a, b):
    ours = log_beta(np.array([a]), np.array([b]))[0]
    assert ours == pytest.approx(special.betaln(a, b), abs=1e-8, rel=1e-10)


@settings(max_examples=100)
@given(st.floats(0.01, 300), st.floats(0.01, 300), st.floats(0.02, 0.9), st.floats(1e-4, 0.08))
def test_peak_is_the_largest_density_of_the_interval(a, b, low, width):
    distribution = Beta(np.array([a]), np.array([b]))
    peak = distribution.log_peak(low, low + width)[0]
    grid = np.linspace(low, low + width, 401)
    values = distribution.log_density(grid)
    assert values == pytest.approx(stats.beta.logpdf(grid, a, b), abs=1e-7)
    assert values.max() <= peak + 1e-9
    steepest = np.abs(np.diff(values)).max() + 1e-6
    assert peak <= values.max() + steepest


@pytest.mark.parametrize(
    ("a", "b", "target"), [(1, 1, 0.5), (3, 9, 0.5), (0.01, 0.3, 0.7), (200, 3, 0.5), (2e4, 2e4, 0.3)]
)
def test_half_width_holds_what_was_asked_for(a, b, target):
    number, n = 10_000_000, 256
    half = half_width(Beta(np.array([float(a)]), np.array([float(b)])), np.array([number]), target, n)
    inside = number * float(np.diff(stats.beta.cdf([target - half, target + half], a, b))[0])
    limit = 0.98 * min(target, 1 - target)
    assert inside >= 0.95 * target_count(n) or half == pytest.approx(limit)
    assert inside <= 4 * target_count(n)


def mixture(rng, size):
    """Posteriors as different as they come: flat, sharp near the target, mastered, hopeless, U-shaped."""
    alpha = np.concatenate([[1.0, 1.0, 60.0, 400.0, 0.2, 30.0, 1.0, 9.0], rng.uniform(0.5, 12, size - 8)])
    beta = np.concatenate([[1.0, 9.0, 50.0, 420.0, 0.3, 1.0, 30.0, 0.5], rng.uniform(0.5, 12, size - 8)])
    return alpha, beta


def seen_belief(alpha, beta, extra=0):
    """A belief in which row i has posterior Beta(alpha_i, beta_i) (above Beta(0.1, 0.1)), and `extra` unseen rows."""
    pool = ew.PromptPool(np.arange(len(alpha) + extra))
    belief = BetaBelief(pool, FixedPrior(pool, 0.1, 0.1))
    slots, _ = belief.seen.insert(np.arange(len(alpha)))
    belief.seen["a"][slots], belief.seen["b"][slots] = alpha - 0.1, beta - 0.1
    return belief


def agree(first, second):
    """Two samples of selected rows, (repeats, n), have the same inclusion frequencies."""
    counts = np.stack(
        [np.bincount(sample.ravel(), minlength=1 + max(first.max(), second.max())) for sample in (first, second)]
    )
    counts = counts[:, counts.sum(axis=0) >= 20]
    assert counts.shape[1] > 5
    return stats.chi2_contingency(counts).pvalue > 1e-3


def closest(draw, belief, n, target, exclude, rng):
    """Rows that Thompson sampling chooses for a target without a visit to the pool."""
    return draw.choose(n, Candidates(belief.pool, exclude=np.asarray(exclude)), belief, Closest(target), rng)


def plain(belief, n, target, exclude, rng, repeats=4000):
    rows = np.setdiff1d(np.arange(len(belief.pool)), exclude)
    posterior = belief.distribution(rows)
    gap = np.abs(rng.beta(posterior.alpha, posterior.beta, (repeats, len(rows))) - target)
    return rows[np.argpartition(gap, n, axis=1)[:, :n]]


def fast(belief, n, target, exclude, rng, repeats=1000):
    draw = Thompson(belief.pool)
    return np.array([closest(draw, belief, n, target, exclude, rng) for _ in range(repeats)])


@pytest.mark.parametrize("target", [0.5, 0.3])
@pytest.mark.parametrize("extra", [0, 300])
def test_selection_has_the_law_of_plain_draws(target, extra):
    rng = np.random.default_rng(1)
    belief = seen_belief(*mixture(rng, 300), extra)
    exclude = np.array([2, 17, 40, 299])
    ours, theirs = fast(belief, 3, target, exclude, rng), plain(belief, 3, target, exclude, rng)
    assert not np.isin(ours, exclude).any()
    assert all(len(set(rows)) == 3 for rows in ours.tolist())
    if extra:  # unseen rows are alike
        ours, theirs = np.minimum(ours, 300), np.minimum(theirs, 300)
    assert agree(ours, theirs)


def test_the_comparison_notices_a_wrong_law():
    rng = np.random.default_rng(1)
    belief = seen_belief(*mixture(rng, 300))
    assert not agree(fast(belief, 3, 0.5, NONE, rng), plain(belief, 3, 0.42, NONE, rng))


def distances(parts, n):
    nearest(parts, n)
    return np.sort(np.concatenate([part.distance for part in parts]))[:n]


@pytest.mark.parametrize("n", [1, 20, 70])
def test_what_a_window_missed_is_drawn_exactly(n):
    """Windows made for a select of 1 serve larger ones: mostly by drawing the rest given that it missed."""
    rng = np.random.default_rng(2)
    alpha, beta = mixture(rng, 200)
    belief = seen_belief(alpha, beta)
    index = WindowIndex(belief, belief.seen, 0.5)
    kinds, sizes = (np.array([2.0, 0.4, 8.0]), np.array([5.0, 0.4, 8.0])), np.array([150, 60, 40])
    every = np.repeat(np.arange(3), sizes)
    ours = []
    for _ in range(1000):
        seen = index.draws(1, NONE, NONE, rng)
        ours.append(distances([seen, ExchangeableDraws(Beta(*kinds), sizes, 1, 0.5, rng)], n))
    a, b = np.concatenate([alpha, kinds[0][every]]), np.concatenate([beta, kinds[1][every]])
    theirs = np.sort(np.abs(rng.beta(a, b, (4000, len(a))) - 0.5), axis=1)
    for place in {0, n // 2, n - 1}:
        assert stats.ks_2samp(np.array(ours)[:, place], theirs[:, place]).pvalue > 1e-3


def test_every_prompt_is_drawn_once_when_a_window_is_completed():
    rng = np.random.default_rng(3)
    belief = seen_belief(*mixture(rng, 400))
    hits = WindowIndex(belief, belief.seen, 0.5).draws(1, np.array([5, 6]), NONE, rng)
    hits.complete()
    assert np.array_equal(np.sort(hits.labels), np.setdiff1d(np.arange(400), [5, 6]))
    alike = ExchangeableDraws(Beta(np.array([1.0, 3.0]), np.array([1.0, 2.0])), np.array([500, 700]), 1, 0.5, rng)
    alike.complete()
    assert np.bincount(alike.labels).tolist() == [500, 700]


def test_categories_and_retention_have_the_law_of_plain_draws():
    rng = np.random.default_rng(4)
    pool = ew.PromptPool(np.arange(600), categories=["hard"] * 250 + ["easy"] * 250 + [None] * 100)
    belief = BetaBelief(pool, CategoryPrior(pool), retention=0.9)
    for _ in range(5):
        rows = rng.choice(600, 40, replace=False)
        belief.observe(rows, rng.binomial(8, np.where(rows < 250, 0.2, 0.9)), np.full(40, 8))
        belief.advance()
    exclude = np.arange(0, 600, 9)
    ours, theirs = fast(belief, 4, 0.5, exclude, rng), plain(belief, 4, 0.5, exclude, rng)
    seen = np.isin(np.arange(600), belief.seen.rows)
    label = np.where(seen, np.arange(600), 600 + np.arange(600) // 250)
    assert agree(label[ours], label[theirs])
    alike = np.setdiff1d(np.flatnonzero(~seen[:250]), exclude)
    counts = np.bincount(ours.ravel(), minlength=600)[alike]
    assert counts.sum() > 500
    assert stats.chisquare(counts).pvalue > 1e-3


def parameters(belief, rows):
    distribution = belief.distribution(rows)
    return list(zip(distribution.alpha.tolist(), distribution.beta.tolist(), strict=True))


def buckets_hold(index):
    """Every prompt's envelope is below its bucket's, and the table is still one-to-one."""
    table, starts = index.table, index.starts
    bucket = np.searchsorted(starts, np.arange(starts[-1]), side="right") - 1
    peak = index.distribution(np.arange(starts[-1])).log_peak(index.target - index.half, index.target + index.half)
    share = peak + np.log(2 * index.half)
    fits = (share <= -bucket * np.log(2) + 1e-9) | (bucket == 0)
    assert fits.all()
    assert np.array_equal(table.slots(table.rows), np.arange(len(table)))
    assert len(np.unique(table.rows)) == len(table)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(200, 400))
def test_buckets_follow_observations(seed, size):
    rng = np.random.default_rng(seed)
    belief = seen_belief(*mixture(rng, size), extra=300)
    draw = Thompson(belief.pool)
    for _ in range(6):
        rows = closest(draw, belief, 4, 0.5, NONE, rng)
        rows = np.union1d(rows, rng.choice(len(belief.pool), 50, replace=False))
        before = dict(zip(rows.tolist(), parameters(belief, rows), strict=True))
        trials = rng.integers(1, 30, len(rows))
        successes = rng.binomial(trials, 0.5)
        for part in (belief, draw):
            part.observe(rows, successes, trials)
            part.advance()
        for row, s, k in zip(rows.tolist(), successes, trials, strict=True):
            ((alpha, beta),) = parameters(belief, np.array([row]))
            assert alpha == pytest.approx(before[row][0] + s, rel=1e-6)
            assert beta == pytest.approx(before[row][1] + k - s, rel=1e-6)
        draw._index._reindex(rows)
        buckets_hold(draw._index)


def test_a_window_follows_a_pool_that_moves_on():
    rng = np.random.default_rng(5)
    belief = seen_belief(np.full(3000, 2.0), np.full(3000, 2.0))
    draw = Thompson(belief.pool)
    closest(draw, belief, 8, 0.5, NONE, rng)
    first = draw._index.half
    for part in (belief, draw):
        part.observe(np.arange(2900), np.full(2900, 40), np.full(2900, 40))
    for _ in range(3):
        assert len(set(closest(draw, belief, 8, 0.5, NONE, rng).tolist())) == 8
    assert draw._index.half > 2 * first
    assert draw._index.found >= 8
    closest(draw, belief, 60, 0.5, NONE, rng)
    assert draw._index.n == 60


@pytest.mark.parametrize("n", [0, 1, 5, 990, 1000])
@pytest.mark.parametrize("seen", [0, 1, 700, 1000])
def test_any_number_can_be_chosen(n, seen):
    rng = np.random.default_rng(6)
    pool = ew.PromptPool(np.arange(1010), categories=[str(i % 7) for i in range(1010)])
    for belief in (BetaBelief(pool), BetaBelief(pool, CategoryPrior(pool))):
        rows = rng.choice(1010, seen, replace=False)
        belief.observe(rows, rng.integers(0, 9, seen), np.full(seen, 8))
        exclude = np.sort(rng.choice(1010, 10, replace=False))
        chosen = closest(Thompson(pool), belief, n, 0.5, exclude, rng)
        assert chosen.dtype == np.int64
        assert len(np.unique(chosen)) == n
        assert not np.isin(chosen, exclude).any()


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_targets_at_the_border_go_the_plain_way(target):
    pool = ew.PromptPool(np.arange(50))
    selector = BanditSelector(pool, BetaBelief(pool), Closest(target), Thompson(pool))
    assert len(set(selector.select(5).tolist())) == 5


@pytest.mark.parametrize(("n", "target"), [(1, 0.5), (3, 0.3), (40, 0.9)])
def test_closest_has_the_law_of_drawing_everyone(n, target):
    pool = ew.PromptPool(range(900), [None] * 100 + ["x"] * 300 + ["y"] * 500)
    belief, draw = AbilityBelief(pool), Thompson(pool)
    seen = np.arange(0, 900, 60)
    for _ in range(4):
        belief.observe(seen, np.where(seen < 400, 8, 1), np.full(len(seen), 8))
        belief.advance()
    exclude = np.array([0, 5, 120, 899])
    free = np.setdiff1d(np.arange(900), exclude)
    kind = np.where(np.isin(np.arange(900), seen), 3, np.repeat([0, 1, 2], [100, 300, 500]))
    rng = np.random.default_rng(0)
    fast, full = np.zeros((2, 4)), np.zeros((2, 4))
    for _ in range(600):
        rows = closest(draw, belief, n, target, exclude, rng)
        assert len(set(rows.tolist())) == n
        assert not np.isin(rows, exclude).any()
        drawn = np.abs(belief.draw(free, rng) - target)
        for counts, chosen in ((fast, rows), (full, free[np.argpartition(drawn, n - 1)[:n]])):
            counts[0] += np.bincount(kind[chosen], minlength=4)
            counts[1] += np.bincount(kind[chosen], chosen, minlength=4)
    # Kinds are chosen as often, and rows inside a kind uniformly (by their mean).
    assert stats.chi2_contingency(np.stack([fast[0], full[0]])[:, full[0] > 20]).pvalue > 0.01
    often = full[0] > 100
    np.testing.assert_allclose(
        (fast[1] / np.maximum(fast[0], 1))[often], (full[1] / np.maximum(full[0], 1))[often], rtol=0.12
    )


def test_closest_of_a_distant_target_still_finds_enough():
    belief = AbilityBelief(ew.PromptPool(range(5000)), residual=0.3, offset=0.2)
    for _ in range(20):
        rows = np.arange(50)
        belief.observe(rows, np.full(50, 8), np.full(50, 8))
        belief.advance()
    chosen = closest(Thompson(belief.pool), belief, 100, 0.02, rows, np.random.default_rng(0))
    assert len(np.unique(chosen)) == 100
    assert chosen.min() >= 50
