"""Rules over shuffled epochs: uniform, GRESO, history resampling, static."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

import edgewise as ew
from edgewise.errors import ConfigError
from edgewise.selectors.greso import GRESOSelector
from edgewise.selectors.history_resampling import HistoryResamplingSelector
from edgewise.selectors.static import StaticSelector
from edgewise.selectors.uniform import UniformSelector


def test_uniform_serves_every_prompt_once_an_epoch() -> None:
    selector = UniformSelector(ew.PromptPool(range(12)))
    orders = [np.concatenate([selector.select(5 if part < 2 else 2) for part in range(3)]) for _ in range(3)]
    assert all(sorted(order.tolist()) == list(range(12)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 3
    assert selector.metrics()["epoch"] == 2


def test_uniform_keeps_the_place_of_prompts_that_cannot_be_used_now() -> None:
    selector = UniformSelector(ew.PromptPool(range(10)))
    first = selector.select(4, exclude=[3, 5])
    second = selector.select(6)
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(10))
    # Two of three busy at the end of an epoch: they lead the next one.
    third = selector.select(7, exclude=[0, 1, 2])
    assert set(third.tolist()) == set(range(3, 10))
    assert set(selector.select(3).tolist()) == {0, 1, 2}


def test_uniform_within_candidates_takes_turns() -> None:
    selector = UniformSelector(ew.PromptPool(range(20)))
    counts = Counter(row for _ in range(20) for row in selector.select(2, candidates=[4, 8, 11, 15]).tolist())
    assert set(counts) == {4, 8, 11, 15}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_prompts_added_join_the_epoch_under_way() -> None:
    pool = ew.PromptPool(range(6))
    selector = UniformSelector(pool)
    first = selector.select(2)
    pool.extend(range(6, 9))
    selector.grow()
    assert sorted([*first.tolist(), *selector.select(7).tolist()]) == list(range(9))


def greso(groups: list[list[int]], k: int = 4, **options: Any) -> GRESOSelector:
    """A selector after one step a list: successes of k for each prompt."""
    selector = GRESOSelector(ew.PromptPool(range(len(groups[0]))), **options)
    for step in groups:
        selector.observe(np.arange(len(step)), step, k)
        selector.advance()
    return selector


def test_greso_keeps_with_probability_p_to_the_power_of_the_streak() -> None:
    # GRESO (arXiv 2506.02177): skip probability 1 - max(p^c, 0.01) after c zero-variance groups in a row.
    selector = greso([[4, 0, 2, 4, 4, 2], [4, 0, 4, 0, 2, 0], [4, 0, 0, 0, 4, 0]], p_easy=0.5, p_hard=0.4)
    expected = [0.5**3, 0.4**3, 0.4, 0.4**2, 0.5, 0.4**2]
    np.testing.assert_allclose(selector.keep_probability(np.arange(6)), expected)


def test_greso_never_skips_for_certain_and_never_skips_the_unseen() -> None:
    selector = greso([[4, 0]] * 9)
    assert selector.keep_probability(np.arange(2)).tolist() == [0.01, 0.01]
    assert GRESOSelector(ew.PromptPool(range(3))).keep_probability(np.arange(3)).tolist() == [1, 1, 1]


def test_greso_judges_a_group_that_comes_in_parts_as_one() -> None:
    selector = GRESOSelector(ew.PromptPool(range(2)))
    selector.observe([0, 1], [4, 4], 4)
    selector.observe([0], [2], 4)
    assert selector.keep_probability(np.arange(2)).tolist() == [1.0, 0.5]


def test_greso_moves_p_towards_its_share_of_zero_variance_groups() -> None:
    # A quarter of zero-variance groups is tolerated, a third of it easy, two thirds hard; p moves by 0.01.
    selector = GRESOSelector(ew.PromptPool(range(24)))
    selector.select(24)
    selector.observe(np.arange(24), [4] * 24, 4)
    selector.advance()
    # The first epoch leaves p alone.
    assert (selector.p_easy, selector.p_hard) == (0.5, 0.5)
    selector.select(1)
    # 2 of 24 easy: 1/12 is the tolerated share; 3 of 24 hard: below 1/6.
    selector.observe(np.arange(24), [4] * 2 + [0] * 3 + [2] * 19, 4)
    selector.advance()
    assert (selector.p_easy, selector.p_hard) == (0.49, 0.51)
    selector.observe(np.arange(24), [4] * 1 + [0] * 4 + [2] * 19, 4)
    selector.advance()
    np.testing.assert_allclose((selector.p_easy, selector.p_hard), (0.5, 0.5))
    for _ in range(100):
        selector.observe(np.arange(24), [4] * 24, 4)
        selector.advance()
    assert (selector.p_easy, selector.p_hard) == (0.05, 0.95)


def test_greso_skips_as_often_as_it_says() -> None:
    size = 4000
    selector = greso([[4] * 2000 + [2] * 2000])
    rows = selector.select(2000)
    # In random order, a mastered prompt is kept with 1/2: a third of what is kept.
    assert abs((rows < 2000).mean() - 1 / 3) < 0.04
    assert selector.metrics()["fallback_picks"] == 0
    assert selector.metrics()["mastered"] == 2000 / size


@pytest.mark.parametrize("listed", [False, True])
def test_greso_tests_a_prompt_once_when_its_pass_reaches_it(listed: bool) -> None:
    selector = greso([[4, 2] * 400])
    rows = np.concatenate([selector.select(10, np.arange(800) if listed else None) for _ in range(40)])
    # Mastered prompts are kept with 1/2: 400 are what is kept of 533.
    assert abs((rows % 2 == 0).sum() - 400 / 3) < 30
    assert abs(len(selector.epochs._queue) - 800 / 3) < 30


def test_greso_fills_the_batch_when_everything_is_skipped() -> None:
    selector = greso([[4] * 50] * 8)
    assert len(np.unique(selector.select(50))) == 50
    assert selector.metrics()["fallback_picks"] > 30


def test_history_resampling_drops_what_was_all_right_from_the_next_epoch_on() -> None:
    # SRPO (arXiv 2504.14286): after an epoch leave out all-right prompts, keep mixed and all-wrong ones.
    selector = HistoryResamplingSelector(ew.PromptPool(range(9)))
    selector.select(9)
    selector.observe(np.arange(9), [4, 0, 2] * 3, 4)
    for _ in range(4):
        assert set(selector.select(6).tolist()) == {1, 2, 4, 5, 7, 8}
    assert selector.metrics()["fallback_picks"] == 0
    assert selector.metrics()["mastered"] == pytest.approx(1 / 3)


def test_history_resampling_falls_back_on_dropped_prompts_and_takes_failures_back() -> None:
    selector = HistoryResamplingSelector(ew.PromptPool(range(6)))
    selector.select(6)
    selector.observe(np.arange(6), [4, 4, 4, 4, 0, 2], 4)
    rows = selector.select(3)
    assert {4, 5} < set(rows.tolist())
    assert selector.metrics()["fallback_picks"] == 1
    (again,) = set(rows.tolist()) - {4, 5}
    selector.observe([again], [3], 4)
    assert set(selector.select(3).tolist()) == {4, 5, again}


def test_static_trains_on_the_closest_share() -> None:
    rates = [0.0, 0.45, 1.0, 0.5, 0.9, 0.7, np.nan, 0.2]
    selector = StaticSelector(ew.PromptPool(range(8)), known_rates=rates, share=0.5)
    for _ in range(3):
        assert set(selector.select(4).tolist()) == {1, 3, 5, 7}
    assert selector.predict([0, 1, 6]).tolist() == [0.0, 0.45, 0.5]
    assert len(np.unique(selector.select(8))) == 8
    assert selector.metrics()["fallback_picks"] == 4
    assert selector.metrics()["unknown"] == 1 / 8


def test_static_turns_difficulty_and_levels_into_rates() -> None:
    by_number = StaticSelector(ew.PromptPool(range(3)), difficulty=[0, 25, 100])
    assert by_number.predict().tolist() == [1.0, 0.75, 0.0]
    pool = ew.PromptPool(range(4), categories=["10", "9", "2", "9"])
    assert StaticSelector(pool).predict().tolist() == [0.0, 0.5, 1.0, 0.5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give difficulty="),
        ({"known_rates": [0.5]}, "shape"),
        ({"known_rates": [0.5, 1.5, 0.5]}, "must lie in"),
        ({"known_rates": ["a", "b", "c"]}, "numbers"),
        ({"known_rates": [0.5] * 3, "difficulty": [1] * 3}, "not both"),
        ({"known_rates": [0.5] * 3, "share": 0}, "share"),
        ({"known_rates": [0.5] * 3, "target": 2}, "target"),
        ({"difficulty": [1, 2, 3], "bounds": (3, 3)}, "bounds"),
        ({"difficulty": [1, 2, 3], "bounds": 3}, "bounds"),
        ({"difficulty": [1, 2, 3], "bounds": [3]}, "bounds"),
        ({"difficulty": [1, 2, 3], "bounds": {"easiest": 0}}, "bounds"),
    ],
)
def test_static_says_what_it_lacks(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ew.make_selector("static", ew.PromptPool(range(3)), **options)


def test_numbers_by_row_follow_the_ids_of_a_reordered_dataset() -> None:
    pool, other = ew.PromptPool(["a", "b", "c", "d"]), ew.PromptPool(["d", "new", "b", "a"])
    selector = StaticSelector(pool, known_rates=[0.1, 0.2, 0.3, 0.4])
    again = StaticSelector(other, known_rates=[np.nan, 0.9, np.nan, np.nan])
    again.load_state_dict(selector.state_dict(), other.find(pool.ids))
    assert again.predict().tolist() == [0.4, 0.9, 0.2, 0.1]


def test_lost_prompts_are_served_again_in_the_same_pass() -> None:
    selector = UniformSelector(ew.PromptPool(range(12)))
    lost = selector.select(4)
    selector.forget(lost)
    served = np.concatenate([selector.select(4) for _ in range(3)])
    assert sorted(served.tolist()) == list(range(12))
    # What waits in the pass already is not put in twice.
    selector.forget(served[:3])
    selector.forget(served[:3])
    assert sorted(np.concatenate([selector.select(3), selector.select(12)]).tolist()) == sorted(
        [*served[:3].tolist(), *range(12)]
    )


@pytest.mark.parametrize("options", [{"p_easy": 0}, {"p_hard": 1.5}, {"target": -0.1}, {"p_easy": float("nan")}])
def test_greso_refuses_what_is_no_probability(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ew.make_selector("greso", ew.PromptPool(range(3)), **options)
