"""The filter behind ability and features: exact posteriors of one group, exact retention, learned residuals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate
from scipy.special import expit

from edgewise.beliefs import AbilityBelief, Belief, FeatureBelief
from edgewise.distributions import LogitNormal, logit_posterior
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors import EdgeSelector


def logits(belief: Belief, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distribution = belief.distribution(rows)
    assert isinstance(distribution, LogitNormal)
    return distribution.location, distribution.variance


def integral(mean: float, variance: float, s: int, k: int) -> tuple[float, float]:
    """Mean and variance by adaptive quadrature."""

    def density(x: float) -> float:
        return float(np.exp(s * x - k * np.logaddexp(0, x) - (x - mean) ** 2 / (2 * variance) + shift))

    grid = np.linspace(mean - 10 * variance**0.5 - k * variance, mean + 10 * variance**0.5 + k * variance, 200_001)
    values = s * grid - k * np.logaddexp(0, grid) - (grid - mean) ** 2 / (2 * variance)
    shift, centre = -values.max(), grid[values.argmax()]
    reach = 9 * variance**0.5
    moments = []
    for power in range(3):
        sides = ((centre - reach, centre), (centre, centre + reach))
        moments.append(
            sum(integrate.quad(lambda x, p=power: density(x) * x**p, *side, epsabs=1e-13)[0] for side in sides)
        )
    first = moments[1] / moments[0]
    return first, moments[2] / moments[0] - first**2


@pytest.mark.parametrize(
    ("mean", "variance", "s", "k"), [(6.875898, 0.220014, 0, 55), (-5.966086, 0.192055, 60, 61), (12.0, 0.3, 0, 64)]
)
def test_posterior_after_a_great_surprise_is_exact(mean: float, variance: float, s: int, k: int) -> None:
    found = logit_posterior(np.array([mean]), np.array([variance]), np.array([s]), np.array([k]))
    grid = np.linspace(mean - k * variance - 3, mean + k * variance + 3, 2_000_001)
    weight = s * grid - k * np.logaddexp(0, grid) - (grid - mean) ** 2 / (2 * variance)
    weight = np.exp(weight - weight.max())
    weight /= weight.sum()
    centre = (weight * grid).sum()
    assert found[0][0] == pytest.approx(centre, abs=2e-4)
    assert found[1][0] == pytest.approx((weight * (grid - centre) ** 2).sum(), rel=2e-3)


@pytest.mark.parametrize("mean", [-4.0, 0.0, 2.5])
@pytest.mark.parametrize("variance", [0.01, 1.0, 6.0])
@pytest.mark.parametrize(("s", "k"), [(0, 1), (0, 8), (8, 8), (3, 8), (64, 64), (500, 1000), (0, 1000)])
def test_posterior_of_one_logit_is_exact(mean: float, variance: float, s: int, k: int) -> None:
    found = logit_posterior(np.array([mean]), np.array([variance]), np.array([s]), np.array([k]))
    expected = integral(mean, variance, s, k)
    assert found[0][0] == pytest.approx(expected[0], abs=2e-4)
    assert found[1][0] == pytest.approx(expected[1], rel=2e-3)


def test_one_group_moves_related_prompts_by_the_shared_variance() -> None:
    """One group, by hand: the logit's site is split between ability, offset and difficulty by their variances."""
    pool = PromptPool(range(4), ["x", "x", "y", "y"])
    belief = AbilityBelief(pool, drift=0.0, offset=1.0, residual=1.0, retention=1.0)
    belief.observe(np.array([0]), np.array([8]), np.array([8]))
    after, left = logit_posterior(np.zeros(1), np.full(1, 3.0), np.array([8]), np.array([8]))
    site = 1 / left - 1 / 3
    target = after / left / site
    belief.advance()
    mean, variance = logits(belief, np.arange(4))
    tau = belief.tau()[belief.pool.category_index(np.array([0]))] ** 2
    # theta, u_x, d: variances 1, 1, tau^2; the site has variance 1 / site. (tau itself has learned a little since.)
    moved = target / (3 + 1 / site)
    own = (target - 2 * moved) * site / (1 / tau + site)
    assert mean[1] == pytest.approx(2 * moved)
    assert mean[2] == mean[3] == pytest.approx(moved)
    assert mean[0] == pytest.approx(2 * moved + own)
    assert variance[0] < variance[1] < variance[2]


