import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise import PromptPool, make_selector
from edgewise.beliefs import BetaBelief, CategoryPrior, FixedPrior
from edgewise.errors import ConfigError

SIZE = 12
group = st.tuples(st.integers(1, 16), st.floats(0, 1)).map(lambda kp: (kp[0], round(kp[0] * kp[1])))
step = st.dictionaries(st.integers(0, SIZE - 1), group, max_size=6)
history = st.lists(step, max_size=25)
share = st.floats(0.0, 1.0)
modest = settings(derandomize=True, max_examples=50, deadline=None)


def observe(belief, results, order=None):
    rows = np.array(list(results) if order is None else order, np.int64)
    trials = np.array([results[row][0] for row in rows.tolist()], np.int64)
    belief.observe(rows, np.array([results[row][1] for row in rows.tolist()], np.int64), trials)


def play(belief, steps):
    for results in steps:
        observe(belief, results)
        belief.advance()


def parameters(belief):
    d = belief.distribution(np.arange(len(belief.pool)))
    return np.stack([d.alpha, d.beta])


@modest
@given(history, share, st.floats(0.01, 50), st.floats(0.01, 50))
def test_equals_the_published_formula(steps, decay, alpha0, beta0):
    """alpha <- lambda alpha + (1 - lambda) alpha0 + s, for the observed prompts only (arXiv 2507.04632)."""
    pool = PromptPool(range(SIZE))
    belief = BetaBelief(pool, FixedPrior(pool, alpha0, beta0), decay=decay)
    alpha, beta = np.full(SIZE, alpha0), np.full(SIZE, beta0)
    for results in steps:
        observe(belief, results)
        belief.advance()
        for row, (k, s) in results.items():
            alpha[row] = decay * alpha[row] + (1 - decay) * alpha0 + s
            beta[row] = decay * beta[row] + (1 - decay) * beta0 + (k - s)
    assert parameters(belief) == pytest.approx(np.stack([alpha, beta]), rel=1e-5)
    assert belief.mean(np.arange(SIZE)) == pytest.approx(alpha / (alpha + beta), rel=1e-5)


@modest
@given(history, st.floats(0.5, 1.0), share)
def test_lazy_retention_equals_stepwise_retention(steps, retention, decay):
    pool = PromptPool(range(SIZE))
    belief = BetaBelief(pool, FixedPrior(pool, 1.0, 2.0), decay=decay, retention=retention)
    evidence = np.zeros((2, SIZE))
    for results in steps:
        observe(belief, results)
        for row, (k, s) in results.items():
            evidence[:, row] = evidence[:, row] * decay + (s, k - s)
        assert parameters(belief) == pytest.approx(evidence + np.array([[1.0], [2.0]]), rel=1e-5)
        belief.advance()
        evidence *= retention
    assert parameters(belief) == pytest.approx(evidence + np.array([[1.0], [2.0]]), rel=1e-5)


@modest
@given(history, st.floats(1e-3, 1.0), share, st.booleans())
def test_posteriors_stay_proper(steps, retention, decay, shared):
    pool = PromptPool(range(SIZE), [str(i % 3) for i in range(SIZE)])
    prior = CategoryPrior(pool) if shared else FixedPrior(pool, 1e-3, 1e-3)
    belief, rng = BetaBelief(pool, prior, decay=decay, retention=retention), np.random.default_rng(0)
    for results in steps:
        play(belief, [results, {}])
        values = parameters(belief)
        assert np.isfinite(values).all()
        assert (values > 0).all()
        draws, mean = belief.draw(np.arange(SIZE), rng), belief.mean(np.arange(SIZE))
        assert ((draws >= 0) & (draws <= 1) & (mean > 0) & (mean < 1)).all()


@modest
@given(history, step, share, st.randoms())
def test_the_order_within_a_step_does_not_matter(steps, last, decay, random):
    """Nor does it matter in how many parts the step is observed: several processes may observe their shares in any order."""
    pool = PromptPool(range(SIZE))
    states = []
    for _ in range(3):
        belief = BetaBelief(pool, decay=decay)
        play(belief, steps)
        order = list(last)
        random.shuffle(order)
        cut = random.randint(0, len(order))
        observe(belief, last, order[:cut])
        observe(belief, last, order[cut:])
        belief.advance()
        states.append({name: values.tolist() for name, values in belief.state_dict()["seen"].items()})
    assert states[0] == states[1] == states[2]


