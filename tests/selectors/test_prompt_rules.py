"""Rules that judge single prompts: AdaRFT, difficulty pools, learning-zone energy, DPS."""

from typing import Any

import numpy as np
import pytest

import edgewise as ew
from edgewise.errors import ConfigError
from edgewise.selectors.adarft import AdaRFTSelector
from edgewise.selectors.difficulty_pools import DifficultyPoolSelector
from edgewise.selectors.lze import LZESelector


def test_adarft_moves_its_target_by_eta_tanh_alpha_r_minus_beta() -> None:
    # AdaRFT (arXiv 2504.05520), algorithm 1: T <- clip(T + 50 tanh(2 (R - 0.5)), 0, 100), T = 0 at first.
    selector = AdaRFTSelector(ew.PromptPool(range(4)), difficulty=[0, 20, 40, 60])
    assert selector.select(2).tolist() in ([0, 1], [1, 0])
    selector.observe([0, 1], [8, 4], 8)
    # R = 12 / 16; the next T decides at once.
    rows = selector.select(2)
    expected = 50 * np.tanh(2 * 0.25)
    assert selector.metrics()["target_difficulty"] == pytest.approx(expected) == pytest.approx(23.1058578)
    assert set(rows.tolist()) == {1, 2}
    selector.observe(rows, [0, 0], 8)
    selector.select(1)
    assert selector.metrics()["target_difficulty"] == 0


def test_adarft_takes_one_mean_over_all_rollouts_of_a_step() -> None:
    selector = AdaRFTSelector(ew.PromptPool(range(3)), difficulty=[0, 50, 100], start=50)
    selector.observe([0], [6], 6)
    selector.observe([1, 2], [0, 0], [1, 1])
    selector.advance()
    assert selector.level == pytest.approx(50 + 50 * np.tanh(2 * (6 / 8 - 0.5)))


def test_adarft_scales_its_step_with_the_bounds() -> None:
    selector = AdaRFTSelector(ew.PromptPool(range(2)), difficulty=[2, 10], bounds=(2, 10))
    selector.observe([0], [3], 4)
    selector.advance()
    assert selector.level == pytest.approx(2 + 4 * np.tanh(0.5))


def test_adarft_orders_levels_by_number_and_breaks_ties_at_random() -> None:
    pool = ew.PromptPool(range(30), categories=["2", "10", "9"] * 10)
    selector = AdaRFTSelector(pool, start=50)
    picks = [selector.select(3) for _ in range(20)]
    # Level 9 lies in the middle of 2, 9, 10.
    assert {row % 3 for rows in picks for row in rows.tolist()} == {2}
    assert len({row for rows in picks for row in rows.tolist()}) == 10


def test_adarft_knows_the_difficulty_of_prompts_that_come_later_with_a_prior() -> None:
    pool = ew.PromptPool(range(3), priors=[0.2, 0.4, np.nan])
    selector = AdaRFTSelector(pool)
    pool.extend([3, 4], priors=[1.0, np.nan])
    selector.grow()
    assert selector.select(1).tolist() == [3]
    assert selector.known.values[:4].tolist() == pytest.approx([80, 60, np.nan, 0], nan_ok=True)
    assert np.isnan(selector.known.values[4])
    given = AdaRFTSelector(ew.PromptPool(range(2), priors=[0.1, 0.2]), difficulty=[7, 8])
    assert given.known.values.tolist() == [7, 8]


def test_adarft_takes_prompts_of_unknown_difficulty_last() -> None:
    selector = AdaRFTSelector(ew.PromptPool(range(4)), difficulty=[np.nan, 100, np.nan, 80])
    assert set(selector.select(2).tolist()) == {1, 3}
    selector.select(3)
    assert selector.metrics()["fallback_picks"] == 1
    assert selector.metrics()["unknown"] == 0.5
    assert selector.predict().tolist() == pytest.approx([0.5, 0.0, 0.5, 0.2])