def test_retention_alone_returns_a_prompt_to_its_category() -> None:
    pool = PromptPool(range(6), list("xxxyyy"))
    belief = AbilityBelief(pool, retention=0.9)
    for _ in range(3):
        belief.observe(np.arange(4), np.array([8, 2, 3, 5]), np.full(4, 8))
        belief.advance()
    gap = [logits(belief, np.array([0, 2]))[0]]
    slots = belief.seen.slots(np.array([0]))
    evidence = belief._evidence(slots)[1][0]
    for step in range(1, 40):
        belief.advance()
        assert belief._evidence(slots)[1][0] == pytest.approx(evidence * 0.9**step, rel=1e-6)
        gap.append(logits(belief, np.array([0, 2]))[0])
    assert gap[-1][0] - gap[-1][1] < 0.1 * (gap[0][0] - gap[0][1])
    fresh = PromptPool(range(1), ["x"])
    assert logits(belief, np.array([0]))[1][0] > logits(AbilityBelief(fresh, drift=0.0), np.array([0]))[1][0] * 0.2


def test_drift_widens_and_a_silent_category_keeps_its_bounds() -> None:
    pool = PromptPool(range(2), ["x", "y"])
    belief = AbilityBelief(pool, drift=0.2, offset=1.0, residual=1.0, adaptive=False)
    start = logits(belief, np.array([0]))[1][0]
    for _ in range(100):
        belief.advance()
    # 100 steps of variance 0.04 for the level; the offset is stationary at 1.
    assert logits(belief, np.array([0]))[1][0] == pytest.approx(start + 100 * 0.04)


@pytest.mark.parametrize("tau", [0.3, 1.0, 1.8])
def test_spread_of_difficulties_is_learned(tau: float) -> None:
    rng = np.random.default_rng(0)
    n = 4000
    category = rng.integers(0, 5, n)
    logit = np.linspace(-2, 2, 5)[category] + tau * rng.standard_normal(n)
    belief = AbilityBelief(PromptPool(range(n), category.astype(str)), drift=0.03)
    for _ in range(50):
        rows = rng.choice(n, 64, replace=False)
        belief.observe(rows, rng.binomial(8, expit(logit[rows])), np.full(64, 8))
        belief.advance()
    assert belief.tau()[1:].mean() == pytest.approx(tau, abs=0.2)
    mean, variance = logits(belief, np.arange(n))
    assert np.sqrt(((logit - mean) ** 2 / variance).mean()) == pytest.approx(1.0, abs=0.2)


def test_mean_and_spread_are_those_of_the_draws() -> None:
    pool = PromptPool(range(3), features=np.eye(3))
    belief = FeatureBelief(pool)
    belief.observe(np.array([0, 1]), np.array([8, 1]), np.array([8, 8]))
    belief.advance()
    rows = np.repeat(np.arange(3), 20_000)
    drawn = belief.draw(rows, np.random.default_rng(0)).reshape(3, -1)
    np.testing.assert_allclose(belief.mean(np.arange(3)), drawn.mean(1), atol=0.01)
    np.testing.assert_allclose(belief.std(np.arange(3)), drawn.std(1), atol=0.01)


