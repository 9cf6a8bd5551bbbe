import numpy as np
import pytest

from edgewise import PromptPool
from edgewise.beliefs import BetaBelief, CategoryPrior, FixedPrior, KnownRates
from edgewise.errors import CheckpointError, ConfigError


def everything(pool):
    return np.arange(len(pool))


@pytest.mark.parametrize("counts", [(0, 1), (1, 0), (-1, 1), (np.inf, 1), (np.nan, 1)])
def test_a_fixed_prior_is_proper(counts):
    with pytest.raises(ConfigError, match="positive"):
        FixedPrior(PromptPool([1]), *counts)


def test_known_rates():
    pool = PromptPool(range(3))
    prior = KnownRates(pool, [0.25, np.nan, 1.0], strength=8)
    alpha, beta = prior.counts(everything(pool))
    assert alpha.tolist() == [3.0, 1.0, 9.0]
    assert beta.tolist() == [7.0, 1.0, 1.0]
    pool.extend([3])
    prior.grow()
    assert [values.tolist() for values in prior.counts(np.array([3]))] == [[1.0], [1.0]]
    for rates, strength in (([0.5], 4), ([0, 1, 2], 4), ([-0.1, 0, 0], 4), ([0, 0, 0], -1), ([0, 0, 0], np.inf)):
        with pytest.raises(ConfigError):
            KnownRates(PromptPool(range(3)), rates, strength)


@pytest.mark.parametrize("labels", [None, ["a", "b", None, "a"], ["a", "b", "c", "a"]])
def test_kinds_describe_the_pool(labels):
    """What the sampler of unseen prompts relies on, before and after the pool grows."""
    for make in (FixedPrior, CategoryPrior):
        pool = PromptPool(range(4), labels)
        prior = make(pool)
        for _ in range(2):
            kind, sizes = prior.kind(everything(pool)), prior.sizes()
            assert sizes.sum() == len(pool)
            assert np.bincount(kind, minlength=len(sizes)).tolist() == sizes.tolist()
            table = np.stack(prior.kinds())
            assert np.array_equal(table[:, kind], np.stack(prior.counts(everything(pool))))
            for number, size in enumerate(sizes):
                members = prior.members(number)
                expected = np.flatnonzero(kind == number)
                assert np.array_equal(everything(pool) if members is None else members, expected)
                assert size == len(expected)
            pool.extend([len(pool)], None if labels is None else ["z"])
            prior.grow()
    assert KnownRates(pool, np.full(len(pool), 0.5)).kinds() is None


def learned(pool, rates, steps=40, seed=0):
    """A belief whose prompts of category c succeed at rates[c]."""
    belief, rng = BetaBelief(pool, CategoryPrior(pool)), np.random.default_rng(seed)
    for _ in range(steps):
        rows = rng.choice(len(pool), 40, replace=False)
        p = np.array([rates.get(pool.category_names[c - 1] if c > 0 else None) for c in pool.categories[rows]])
        belief.observe(rows, rng.binomial(8, p), np.full(40, 8))
        belief.advance()
    return belief


def test_a_category_prior_learns_each_category():
    rates = {"easy": 0.9, "middle": 0.5, "hard": 0.1, None: 0.7}
    pool = PromptPool(range(4000), np.array(["easy", "middle", "hard", None] * 1000, object))
    prior = learned(pool, rates).prior
    alpha, beta = prior.counts(np.arange(4))
    assert alpha / (alpha + beta) == pytest.approx([0.9, 0.5, 0.1, 0.7], abs=0.07)
    assert (alpha + beta).min() > 5  # prompts of a category are alike: the prior is strong


def test_a_category_prior_follows_reordered_and_new_categories():
    pool = PromptPool(range(300), np.array(["a", "b", None] * 100, object))
    prior = learned(pool, {"a": 0.9, "b": 0.2, None: 0.6}).prior
    other = PromptPool(range(400), np.array(["new", None, "b", "a"] * 100, object))
    restored = CategoryPrior(other)
    restored.load_state_dict(prior.state_dict())
    old, new = np.stack(prior.counts(np.arange(3))), np.stack(restored.counts(np.arange(4)))
    assert new[:, [3, 2, 1]] == pytest.approx(old, rel=1e-6)
    before = np.stack(prior.counts(np.arange(3)))
    pool.extend(range(300, 302), ["c", "a"])
    prior.grow()
    after = np.stack(prior.counts(np.array([0, 1, 2, 301])))
    assert after[:, :3] == pytest.approx(before, rel=1e-6)
    assert after[:, 3] == pytest.approx(before[:, 0], rel=1e-6)
    state = prior.state_dict()
    with pytest.raises(CheckpointError, match="shape"):
        CategoryPrior(other).load_state_dict({**state, "table": state["table"][:, 1:]})


def test_single_rollouts_and_certain_results_keep_priors_proper():
    pool = PromptPool(range(30))
    belief = BetaBelief(pool, CategoryPrior(pool))
    for _ in range(200):
        belief.observe(everything(pool), np.ones(30, np.int64), np.ones(30, np.int64))
        belief.advance()
    alpha, beta = belief.prior.kinds()
    assert np.isfinite([alpha, beta]).all()
    assert (alpha > 0).all()
    assert (beta > 0).all()
    assert alpha / (alpha + beta) > 0.9


@pytest.mark.parametrize("options", [{"memory": 0}, {"memory": -1}, {"shrinkage": 0}, {"memory": np.nan}])
def test_options_outside_their_range_are_refused(options):
    with pytest.raises(ConfigError):
        CategoryPrior(PromptPool([1]), **options)
