"""Sharing beliefs on simulated data: prompts never rolled out are ranked, and useless labels do no harm."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from edgewise.beliefs import AbilityBelief, AnchoredBelief, Belief, BetaBelief, FeatureBelief
from edgewise.errors import ConfigError
from edgewise.features import hashed_features
from edgewise.pool import PromptPool
from edgewise.statistics import spearman

SIZE, STEPS, BATCH = 2000, 25, 32


def simulate(beliefs: dict[str, Belief], logit: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """Uniform rollouts while ability rises; rank correlation on unseen prompts and mean error on all, by belief."""
    rng = np.random.default_rng(1)
    unseen = np.ones(SIZE, bool)
    for step in range(STEPS):
        rows = rng.choice(SIZE, BATCH, replace=False)
        successes = rng.binomial(8, expit(logit[rows] + 0.04 * step))
        for belief in beliefs.values():
            belief.observe(rows, successes, np.full(BATCH, 8))
            belief.advance()
        unseen[rows] = False
    truth = expit(logit + 0.04 * STEPS)
    rows = np.flatnonzero(unseen)
    return (
        {name: spearman(belief.mean(rows), truth[rows]) for name, belief in beliefs.items()},
        {name: float(np.abs(belief.mean(np.arange(SIZE)) - truth).mean()) for name, belief in beliefs.items()},
    )


def test_labels_rank_unseen_prompts() -> None:
    rng = np.random.default_rng(0)
    category = rng.integers(0, 8, SIZE)
    logit = np.linspace(-2.5, 1.5, 8)[category] + 0.7 * rng.standard_normal(SIZE)
    labels = PromptPool(range(SIZE), category.astype(str))
    shuffled = PromptPool(range(SIZE), rng.permutation(category).astype(str))
    beliefs = {
        "beta": BetaBelief(labels),
        "ability": AbilityBelief(labels),
        "shuffled": AbilityBelief(shuffled),
        "none": AbilityBelief(PromptPool(range(SIZE))),
    }
    rank, error = simulate(beliefs, logit)
    assert rank["ability"] > 0.75
    assert np.isnan(rank["beta"])
    assert error["ability"] < 0.6 * error["beta"]
    # Uninformative labels cost next to nothing.
    assert error["shuffled"] < error["none"] + 0.01
    assert error["shuffled"] < error["beta"]
    tau = {name: belief.metrics()["residual"] for name, belief in beliefs.items() if isinstance(belief, AbilityBelief)}
    assert tau["ability"] < 1.0 < tau["shuffled"]


def test_features_rank_unseen_prompts() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((SIZE, 40))
    logit = features[:, :10] @ rng.standard_normal(10) * 0.5 + 0.5 * rng.standard_normal(SIZE)
    # Columns of any scale, one constant, one a copy of another.
    features = features * np.exp(rng.standard_normal(40) * 3) + 100.0
    features[:, 39], features[:, 38] = 7.0, features[:, 0]
    beliefs: dict[str, Belief] = {
        "features": FeatureBelief(PromptPool(range(SIZE), features=features)),
        "shuffled": FeatureBelief(PromptPool(range(SIZE), features=rng.permutation(features))),
        "beta": BetaBelief(PromptPool(range(SIZE))),
    }
    rank, error = simulate(beliefs, logit)
    assert rank["features"] > 0.75
    assert abs(rank["shuffled"]) < 0.15
    assert error["features"] < 0.6 * error["beta"]
    assert error["shuffled"] < error["beta"] + 0.03


def test_more_features_than_observations() -> None:
    rng = np.random.default_rng(0)
    belief = FeatureBelief(PromptPool(range(50), features=rng.standard_normal((50, 120))))
    belief.observe(np.array([0, 1]), np.array([8, 0]), np.array([8, 8]))
    belief.advance()
    mean = belief.mean(np.arange(50))
    assert mean[0] > mean[2:].mean() > mean[1]
    assert np.isfinite(mean).all()


def test_features_must_exist() -> None:
    with pytest.raises(ConfigError, match="features"):
        FeatureBelief(PromptPool([1, 2]))


def test_text_ranks_unseen_prompts() -> None:
    rng = np.random.default_rng(0)
    hard = rng.integers(0, 2, (SIZE, 6))
    texts = [" ".join("multiply" if h else "add" for h in row) + f" {i}" for i, row in enumerate(hard)]
    belief = FeatureBelief(PromptPool(range(SIZE), features=hashed_features(texts, 32)))
    rank, _ = simulate({"text": belief}, 2.0 - 1.2 * hard.sum(1))
    assert rank["text"] > 0.75


def test_anchors_rank_unseen_prompts() -> None:
    rng = np.random.default_rng(0)
    logit = rng.standard_normal(SIZE) * 1.5
    pool = PromptPool(range(SIZE))
    anchored = AnchoredBelief(pool, expit(logit - 1.0), expit(logit + 2.0))
    rank, error = simulate({"anchored": anchored, "beta": BetaBelief(pool)}, logit)
    assert rank["anchored"] > 0.9
    assert error["anchored"] < 0.65 * error["beta"]