@pytest.mark.parametrize(
    ("categories", "options", "message"),
    [
        (None, {}, "give difficulty="),
        (["easy", "hard", "hard"], {}, "give levels="),
        (["easy", "hard", None], {"levels": ["easy", "hard"]}, "none"),
        (["easy", "hard", "odd"], {"levels": ["easy", "hard"]}, "'odd'"),
        (["1", "2", "nan"], {}, "not a number"),
        (["a", "b", "b"], {"levels": ["a", "b", "a"]}, "twice"),
        (None, {"difficulty": [1, 2, 300]}, "must lie in"),
        (None, {"difficulty": [1, 2, 3], "start": 200}, "start"),
        (None, {"difficulty": [1, 2, 3], "step": 0}, "step"),
        (None, {"difficulty": [1, 2, 3], "target": 2}, "target"),
    ],
)
def test_adarft_says_what_it_lacks(categories: object, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ew.make_selector("adarft", ew.PromptPool(range(3), categories=categories), **options)


def test_pools_follow_the_last_group() -> None:
    # prime-rl's defaults: hard up to 0.25 and easy above 0.75 weigh 0.2, the rest and unseen prompts 1.
    selector = DifficultyPoolSelector(ew.PromptPool(range(6)))
    selector.observe(np.arange(5), [0, 1, 2, 3, 4], 4)
    assert selector.weights_of(np.arange(6)).tolist() == [0.2, 0.2, 1.0, 1.0, 0.2, 1.0]
    selector.advance()
    selector.observe([0, 2], [3, 4], 4)
    assert selector.weights_of(np.arange(6)).tolist() == [1.0, 0.2, 0.2, 1.0, 0.2, 1.0]
    assert selector.predict().tolist() == [0.75, 0.25, 1.0, 0.75, 1.0, 0.5]
    metrics = selector.metrics()
    assert (metrics["pool_hard"], metrics["pool_normal"], metrics["pool_easy"]) == (1, 2, 2)


def test_pools_draw_in_proportion_to_their_weights() -> None:
    selector = DifficultyPoolSelector(ew.PromptPool(range(2000)))
    selector.observe(np.arange(1000), [4] * 1000, 4)
    rows = np.concatenate([selector.select(20, new_step=False) for _ in range(200)])
    # 1000 prompts of weight 0.2 against 1000 of weight 1.
    assert abs((rows < 1000).mean() - 1 / 6) < 0.02


def test_pools_without_weight_are_used_only_when_nothing_else_is_left() -> None:
    pools = {"solved": (1.0, 0.0), "rest": (0.99, 1.0)}
    selector = DifficultyPoolSelector(ew.PromptPool(range(6)), pools=pools)
    selector.observe(np.arange(6), [4, 4, 4, 0, 2, 3], 4)
    for _ in range(5):
        assert set(selector.select(3).tolist()) == {3, 4, 5}
    assert selector.metrics()["fallback_picks"] == 0
    assert {3, 4, 5} < set(selector.select(4).tolist())
    assert selector.metrics()["fallback_picks"] == 1


@pytest.mark.parametrize(
    "pools",
    [{}, {"a": (0.5, 0.0)}, {"a": (0.5, -1.0), "b": (1.0, 1.0)}, {"a": (0.5, 1.0), "b": (0.5, 2.0)}, {"a": 0.5}, None],
)
def test_pools_that_make_no_sense_are_refused(pools: object) -> None:
    with pytest.raises(ConfigError):
        ew.make_selector("difficulty_pools", ew.PromptPool(range(3)), pools=pools)


def test_lze_energy_of_a_first_group() -> None:
    # LZE (arXiv 2605.17003): E = max(1 - p0, 0.05) 4 p (1 - p) (1 + 0.3 min(2 |p - mu|, 1)), mu = p0 at first.
    selector = LZESelector(ew.PromptPool(range(6)))
    selector.observe(np.arange(5), [0, 2, 4, 6, 8], 8)
    np.testing.assert_allclose(
        selector.energy(np.arange(6)), [0, 0.75 * 0.75, 0.5 * 1, 0.25 * 0.75, 0, np.nan], rtol=1e-6
    )


def test_lze_energy_remembers_the_first_group_and_rises_with_change() -> None:
    selector = LZESelector(ew.PromptPool(range(1)))
    energies = []
    for successes in (2, 6, 5):
        selector.observe([0], [successes], 8)
        energies.append(float(selector.energy(np.array([0]))[0]))
        selector.advance()
    # mu is 0.25 before the second group, 0.9 * 0.25 + 0.1 * 0.75 = 0.3 before the third.
    expected = [0.75 * 0.75, 0.75 * 0.75 * (1 + 0.3 * 1.0), 0.75 * (4 * 0.625 * 0.375) * (1 + 0.3 * 0.65)]
    np.testing.assert_allclose(energies, expected, rtol=1e-6)


def test_lze_anchor_has_a_floor() -> None:
    selector = LZESelector(ew.PromptPool(range(1)))
    selector.observe([0], [8], 8)
    selector.advance()
    selector.observe([0], [4], 8)
    np.testing.assert_allclose(selector.energy(np.array([0])), [0.05 * 1.3], rtol=1e-6)


def test_lze_takes_the_unseen_then_the_highest_energies() -> None:
    selector = LZESelector(ew.PromptPool(range(8)), noise=0.0, replay=0.0)
    first = selector.select(6)
    selector.observe(first, [0, 1, 2, 3, 6, 8], 8)
    rows = selector.select(5)
    assert set(rows.tolist()) == set(range(8)) - set(first.tolist()) | set(first[1:4].tolist())


def test_lze_tests_dead_prompts_again() -> None:
    selector = LZESelector(ew.PromptPool(range(100)), replay=0.1)
    selector.observe(np.arange(100), [0] * 25 + [8] * 25 + [4] * 50, 8)
    rows = selector.select(30)
    assert (rows < 50).sum() == 3
    assert selector.metrics()["fallback_picks"] == 0
    assert (selector.select(60) < 50).sum() == 10
    assert selector.metrics()["fallback_picks"] == 4


def test_lze_tests_the_whole_share_again_where_it_is_a_whole_number_but_for_rounding() -> None:
    """0.29 * 100 is 28.999999999999996 in double precision."""
    selector = LZESelector(ew.PromptPool(range(200)), noise=0.0, replay=0.29)
    selector.observe(range(200), [0] * 100 + [4] * 100, 8)
    assert (selector.select(100) < 100).sum() == 29


@pytest.mark.parametrize("options", [{"retention": 1.5}, {"replay": -0.1}, {"noise": float("inf")}, {"momentum": -1}])
def test_lze_refuses_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ew.make_selector("lze", ew.PromptPool(range(3)), **options)


def test_dps_takes_the_prompts_that_are_most_likely_partial() -> None:
    # DPS (arXiv 2603.10887): Top-B by the predicted probability of the partial state.
    selector = ew.make_selector("dps", ew.PromptPool(range(9)))
    rows = np.arange(6)
    for _ in range(4):
        selector.observe(rows, [0, 4, 2, 8, 6, 0], 8)
        selector.advance()
    assert set(selector.select(3).tolist()) == {1, 2, 4}
    # Then the unseen, which may be partial, before the prompts that never were.
    assert set(selector.select(6).tolist()) == {1, 2, 4, 6, 7, 8}
