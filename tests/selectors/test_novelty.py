"""Novelty: the share of an epoch since a prompt came last; visits in proportion to a power of the value; resume, options."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgewise as ew
from edgewise.errors import ConfigError
from edgewise.seen import OpenGroups
from edgewise.selectors.novelty import LEAST, Novelty


@given(
    st.lists(st.lists(st.integers(0, 29), max_size=9, unique=True), min_size=1, max_size=25),
    st.floats(0.0, 3.0),
)
def test_the_factor_is_a_power_of_the_share_of_an_epoch(steps: list[list[int]], exponent: float) -> None:
    pool = ew.PromptPool(range(30))
    seen = OpenGroups(pool, {"step": np.int32})
    novelty = Novelty(pool, seen, exponent=exponent)
    for rows in steps:
        seen.add_group(np.array(rows, np.int64), 1, 2, novelty.now)
        seen["step"][seen.open()] = novelty.now
        assert novelty.of(np.array(rows, np.int64)) == pytest.approx(LEAST**exponent), "a group of this step"
        seen.close()
        novelty.learn(len(rows))
        novelty.advance()
    factor = novelty.of(np.arange(30))
    per_step = sum(map(len, steps)) / len(steps)
    for row in range(30):
        at = [step for step, rows in enumerate(steps) if row in rows]
        share = (len(steps) - at[-1]) * per_step / 30 if at else 1.0
        assert factor[row] == pytest.approx(min(share, 1.0) ** exponent)


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_prompts_are_visited_in_proportion_to_a_power_of_their_value(exponent: float) -> None:
    pool = ew.PromptPool(range(400))
    seen = OpenGroups(pool, {"step": np.int32})
    novelty = Novelty(pool, seen, exponent=exponent)
    value = np.repeat([0.9, 0.6, 0.01], [50, 50, 300])
    visits = np.zeros(400)
    for step in range(3000):
        rows = np.argsort(-value * novelty.of(np.arange(400)), kind="stable")[:5]
        visits[rows] += step >= 400
        seen.add_group(rows, 1, 2, novelty.now)
        seen["step"][seen.open()] = novelty.now
        seen.close()
        novelty.learn(5)
        novelty.advance()
    assert visits[:50].sum() / visits[50:100].sum() == pytest.approx(1.5 ** (1 / exponent), rel=0.15)


def repeats(selector: ew.Selector, pool: ew.PromptPool) -> tuple[int, int]:
    """Most visits of a prompt, and prompts tried, in 60 steps of 8 in which half of the prompts are always informative."""
    visits = np.zeros(len(pool), int)
    for _ in range(60):
        rows = selector.select(8)
        visits[rows] += 1
        selector.observe(rows, np.where(rows < 60, 4, 0), 8)
        selector.advance()
    return int(visits.max()), int((visits[:60] > 0).sum())


def test_edge_does_not_repeat_a_few_prompts() -> None:
    pool = ew.PromptPool(range(120))
    most, tried = repeats(ew.make_selector("edge", pool, seed=3), pool)
    greedy, few = repeats(ew.make_selector("edge", pool, seed=3, novelty=0), pool)
    assert most < greedy
    assert tried > few


def test_a_resumed_selector_draws_the_same() -> None:
    pool = ew.PromptPool(range(50), ["a", "b"] * 25)
    one = ew.make_selector("edge", pool, seed=1)
    for _ in range(12):
        rows = one.select(5)
        one.observe(rows, rows % 9, 8)
        one.advance()
    other = ew.make_selector("edge", pool, seed=1)
    other.load_state_dict(one.state_dict())
    assert other.acquisition.novelty.groups == 60
    for _ in range(5):
        rows = one.select(5)
        assert rows.tolist() == other.select(5).tolist()
        for selector in (one, other):
            selector.observe(rows, rows % 9, 8)
            selector.advance()


@pytest.mark.parametrize("novelty", [-0.1, np.nan, np.inf])
def test_an_exponent_that_is_none_is_refused(novelty: float) -> None:
    with pytest.raises(ConfigError, match="novelty must be finite and >= 0"):
        ew.make_selector("edge", ew.PromptPool(range(8)), novelty=novelty)
