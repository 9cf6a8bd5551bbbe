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
    known = KnownRates(pool, [0.25, np.nan, 1.0], strength=8)
    successes, failures = known.counts(everything(pool))
    assert successes.tolist() == [2.0, 0.0, 8.0]
    assert failures.tolist() == [6.0, 0.0, 0.0]
    pool.extend([3])
    known.grow()
    assert [values.tolist() for values in known.counts(np.array([3]))] == [[0.0], [0.0]]
    for rates, strength in (([0.5], 4), ([0, 1, 2], 4), ([-0.1, 0, 0], 4), ([0, 0, 0], -1), ([0, 0, 0], np.inf)):
        with pytest.raises(ConfigError):
            KnownRates(PromptPool(range(3)), rates, strength)


@pytest.mark.parametrize("labels", [None, ["a", "b", None, "a"], ["a", "b", "c", "a"]])
def test_exchangeable_prompts_are_described_by_class(labels):
    """What draws rely on, before and after the pool grows and some prompts are observed."""
    for make in (FixedPrior, CategoryPrior):
        pool = PromptPool(range(4), labels)
        belief = BetaBelief(pool, make(pool))
        for _ in range(2):
            belief.observe(np.array([1]), np.array([1]), np.array([2]))
            classes = belief.exchangeable()
            unseen = np.setdiff1d(everything(pool), classes.seen.rows)
            code = pool.category_index(unseen) if classes.by_category else np.zeros(len(unseen), int)
            assert classes.sizes.tolist() == np.bincount(code, minlength=len(classes.distribution)).tolist()
            assert np.array_equal(classes.distribution[code].mean(), belief.mean(unseen))
            pool.extend([len(pool)], None if labels is None else ["z"])
            belief.grow()
    known = PromptPool(range(3), priors=[0.5, np.nan, 0.1])
    assert BetaBelief(known).exchangeable() is None


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
        CategoryPrior(other).load_state_dict({**state, "own": state["own"][1:]})


def test_single_rollouts_and_certain_results_keep_priors_proper():
    pool = PromptPool(range(30))
    belief = BetaBelief(pool, CategoryPrior(pool))
    for _ in range(200):
        belief.observe(everything(pool), np.ones(30, np.int64), np.ones(30, np.int64))
        belief.advance()
    shared = belief.prior.shared()
    alpha, beta = shared.alpha, shared.beta
    assert np.isfinite([alpha, beta]).all()
    assert (alpha > 0).all()
    assert (beta > 0).all()
    assert alpha / (alpha + beta) > 0.9


@pytest.mark.parametrize("options", [{"retention": 0}, {"retention": 1.0}, {"shrinkage": 0}, {"retention": np.nan}])
def test_options_outside_their_range_are_refused(options):
    with pytest.raises(ConfigError):
        CategoryPrior(PromptPool([1]), **options)
