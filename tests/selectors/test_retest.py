"""Re-tests of prompts believed hopeless or mastered, and categories that change at once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgewise as ew
from edgewise.beliefs import AbilityBelief
from edgewise.beliefs.ability import EXACT
from edgewise.errors import ConfigError
from edgewise.selectors import Candidates, EdgeSelector
from edgewise.selectors.retest import Retest


def observed(retest: Retest, rows: list[int], successes: list[int]) -> None:
    retest.observe(np.array(rows), np.array(successes), np.full(len(rows), 8))
    retest.advance()


def test_the_category_observed_longest_ago_comes_first_then_the_prompt() -> None:
    pool = ew.PromptPool(range(8), list("aabbccdd"))
    retest = Retest(pool, share=1.0)
    observed(retest, [0, 2], [0, 8])
    observed(retest, [3, 4], [0, 0])
    observed(retest, [6, 5], [4, 8])
    rng, candidates = np.random.default_rng(0), Candidates(pool)
    assert retest.choose(1, candidates, rng).tolist() == [0], "category a was observed first"
    assert set(retest.choose(3, candidates, rng).tolist()) == {0, 2, 3}
    assert set(retest.choose(8, candidates, rng).tolist()) == {0, 2, 3, 4, 5}, (
        "row 6 was partly right, 1 and 7 are unseen"
    )
    assert retest.choose(1, Candidates(pool, exclude=np.array([0])), rng).tolist() == [2]
    assert retest.choose(2, Candidates(pool, rows=np.array([5, 4, 1])), rng).tolist() == [4, 5]


@given(st.integers(1, 60), st.floats(0.0, 1.0), st.integers(0, 5))
def test_the_share_is_kept_on_average_and_never_exceeded_by_more_than_a_prompt(n: int, share: float, seed: int) -> None:
    pool = ew.PromptPool(range(100))
    retest, rng = Retest(pool, share=share), np.random.default_rng(seed)
    observed(retest, list(range(90)), [0] * 90)
    counts = np.array([len(retest.choose(n, Candidates(pool), rng)) for _ in range(40)])
    assert np.abs(counts - n * share).max() < 1
    assert abs(counts.mean() - n * share) < 0.5


def test_a_selector_gives_the_share_to_prompts_it_would_not_choose() -> None:
    pool = ew.PromptPool(range(200), ["good", "bad"] * 100)
    options: dict[str, Any] = {"belief": "beta", "acquisition": "closest", "draw": "top"}
    plain = ew.make_selector("bandit", pool, **options)
    floor = ew.make_selector("bandit", pool, **options, retest=0.25)
    for selector in (plain, floor):
        selector.observe(np.arange(200), np.arange(200) % 2 * -4 + 4, 8)
    assert (plain.select(40) % 2 == 0).all()
    chosen = floor.select(40)
    assert len(np.unique(chosen)) == 40
    assert (chosen % 2 == 1).sum() == 10
    assert floor.metrics()["longest_unobserved"] == 1.0


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"retest is a share of every selection in \[0, 1\], got 1.5"):
        EdgeSelector(ew.PromptPool(range(4)), retest=1.5)


@pytest.mark.parametrize("categories", [4, EXACT + 10])
def test_a_category_that_changes_at_once_is_learned_anew_and_the_others_stay(categories: int) -> None:
    pool = ew.PromptPool(range(8 * categories), [f"c{i % categories}" for i in range(8 * categories)])
    belief = AbilityBelief(pool)
    rows = np.arange(4 * categories)
    for step in range(30):
        mine = rows[(rows // categories) == step % 4]
        belief.observe(mine, np.where(mine % categories == 0, 0, 4), np.full(len(mine), 8))
        belief.advance()
    unseen = np.arange(4 * categories, 8 * categories)
    before = belief.mean(unseen)
    assert before[unseen % categories == 0].max() < 0.05
    broken = np.array([0, categories, 2 * categories, 3 * categories])
    belief.observe(broken, np.array([4, 5, 3, 4]), np.full(4, 8))
    belief.advance()
    after = belief.mean(unseen)
    assert after[unseen % categories == 0].min() > 0.3
    np.testing.assert_allclose(after[unseen % categories > 0], before[unseen % categories > 0], atol=0.05)


def test_a_category_that_drifts_is_not_forgotten() -> None:
    pool = ew.PromptPool(range(400), [str(i % 4) for i in range(400)])
    belief, rng = AbilityBelief(pool), np.random.default_rng(0)
    forgotten: list[Any] = []
    belief._forget_offsets = forgotten.append  # type: ignore[method-assign, assignment]
    ability, difficulty = np.zeros(4), rng.normal(size=400)
    for _ in range(200):
        ability += 0.05 * rng.normal(size=4) + 0.02
        rows = rng.choice(400, 16, replace=False)
        rates = 1 / (1 + np.exp(difficulty[rows] - ability[rows % 4]))
        belief.observe(rows, rng.binomial(8, rates), np.full(16, 8))
        belief.advance()
    assert not forgotten