def test_many_categories_cost_no_matrix_and_predict_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offsets independent given the global ability: exact without drift of the global ability, close with it."""
    for drift, tolerance in ((0.0, 1e-6), (0.1, 0.02)):
        rng = np.random.default_rng(0)
        pool = PromptPool(range(400), [f"c{i % 40:02d}" for i in range(400)])
        full = AbilityBelief(pool, drift=drift, offset=1.0)
        monkeypatch.setattr("edgewise.beliefs.ability.EXACT", 10)
        star = AbilityBelief(pool, drift=drift, offset=1.0)
        assert star._covariance.shape == (2, 42)
        truth = expit(np.linspace(-2, 2, 40)[np.arange(400) % 40] + 0.5 * rng.standard_normal(400))
        for _ in range(40):
            rows = rng.choice(400, 24, replace=False)
            s = rng.binomial(8, truth[rows])
            for belief, size in ((full, 256), (star, 10)):
                monkeypatch.setattr("edgewise.beliefs.ability.EXACT", size)
                belief.observe(rows, s, np.full(24, 8))
                belief.advance()
        monkeypatch.setattr("edgewise.beliefs.ability.EXACT", 10)
        found, spread = star.mean(np.arange(400)), star.std(np.arange(400))
        state = star.state_dict()
        monkeypatch.setattr("edgewise.beliefs.ability.EXACT", 256)
        np.testing.assert_allclose(found, full.mean(np.arange(400)), atol=tolerance)
        np.testing.assert_allclose(spread, full.std(np.arange(400)), atol=tolerance)
        # A state of either form is read by the other.
        again = AbilityBelief(pool, drift=drift, offset=1.0)
        again.load_state_dict(state)
        np.testing.assert_allclose(again.mean(np.arange(400)), found, atol=1e-9)
        monkeypatch.setattr("edgewise.beliefs.ability.EXACT", 10)
        back = AbilityBelief(pool, drift=drift, offset=1.0)
        back.load_state_dict(full.state_dict())
        np.testing.assert_allclose(back.mean(np.arange(400)), full_mean(full, monkeypatch), atol=1e-9)
        monkeypatch.setattr("edgewise.beliefs.ability.EXACT", 256)


def full_mean(belief: AbilityBelief, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    with monkeypatch.context() as context:
        context.setattr("edgewise.beliefs.ability.EXACT", 256)
        return belief.mean(np.arange(len(belief.pool)))


def test_thousands_of_categories_are_affordable() -> None:
    pool = PromptPool(range(12_000), [f"c{i % 6000}" for i in range(12_000)])
    belief = AbilityBelief(pool)
    for _ in range(20):
        belief.observe(np.arange(0, 640, 10), np.full(64, 7), np.full(64, 8))
        belief.advance()
    mean = belief.mean(np.array([0, 6000, 5, 11_999]))
    assert mean[0] > mean[1] > mean[2] == mean[3] > 0.5
    assert sum(value.nbytes for value in belief.state_dict().values() if isinstance(value, np.ndarray)) < 10**6


def test_more_features_than_can_be_afforded_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"2000 features and 0 categories are more than 1024.*PCA"):
        FeatureBelief(PromptPool(range(3), features=np.zeros((3, 2000))))


def test_prompts_keep_what_their_rollouts_showed_where_labels_are_renamed(caplog: pytest.LogCaptureFixture) -> None:
    truth = np.array([0.05, 0.3, 0.6, 0.95])[np.arange(60) % 4]
    rng = np.random.default_rng(0)
    pool = PromptPool(range(60), [f"level {i % 4}" for i in range(60)])
    edge = EdgeSelector(pool, rollouts=8, retest=0.0)
    for _ in range(20):
        rows = edge.select(8)
        edge.observe(rows, rng.binomial(8, truth[rows]), 8)
    edge.advance()
    seen = edge.belief.seen.rows.astype(np.int64)
    before = edge.predict(seen)
    for labels, spelling in (
        ([f"L{i % 4}" for i in range(60)], "the pool has 'L0', 'L1', 'L2'"),
        (None, "the pool has none"),
    ):
        again = EdgeSelector(PromptPool(range(60), labels), rollouts=8, retest=0.0)
        again.load_state_dict(edge.state_dict())
        assert [spelling in record.getMessage() for record in caplog.records] == [True], "one warning"
        assert "'level 0', 'level 1', 'level 2'" in caplog.records[0].getMessage()
        caplog.clear()
        # One group or two weigh less against a wider prior, but they weigh.
        np.testing.assert_allclose(again.predict(seen), before, atol=0.25)
        easy, hard = seen % 4 == 3, seen % 4 == 0
        assert again.predict(seen[easy]).min() > again.predict(seen[hard]).max()


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_a_state_from_a_pool_with_other_columns_is_refused_with_the_reason(before: bool, after: bool) -> None:
    features = np.random.default_rng(0).normal(size=(20, 3))
    one, other = (
        EdgeSelector(PromptPool(range(20), features=features if given else None)) for given in (before, after)
    )
    with pytest.raises(CheckpointError, match=r"expected (Ability|Feature)Belief.*categories and features as before"):
        other.load_state_dict(one.state_dict())


def test_many_features_are_learned_by_the_groups_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    pool = PromptPool(range(80), ["a", "b"] * 40, rng.normal(size=(80, 60)))
    means = []
    for small in (256, 10):
        monkeypatch.setattr("edgewise.beliefs.features.SMALL", small)
        belief, draws = FeatureBelief(pool), np.random.default_rng(1)
        for _ in range(10):
            belief.observe(draws.choice(80, 8, replace=False), draws.binomial(8, 0.4, 8), np.full(8, 8))
            belief.advance()
        means.append(np.stack([belief.mean(np.arange(80)), belief.std(np.arange(80))]))
    np.testing.assert_allclose(means[0], means[1], atol=1e-9)