def test_parts_of_one_group_are_one_observation():
    pool = PromptPool(range(2))
    whole, parts = BetaBelief(pool, decay=0.25), BetaBelief(pool, decay=0.25)
    for belief in (whole, parts):
        play(belief, [{0: (8, 3)}])
    observe(whole, {0: (8, 5)})
    for part in ((3, 1), (4, 4), (1, 0)):
        observe(parts, {0: part})
    assert parameters(parts) == pytest.approx(parameters(whole))


@modest
@given(history, st.integers(0, 24), share, st.floats(0.5, 1.0))
def test_saving_at_any_point_changes_nothing_that_follows(steps, point, decay, retention):
    pool = PromptPool(range(SIZE), [str(i % 3) for i in range(SIZE)])

    def make():
        return BetaBelief(pool, CategoryPrior(pool), decay=decay, retention=retention)

    belief, restored = make(), make()
    play(belief, steps[:point])
    play(restored, steps[::-1])
    restored.load_state_dict(belief.state_dict())
    play(belief, steps[point:])
    play(restored, steps[point:])
    assert np.array_equal(parameters(belief), parameters(restored))


@pytest.mark.parametrize("name", ["mopps", "edge"])
@pytest.mark.parametrize("load_before_select", [True, False])
def test_resume_is_exact_through_the_window(monkeypatch, name, load_before_select):
    monkeypatch.setattr("edgewise.sampling.thompson.PLAIN", 0)
    """3,000 prompts and small selects: MoPPS's index is in use, and touched but not yet settled when saved."""
    pool = PromptPool(range(3000), [str(i % 5) for i in range(3000)])
    rng = np.random.default_rng(0)
    selector = make_selector(name, pool, seed=1)
    rows = rng.permutation(2000)
    selector.observe(rows, rng.binomial(8, 0.5, 2000), 8)

    def go(selector, steps, seed):
        rng, chosen = np.random.default_rng(seed), []
        for _ in range(steps):
            chosen.append(selector.select(16).tolist())
            selector.observe(chosen[-1], rng.binomial(8, 0.5, 16), 8)
        return chosen

    go(selector, 5, 2)
    if name == "mopps":
        assert selector.draw._index is not None
        assert len(selector.draw._observed) == 16
    other = make_selector(name, pool, seed=9)
    if load_before_select:
        go(other, 3, 7)
    state = selector.state_dict()
    other.load_state_dict(state)
    assert go(other, 6, 3) == go(selector, 6, 3)


@pytest.mark.parametrize("name", ["mopps", "edge"])
def test_processes_that_observe_in_another_order_choose_the_same(monkeypatch, name):
    monkeypatch.setattr("edgewise.sampling.thompson.PLAIN", 0)
    pool = PromptPool(range(4000), [str(i % 5) for i in range(4000)])
    ranks = [make_selector(name, pool, seed=3) for _ in range(3)]
    orders, truth = np.random.default_rng(0), np.random.default_rng(1).random(4000)
    for number in range(12):
        chosen = [selector.select(400 if number < 5 else 16) for selector in ranks]
        assert np.array_equal(chosen[0], chosen[1])
        assert np.array_equal(chosen[0], chosen[2])
        successes = np.rint(8 * truth).astype(int)
        for selector in ranks:
            for part in np.array_split(orders.permutation(chosen[0]), 3):
                selector.observe(part, successes[part], 8)
    if name == "mopps":
        assert ranks[0].draw._index is not None


def test_a_mastered_pool_says_so():
    pool = PromptPool(range(40))
    selector = make_selector("mopps", pool)
    assert "seen_mastered" not in selector.metrics()
    for _ in range(3):
        selector.observe(np.arange(40), 8, 8)
        assert len(selector.select(40)) == 40
    assert selector.metrics()["seen_mastered"] == 1.0
    for _ in range(9):
        selector.observe(np.arange(20), 0, 8)
        selector.advance()
    assert selector.metrics()["seen_hopeless"] == 0.5
    assert selector.metrics()["seen_mastered"] == 0.5


@pytest.mark.parametrize(
    "options", [{"decay": 1.1}, {"decay": -0.1}, {"retention": 0.0}, {"retention": 1.5}, {"decay": np.nan}]
)
def test_options_outside_their_range_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        BetaBelief(PromptPool(range(2)), **options)
