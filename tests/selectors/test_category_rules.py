"""Rules that choose among categories: SEC, DUMP, E2H."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

import edgewise as ew
from edgewise.errors import ConfigError
from edgewise.selectors.categories import absolute_advantage
from edgewise.selectors.dump import DUMPSelector
from edgewise.selectors.e2h import E2HSelector
from edgewise.selectors.sec import SECSelector


def pool_of(*sizes: int, names: str = "abcdef") -> ew.PromptPool:
    labels = [names[c] for c, size in enumerate(sizes) for _ in range(size)]
    return ew.PromptPool(range(len(labels)), categories=labels)


@pytest.mark.parametrize("k", [1, 2, 7, 8])
def test_the_closed_form_of_the_absolute_advantage(k: int) -> None:
    for s in range(k + 1):
        rewards = np.array([1.0] * s + [0.0] * (k - s))
        spread = rewards.std()
        expected = np.abs((rewards - rewards.mean()) / spread).mean() if spread else 0.0
        assert absolute_advantage(np.array([s]), np.array([k]))[0] == pytest.approx(expected)


def test_sec_follows_the_mean_absolute_advantage_of_each_category() -> None:
    # SEC (arXiv 2505.14970): Q <- a r + (1 - a) Q with r the mean |A| of the category, choice by softmax(Q / tau).
    pool = pool_of(2, 2, 2)
    selector = SECSelector(pool, rate=0.25, temperature=0.5)
    selector.observe([0, 1, 2], [4, 2, 8], [8, 8, 8])
    selector.advance()
    q = 0.25 * np.array([(1 + 2 * np.sqrt(0.25 * 0.75)) / 2, 0, 0])
    powers = np.exp(q / 0.5)
    np.testing.assert_allclose(selector.probabilities()[1:], powers / powers.sum())
    selector.observe([4], [1], [2])
    selector.advance()
    # A category without rollouts keeps its value.
    q = np.array([q[0], 0, 0.25])
    powers = np.exp(q / 0.5)
    np.testing.assert_allclose(selector.probabilities()[1:], powers / powers.sum())


def test_sec_weighs_groups_by_their_rollouts_and_joins_their_parts() -> None:
    pool = pool_of(2, 1)
    whole, parts = SECSelector(pool, rate=1.0), SECSelector(pool, rate=1.0)
    whole.observe([0, 1], [4, 1], [8, 2])
    for rows, successes, trials in (([1], [0], [1]), ([0], [4], [4]), ([0], [0], [4]), ([1], [1], [1])):
        parts.observe(rows, successes, trials)
    whole.advance()
    parts.advance()
    np.testing.assert_allclose(whole.probabilities(), parts.probabilities())
    expected = np.exp(1 / 0.2) / (1 + np.exp(1 / 0.2))
    assert whole.probabilities()[1] == pytest.approx(expected)


def test_dump_adds_what_is_unknown_about_a_category() -> None:
    # DUMP (arXiv 2504.09710): softmax((L + sqrt(2 ln(N + 1) / (n + 1))) / 0.1).
    selector = DUMPSelector(pool_of(2, 2))
    np.testing.assert_allclose(selector.probabilities(), [0, 0.5, 0.5])
    selector.observe([0, 2], [4, 1], [8, 2])
    selector.advance()
    bound = np.array([1 + np.sqrt(2 * np.log(11) / 9), 1 + np.sqrt(2 * np.log(11) / 3)])
    powers = np.exp((bound - bound.max()) / 0.1)
    np.testing.assert_allclose(selector.probabilities()[1:], powers / powers.sum())


def test_dump_learns_from_the_last_window_of_rollouts() -> None:
    selector = DUMPSelector(pool_of(3, 1), window=20)
    for successes in ([4, 4], [8, 8]):
        selector.observe([0, 1], successes, 8)
        selector.advance()
    # 16 rollouts of advantage 0 and the last 4 of the 16 with advantage 1.
    assert selector.learnability()[1] == pytest.approx(4 / 20)
    selector.observe([0, 1, 2], [4, 8, 8], 8)
    selector.advance()
    # One group of three in the last step, 24 rollouts of which 20 fit.
    assert selector.learnability()[1] == pytest.approx(1 / 3)
    assert selector.learnability()[2] == 0


@pytest.mark.parametrize("schedule", ["cosine", "gaussian"])
def test_e2h_goes_from_easy_to_hard(schedule: Any) -> None:
    pool = ew.PromptPool(range(12), categories=["10", "2", "9"] * 4)
    selector = E2HSelector(pool, steps=4, schedule=schedule)
    seen = []
    for _ in range(6):
        rows = selector.select(2)
        seen.append(selector.level_probabilities())
        selector.observe(rows, [1, 1], 2)
    np.testing.assert_allclose(np.sum(seen, axis=1), 1)
    assert (np.diff([p[0] for p in seen[:5]]) < 0).all()
    assert (np.diff([p[2] for p in seen[:5]]) > 0).all()
    np.testing.assert_allclose(seen[4], seen[5])
    selector.now = 0
    # By code: 10, 2, 9; the easiest is 2.
    assert selector.probabilities()[1:].argmax() == 1
    assert selector.metrics()["p_2"] == seen[0][0]


@pytest.mark.parametrize("kind", [SECSelector, DUMPSelector])
def test_what_a_category_is_worth_is_the_same_to_the_last_bit_after_a_restart(kind: Any) -> None:
    pool, rng = pool_of(300, 200), np.random.default_rng(0)
    selector, again = kind(pool), kind(pool)
    for _ in range(8):
        rows = rng.permutation(500)[:150]
        selector.observe(rows, rng.integers(0, 8, 150), 7)
        again.load_state_dict(selector.state_dict())
        for each in (selector, again):
            each.advance()
        assert (again.probabilities() == selector.probabilities()).all()


def test_e2h_cosine_by_hand() -> None:
    # E2H-C (arXiv 2506.06632, published code): K = 3, S = 6; half-way all levels are alike.
    selector = E2HSelector(pool_of(2, 2, 2), steps=3, levels=["a", "b", "c"])
    np.testing.assert_allclose(selector.level_probabilities(), np.array([3, 2, 1]) / 6)
    selector.now = 1
    a = 0.5 * (1 + np.cos(np.pi / 3))
    assert a == pytest.approx(0.75)
    np.testing.assert_allclose(selector.level_probabilities(), np.array([0.75 * 3 + 0.25, 2, 0.75 + 0.25 * 3]) / 6)
    selector.now = 3
    np.testing.assert_allclose(selector.level_probabilities(), np.array([1, 2, 3]) / 6)


def test_e2h_gaussian_by_hand() -> None:
    # E2H-G: mean (t / T)^beta (K - 1), width sigma, every level at least 2 / (K (K + 1)).
    selector = E2HSelector(pool_of(2, 2, 2), steps=4, schedule="gaussian", levels="abc")
    selector.now = 1
    # The mean is 0.5 * 2 = 1: the middle level.
    bell = np.exp([-2.0, 0.0, -2.0])
    np.testing.assert_allclose(selector.level_probabilities(), 1 / 6 + 0.5 * bell / bell.sum())
    plain = E2HSelector(pool_of(2, 2, 2), steps=4, schedule="gaussian", levels="abc", floor=0.0, sigma=1e-3)
    plain.now = 2
    np.testing.assert_allclose(plain.level_probabilities(), [0, 1, 0])
    # Two levels are about equally far from the mean of a narrow bell: still a distribution.
    plain.now = 3
    assert plain.level_probabilities().sum() == pytest.approx(1)


def test_places_of_the_batch_are_drawn_by_category_and_prompts_uniformly() -> None:
    pool = pool_of(1000, 100, 1000)
    selector = E2HSelector(pool, steps=1, levels="abc")
    rows = np.concatenate([selector.select(12) for _ in range(500)])
    shares = np.bincount(pool.categories[rows])[1:] / len(rows)  # type: ignore[index]
    np.testing.assert_allclose(shares, np.array([3, 2, 1]) / 6, atol=0.025)
    counts = Counter(row for row in rows.tolist() if 1000 <= row < 1100)
    # 20 expected each.
    assert len(counts) == 100
    assert max(counts.values()) < 45


def test_excluded_prompts_do_not_shrink_a_category() -> None:
    selector = E2HSelector(pool_of(6, 6), steps=1, schedule="gaussian", levels="ab", floor=0.0, sigma=1e-3)
    for _ in range(10):
        assert set(selector.select(3, exclude=[0, 2, 4, 7]).tolist()) == {1, 3, 5}
    assert selector.metrics()["fallback_picks"] == 0


def test_what_a_category_cannot_serve_others_do() -> None:
    selector = E2HSelector(pool_of(3, 9, 9), steps=1, schedule="gaussian", levels="abc", floor=0.0, sigma=1e-3)
    rows = selector.select(8)
    assert {0, 1, 2} < set(rows.tolist())
    assert selector.metrics()["fallback_picks"] == 5


def test_prompts_without_a_category_are_an_arm_of_their_own() -> None:
    pool = ew.PromptPool(range(40), categories=["a", None] * 20)
    selector = SECSelector(pool, rate=1.0, temperature=0.05)
    selector.observe([0, 1], [8, 4], 8)
    rows = selector.select(15)
    assert (rows % 2 == 1).all()


def test_what_was_learned_follows_the_names_of_categories() -> None:
    pool = ew.PromptPool(range(6), categories=list("aabbcc"))
    selector = DUMPSelector(pool)
    selector.observe([0, 2, 4], [4, 1, 8], 8)
    selector.advance()
    other = ew.PromptPool([5, 4, 9, 0, 1], categories=list("ccdaa"))
    moved = DUMPSelector(other)
    moved.load_state_dict(selector.state_dict(), other.find(pool.ids))
    learned = dict(zip(["", *pool.category_names], selector.learnability(), strict=True))
    again = dict(zip(["", *other.category_names], moved.learnability(), strict=True))
    assert again == {"": 0.0, "c": learned["c"], "d": 0.0, "a": learned["a"]}


def test_a_level_added_later_takes_its_place_in_the_order() -> None:
    pool = ew.PromptPool(range(4), categories=["1", "3", "1", "3"])
    selector = E2HSelector(pool, steps=1)
    pool.extend([4, 5], ["2", "hard"])
    selector.grow()
    by_name = dict(zip(pool.category_names, selector.probabilities()[1:], strict=True))
    np.testing.assert_allclose([by_name[name] for name in ("1", "2", "3", "hard")], [3 / 6, 2 / 6, 1 / 6, 0])
    # Without a level it comes last, but it comes.
    assert 5 not in selector.select(5)
    assert 5 in selector.select(6)


@pytest.mark.parametrize("name", ["sec", "dump", "e2h"])
def test_categories_are_needed(name: str) -> None:
    with pytest.raises(ConfigError, match="categories"):
        ew.make_selector(name, ew.PromptPool(range(3)))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sec", {"rate": 0}, "rate"),
        ("sec", {"temperature": 0}, "temperature"),
        ("dump", {"window": 0}, "window"),
        ("dump", {"temperature": float("nan")}, "temperature"),
        ("e2h", {}, "levels"),
        ("e2h", {"levels": ["a", "b"]}, "steps"),
        ("e2h", {"levels": ["a"], "steps": 3}, "'b'"),
        ("e2h", {"levels": ["a", "b"], "steps": 3, "schedule": "linear"}, "schedule"),
        ("e2h", {"levels": ["a", "b"], "steps": 3, "floor": 0.6}, "floor"),
        ("e2h", {"levels": ["a", "b"], "steps": 3, "sigma": 0}, "sigma"),
    ],
)
def test_options_that_make_no_sense_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ew.make_selector(name, pool_of(2, 2), **options)
