"""The limit on a category's share of selections: kept where it can be, given up where it cannot, saved and restored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise import Curriculum, PromptPool, make_selector
from edgewise.arrays import Rows
from edgewise.errors import ConfigError
from edgewise.selectors.candidates import Candidates
from edgewise.selectors.spread import CategoryLimit


def pool_of(sizes: list[int]) -> PromptPool:
    labels = [f"c{code}" for code, size in enumerate(sizes) for _ in range(size)]
    return PromptPool(range(len(labels)), labels)


def first(n: int, candidates: Candidates) -> Rows:
    return candidates.rows[:n]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=3, max_size=9), st.floats(0.05, 0.9), st.data())
def test_a_selection_keeps_the_limit_wherever_the_other_categories_can_serve_it(
    sizes: list[int], share: float, data: st.DataObject
) -> None:
    pool = pool_of(sizes)
    limit = CategoryLimit(pool, share=share)
    effective = max(share, 2 / len(sizes))
    for _ in range(4):
        n = data.draw(st.integers(0, len(pool)))
        allowed = np.floor(limit.credit[1:] + effective * n + 1e-9)
        rows = limit.choose(n, Candidates(pool), first)
        assert len(set(rows.tolist())) == n
        counts = np.bincount(pool.category_index(rows), minlength=len(sizes) + 1)[1:]
        if n <= np.minimum(allowed, sizes).sum() and effective < 1:
            assert (counts <= allowed).all()
        assert ((limit.credit >= 0) & (limit.credit <= 1)).all()


def test_selections_of_one_prompt_keep_the_share() -> None:
    pool = pool_of([50] * 10)
    limit = CategoryLimit(pool, share=0.25)
    codes = [int(pool.category_index(limit.choose(1, Candidates(pool), first))[0]) for _ in range(40)]
    assert codes.count(1) == 11  # one at once, then one of four
    assert max(np.bincount(codes[start : start + 8]).max() for start in range(32)) <= 3


def test_few_categories_and_pools_without_any_are_not_limited() -> None:
    for pool in (pool_of([20, 20]), PromptPool(range(40))):
        rows = CategoryLimit(pool, share=0.1).choose(12, Candidates(pool), first)
        assert rows.tolist() == list(range(12))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="category_share"):
        make_selector("edge", pool_of([3, 3, 3]), category_share=share)


@pytest.mark.parametrize("kind", ["pool", "rows"])
def test_no_prompt_of_a_closed_category_is_a_candidate(kind: str) -> None:
    pool, busy = pool_of([4, 5, 6]), np.array([0, 4, 9])
    rest = np.setdiff1d(np.arange(15), busy)
    candidates = Candidates(pool, exclude=busy) if kind == "pool" else Candidates(pool, rest)
    open_ = candidates.closing(np.array([2]))
    left = rest[pool.category_index(rest) != 2]
    assert len(open_) == len(left)
    assert open_.allow(np.arange(15)).nonzero()[0].tolist() == left.tolist()
    assert sorted(open_.sample(len(left), np.random.default_rng(0)).tolist()) == left.tolist()
    assert open_.without(left[:1]).rows.tolist() == left[1:].tolist()
    assert len(open_.without(left[:1])) == len(left) - 1


@pytest.mark.parametrize("knows", ["labels", "labels and features", "no labels in the belief"])
def test_edge_spreads_over_categories_although_one_alone_is_informative(knows: str) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((240, 3)) if knows == "labels and features" else None
    pool = PromptPool(range(240), [f"c{row % 12}" for row in range(240)], features)
    rates = np.where(np.arange(240) % 12 == 3, 0.5, 0.002)
    name, options = "edge", {}
    if knows == "no labels in the belief":
        name, options = "bandit", {"belief": "beta", "category_share": 0.25}
    unlimited = {"category_share": 1.0}
    most = {}
    for kind, extra in (("limited", {}), ("free", unlimited)):
        selector, draws = (
            make_selector(name, pool, rollouts=8, seed=1, **{**options, **extra}),
            np.random.default_rng(2),
        )
        largest = []
        for _ in range(40):
            rows = selector.select(12)
            largest.append(int(np.bincount(pool.category_index(rows)).max()))
            selector.observe(rows, draws.binomial(8, rates[rows]), 8)
        most[kind] = np.array(largest[10:])
    assert most["limited"].max() <= 5  # three, one carried over, one re-tested
    assert most["limited"].mean() <= 3.6
    assert most["free"].mean() > most["limited"].mean() + 1


def test_a_resumed_curriculum_carries_the_shares_on() -> None:
    def made() -> Curriculum:
        return Curriculum(pool_of([20] * 8), "edge", rollouts=4, seed=3)

    def run(curriculum: Curriculum, steps: range) -> list[list[int]]:
        chosen = []
        for step in steps:
            batch = curriculum.select(5)
            rng = np.random.default_rng(step)
            curriculum.observe(batch, (rng.random((5, 4)) < 0.3).astype(float))
            chosen.append(batch.rows.tolist())
        return chosen

    whole, half, resumed = made(), made(), made()
    expected = run(whole, range(20))[10:]
    run(half, range(10))
    resumed.load_state_dict(half.state_dict())
    assert run(resumed, range(10, 20)) == expected


def test_a_new_category_has_its_share_at_once() -> None:
    pool = pool_of([10] * 4)
    limit = CategoryLimit(pool, share=0.3)
    limit.choose(9, Candidates(pool), first)
    pool.extend(range(100, 120), ["new"] * 20)
    limit.grow()
    assert limit.credit[pool.category_names.index("new") + 1] == 1.0
    assert len(limit.choose(30, Candidates(pool), first)) == 30
