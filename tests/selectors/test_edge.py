"""Edge draws by E[P(informative)]^sharpness: the formula, the law of the fast path, cost, features, resume."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2, norm

import edgewise as ew
from edgewise.beliefs import AbilityBelief, FeatureBelief
from edgewise.checkpoint import load_state, save_state
from edgewise.distributions import LogitNormal
from edgewise.errors import CheckpointError, ConfigError
from edgewise.outcomes import Outcome
from edgewise.replay import World, simulate
from edgewise.selectors import EdgeSelector


def warmed(pool: ew.PromptPool, seen: int, **options: Any) -> EdgeSelector:
    """An edge without re-tests and rest that has seen the first prompts in three steps, from hopeless to mastered."""
    edge = EdgeSelector(pool, **{"retest": 0.0, "rest": 0.0, **options})
    for step in range(3):
        rows = np.arange(step, seen, 3)
        edge.observe(rows, rows % 9, 8)
        edge.advance()
    return edge


def log_weights(edge: EdgeSelector, location: float, variance: float) -> np.ndarray:
    """Of prompt 0, whose last group was mixed, and of an untried prompt, if both had this distribution of the logit."""
    distribution = LogitNormal(np.full(1, location), np.full(1, variance))
    values = [edge.acquisition.of(distribution, np.array([0])), edge.acquisition.of(distribution)]
    return edge.draw.log_weight(np.concatenate(values))


@pytest.mark.parametrize("headroom", [0.0, 0.25, 0.5])
def test_the_weight_is_the_expected_chance_to_be_informative_times_headroom_to_the_power_of_sharpness(
    headroom: float,
) -> None:
    edge = EdgeSelector(ew.PromptPool(range(4)), rollouts=4, sharpness=2.5, headroom=headroom, rest=0.0)
    edge.observe([0], [2], 4)

    def chance(x: float) -> float:
        p = 1 / (1 + np.exp(-x))
        return float((1 - p**4 - (1 - p) ** 4) * (1 - p) ** headroom)

    for mean, variance in ((0.0, 0.01), (-1.0, 1.0), (2.0, 4.0)):
        sd = variance**0.5
        expected = quad(lambda x, m=mean, s=sd: chance(x) * norm.pdf(x, m, s), mean - 9 * sd, mean + 9 * sd)[0]
        tried, untried = np.exp(log_weights(edge, mean, variance))
        assert tried == pytest.approx(expected**2.5, rel=2e-3)
        square = quad(lambda x, m=mean, s=sd: chance(x) ** 2 * norm.pdf(x, m, s), mean - 9 * sd, mean + 9 * sd)[0]
        raised = min(expected + 0.5 * (square - expected**2) ** 0.5, 1.0)
        assert untried == pytest.approx(raised**2.5, rel=1e-2), "half a deviation above what is expected"
    # Known for certain to be a coin: 1 - 2 / 2^4 = 7/8, tried or not.
    assert log_weights(edge, 0.0, 1e-12) == pytest.approx(2.5 * np.log(7 / 8 * 0.5**headroom), abs=1e-5)


def test_exploration_tries_more_prompts_where_nothing_is_known_of_them() -> None:
    result = simulate(
        ["edge:exploration=0.0", "edge"], World(prompts=500), seeds=(0, 1), steps=40, batch=16, knows="nothing"
    )
    incurious, curious = result.values["tried"][1:]
    assert (curious > incurious + 0.05).all()


def law(edge: EdgeSelector, rows: np.ndarray) -> np.ndarray:
    """Probability of each row to be drawn first."""
    weight = np.exp(edge.draw.log_weight(edge.acquisition.of(edge.belief.distribution(rows), rows)))
    return np.asarray(weight / weight.sum())


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("candidates", [None, np.arange(60)], ids=["fast", "plain"])
def test_one_prompt_is_drawn_in_proportion_to_its_weight(labels: bool, candidates: Any) -> None:
    pool = ew.PromptPool(range(60), [str(i % 3) for i in range(60)] if labels else None)
    edge = warmed(pool, seen=36, sharpness=3.0, seed=1)
    expected = 3000 * law(edge, np.arange(60))
    drawn = [edge.select(1, candidates, new_step=False)[0] for _ in range(3000)]
    observed = np.bincount(drawn, minlength=60)
    # Cells of at least five: the rarest rows are counted together.
    order = np.argsort(expected)
    rare = int(np.searchsorted(np.cumsum(expected[order]), 5.0)) + 1
    cells = [np.append(part[order[rare:]], part[order[:rare]].sum()) for part in (observed, expected)]
    assert ((cells[0] - cells[1]) ** 2 / cells[1]).sum() < chi2.ppf(0.9999, len(cells[0]) - 1)


def test_many_prompts_are_drawn_alike_by_both_paths() -> None:
    pool = ew.PromptPool(range(90), [str(i % 3) for i in range(90)])
    edge = warmed(pool, seen=45, seed=2)
    exclude = np.array([1, 5, 44, 45, 80])
    every = np.arange(90)
    counts = np.zeros((2, 90))
    for _ in range(1500):
        for path, candidates in enumerate((None, every)):
            rows = edge.select(20, candidates, exclude, new_step=False)
            assert len(np.unique(rows)) == 20
            counts[path, rows] += 1
    assert (counts[:, exclude] == 0).all()
    free = np.delete(every, exclude)
    a, b = counts[:, free]
    # Each row is in a draw or not: the difference of two binomials.
    share = (a + b) / 3000
    score = (a - b) ** 2 / (2 * 1500 * share * (1 - share))
    # Fixed draw size makes rows depend on each other slightly negatively; the bound is generous.
    assert score.sum() < chi2.ppf(0.9999, len(free))


def test_sharpness_0_draws_uniformly() -> None:
    pool = ew.PromptPool(range(30))
    edge = warmed(pool, seen=18, sharpness=0.0, seed=3)
    observed = np.bincount(np.concatenate([edge.select(5, new_step=False) for _ in range(2000)]), minlength=30)
    assert ((observed - 2000 / 6) ** 2 / (2000 / 6)).sum() < chi2.ppf(0.9999, 29)
    sharp = warmed(pool, seen=18, sharpness=12.0, seed=3)
    top = np.bincount(np.concatenate([sharp.select(5, new_step=False) for _ in range(200)]), minlength=30)
    assert top[[4, 5, 13, 14]].mean() > 5 * top[[0, 8, 9, 17]].mean()


def test_work_follows_what_was_seen() -> None:
    pool = ew.PromptPool(np.arange(500_000), np.array(list("abcdefg"))[np.arange(500_000) % 7])
    edge = warmed(pool, seen=300)
    edge.select(64)
    tracemalloc.start()
    for _ in range(3):
        rows = edge.select(64)
        edge.observe(rows, np.full(64, 3), 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000, "a byte for each prompt of the pool"


def test_features_rank_prompts_that_were_never_seen() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 3))
    rates = 1 / (1 + np.exp(-3 * features[:, 0]))
    edge = EdgeSelector(ew.PromptPool(range(400), features=features), seed=4)
    assert isinstance(edge.belief, FeatureBelief)
    seen = np.zeros(400, bool)
    for _ in range(10):
        rows = edge.select(16)
        edge.observe(rows, rng.binomial(8, rates[rows]), 8)
        seen[rows] = True
    edge.advance()
    unseen = np.flatnonzero(~seen)
    assert ew.statistics.spearman(edge.predict(unseen), rates[unseen]) > 0.9
    value = 1 - rates**8 - (1 - rates) ** 8
    picks = np.concatenate([edge.select(16, new_step=False) for _ in range(20)])
    assert value[picks].mean() > value.mean() + 0.1


def test_categories_and_features_together_beat_either() -> None:
    rng = np.random.default_rng(0)
    category, feature = rng.integers(0, 5, 600), rng.normal(size=600)
    logit = np.linspace(-3, 3, 5)[category] + 1.5 * feature
    rates, labels = 1 / (1 + np.exp(-logit)), category.astype(str)
    pools = {
        "labels": ew.PromptPool(range(600), labels),
        "features": ew.PromptPool(range(600), features=feature[:, None]),
        "both": ew.PromptPool(range(600), labels, feature[:, None]),
    }
    edges = {name: EdgeSelector(pool) for name, pool in pools.items()}
    for _ in range(12):
        rows = rng.choice(300, 16, replace=False)
        successes = rng.binomial(8, rates[rows])
        for edge in edges.values():
            edge.observe(rows, successes, 8)
            edge.advance()
    unseen = np.arange(300, 600)
    rank = {name: ew.statistics.spearman(edge.predict(unseen), rates[unseen]) for name, edge in edges.items()}
    assert rank["both"] > 0.95
    assert rank["both"] > max(rank["labels"], rank["features"]) + 0.04
    assert edges["both"].metrics()["residual"] < edges["labels"].metrics()["residual"]


@pytest.mark.parametrize(("labels", "features"), [(False, False), (True, False), (False, True), (True, True)])
def test_resume_is_exact_whatever_is_known(labels: bool, features: bool, tmp_path: Any) -> None:
    names = [None if i % 11 == 0 else "abc"[i % 3] for i in range(50)] if labels else None
    columns = np.random.default_rng(1).normal(size=(50, 4)) if features else None
    pool = ew.PromptPool(range(50), names, columns)
    edge = warmed(pool, seen=30, retest=0.02, rest=1.0, seed=5)
    assert isinstance(edge.belief, FeatureBelief if features else AbilityBelief)
    edge.observe(edge.select(8)[:5], [0, 2, 4, 1, 4], 4)
    save_state(tmp_path / "edge.npz", "selector", edge.state_dict())
    again = EdgeSelector(pool, seed=77)
    again.load_state_dict(load_state(tmp_path / "edge.npz", "selector"))
    for step in range(5):
        rows = edge.select(8)
        assert (again.select(8) == rows).all()
        for each in (edge, again):
            each.observe(rows, (rows + step) % 5, 4)
        assert (edge.predict() == again.predict()).all()


def test_forecasts_are_corrected_for_prompts_that_stay_out_of_reach() -> None:
    """A pool that no Gaussian fits: a third is hopeless for good, the rest partly right. Nothing is known about the prompts."""
    rng = np.random.default_rng(0)
    hopeless = rng.random(600) < 1 / 3
    rates = np.where(hopeless, 0.0, rng.uniform(0.2, 0.8, 600))
    edge = EdgeSelector(ew.PromptPool(range(600)), retest=0.0, rest=0.0, seed=1)
    for _ in range(60):
        rows = rng.choice(600, 32, replace=False)
        edge.observe(rows, rng.binomial(8, rates[rows]), 8)
        edge.advance()
    known = np.flatnonzero(edge.belief.last_outcome(np.arange(600)) == Outcome.ALL_WRONG)
    stuck = known[hopeless[known]]
    assert len(stuck) > 30
    assert edge.predict(stuck).mean() < 0.6 * edge.belief.mean(stuck).mean()
    picks = np.concatenate([edge.select(32, new_step=False) for _ in range(30)])
    assert hopeless[picks].mean() < 0.02


def test_what_a_prompt_showed_last_is_remembered_in_any_order() -> None:
    edges = [EdgeSelector(ew.PromptPool(range(12), list("ab") * 6)) for _ in range(2)]
    for step in range(3):
        rows = (np.arange(6) * 2 + step) % 12
        successes = np.array([0, 8, 3, 0, 8, 5])
        for edge, order in zip(edges, (np.arange(6), np.arange(6)[::-1]), strict=True):
            edge.advance()
            for part in (order[:2], order[2:]):
                edge.observe(rows[part], successes[part], 8)
    both = [edge.belief.last_outcome(np.arange(12)) for edge in edges]
    assert (both[0] == both[1]).all()
    assert (
        both[0][(np.arange(6) * 2 + 2) % 12]
        == [Outcome.ALL_WRONG, Outcome.ALL_RIGHT, Outcome.MIXED, Outcome.ALL_WRONG, Outcome.ALL_RIGHT, Outcome.MIXED]
    ).all()
    for edge in edges:
        edge.advance()
    assert (edges[0].predict() == edges[1].predict()).all()
    assert (edges[0].belief.last_outcome(np.arange(12)) == both[0]).all()


def test_settings_are_checked() -> None:
    for sharpness in (-1.0, np.inf, np.nan):
        with pytest.raises(ConfigError, match="sharpness"):
            EdgeSelector(ew.PromptPool(range(3)), sharpness=sharpness)
    for exploration in (-0.1, np.inf, np.nan):
        with pytest.raises(ConfigError, match="exploration"):
            EdgeSelector(ew.PromptPool(range(3)), exploration=exploration)


def test_a_state_without_re_tests_is_refused_by_a_selector_that_has_them() -> None:
    pool = ew.PromptPool(range(4))
    with pytest.raises(CheckpointError, match="holds no retest: make the selector with the options it had"):
        EdgeSelector(pool).load_state_dict(EdgeSelector(pool, retest=0.0).state_dict())


@pytest.mark.parametrize("headroom", [-0.1, np.nan, np.inf])
def test_headroom_must_be_a_finite_number_from_0(headroom: float) -> None:
    with pytest.raises(ConfigError, match="headroom"):
        EdgeSelector(ew.PromptPool(range(4)), headroom=headroom)


def test_untried_prompts_are_predicted_below_an_even_chance_where_nothing_is_known() -> None:
    blind = ew.make_selector("edge", ew.PromptPool(range(6)), seed=0)
    assert blind.predict() == pytest.approx(np.full(6, 1 / (1 + np.e)))
    known = ew.make_selector("edge", ew.PromptPool(range(6), priors=np.full(6, 0.5)), seed=0)
    assert known.predict() == pytest.approx(np.full(6, 0.5), abs=0.02)
    for selector in (blind, known):
        for _ in range(30):
            selector.observe(selector.select(3), [8, 8, 8], 8)
            selector.advance()
        assert (selector.predict() > 0.8).all()


def test_single_rollouts_leave_the_calibration_of_values_alone_and_others_beside_them_do_not() -> None:
    rng = np.random.default_rng(0)
    single, both = (EdgeSelector(ew.PromptPool(range(90)), rollouts=k) for k in (1, 4))
    for _ in range(20):
        rows = rng.choice(90, 30, replace=False)
        successes = rng.integers(0, 2, 30)
        single.observe(rows, successes, 1)
        trials = np.where(rows < 45, 4, 1)
        both.observe(rows, successes * trials, trials)
        for edge in (single, both):
            edge.advance()
    assert single.acquisition.calibration.offsets.tolist() == [0.0] * len(Outcome)
    assert single.calibration.weights.tolist() != EdgeSelector(single.pool).calibration.weights.tolist()
    assert both.acquisition.calibration.offsets.min() < -1


@pytest.mark.parametrize(("retention", "age"), [(0.998, 10**6), (0.1, 60)])
def test_a_result_too_old_to_count_leaves_the_calibration_and_the_state_as_they_were(
    retention: float, age: int
) -> None:
    """The weight of such a result rounds to 0 in float32: no group, whose success rate would be 0 of 0 rollouts."""
    pool = ew.PromptPool(range(6), ["a", "b"] * 3)
    edge, other = (EdgeSelector(pool, retention=retention, seed=1) for _ in range(2))
    for selector in (edge, other):
        selector.observe([0, 1, 2], [0, 3, 8], 8)
    edge.observe([3, 4], [8, 0], 8, age=age)
    for selector in (edge, other):
        selector.advance()
        selector.observe([3, 4], [2, 5], 8)
        selector.advance()
    assert np.array_equal(edge.predict(), other.predict())
    again = EdgeSelector(pool, retention=retention)
    again.load_state_dict(edge.state_dict())
    assert np.array_equal(again.predict(), edge.predict())
