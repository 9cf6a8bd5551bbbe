"""Learned speed of drift: its evidence is the likelihood of the filter's innovations, and it follows the policy's pace."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from edgewise.beliefs import AbilityBelief, Belief, FeatureBelief
from edgewise.beliefs.drift import PRIOR, SCALES, DriftScale
from edgewise.pool import PromptPool


def test_evidence_is_the_likelihood_of_what_was_observed_under_each_speed() -> None:
    scale = DriftScale(PromptPool(range(6)))
    for _ in range(2):  # two policy steps without evidence
        scale.advance()
    precision, surprise = np.array([4.0, 0.5, 0.0]), np.array([0.9, -1.5, 7.0])
    drift, without = np.array([0.04, 0.09, 0.04]), np.array([0.3, 0.2, 0.5])
    before = scale.evidence.copy()
    scale.learn(precision, precision * surprise, variance=without + scale.applied * drift, drift=drift)
    expected = [
        sum(
            stats.norm.logpdf(surprise[c], scale=np.sqrt(without[c] + 2 * m**2 * drift[c] + 1 / precision[c]))
            for c in (0, 1)
        )
        for m in SCALES
    ]
    found = scale.evidence - before
    np.testing.assert_allclose(found - found[0], np.array(expected) - expected[0], atol=1e-9)


def test_without_evidence_the_speed_stays_near_the_given_drift_however_many_steps_pass() -> None:
    scale = DriftScale(PromptPool(range(2)))
    weight = np.exp(PRIOR) / np.exp(PRIOR).sum()
    scale.advance(3)
    assert scale.variance() == pytest.approx(weight @ SCALES**2)
    assert scale.applied == pytest.approx(3 * scale.variance())
    assert 1.0 < scale.variance() < 3.0


def follow(belief: Belief, pool: PromptPool, moves: float, steps: int, seed: int) -> float:
    """Log loss one step ahead while every ability moves by `moves` logits a step, up and down in turns of ten steps."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0.0, 0.5, len(pool))
    loss, ability = [], -3.0
    for step in range(steps):
        ability += moves * (1.0 if (step // 10) % 2 == 0 else -1.0)
        rows = rng.choice(len(pool), 16, replace=False)
        successes = rng.binomial(8, expit(ability - difficulty[rows]))
        rates = np.clip(belief.mean(rows), 1e-4, 1 - 1e-4)
        loss.append(-(successes * np.log(rates) + (8 - successes) * np.log(1 - rates)).mean() / 8)
        belief.observe(rows, successes, np.full(16, 8))
        belief.advance()
    return float(np.mean(loss))


@pytest.mark.parametrize("kind", [AbilityBelief, FeatureBelief])
def test_a_fast_policy_is_predicted_better_and_a_slow_one_no_worse(kind: type) -> None:
    features = np.random.default_rng(3).normal(size=(600, 2)) if kind is FeatureBelief else None
    pool = PromptPool(range(600), ["a", "b", "c"] * 200, features)
    gains = {}
    for name, moves in (("fast", 0.6), ("slow", 0.0)):
        speeds, losses = [], []
        for seed in range(4):
            adaptive, fixed = kind(pool), kind(pool, adaptive=False)
            losses.append([follow(belief, pool, moves, 40, seed) for belief in (adaptive, fixed)])
            speeds.append(adaptive.metrics()["drift"])
        gains[name] = (np.mean(losses, axis=0), np.mean(speeds))
    (fast, fast_speed), (slow, slow_speed) = gains["fast"], gains["slow"]
    assert fast_speed > 2.0 * slow_speed
    assert fast[0] < 0.98 * fast[1]
    assert slow[0] < 1.005 * slow[1]


def test_a_fixed_drift_stays_as_given() -> None:
    belief = AbilityBelief(PromptPool(range(4)), adaptive=False)
    assert "drift" not in belief.metrics()
    assert "speed" not in belief.state_dict()
