"""The limit on a category's share of selections: kept where it can be, given up where it cannot, saved and restored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise import Curriculum, PromptPool, make_selector
from edgewise.arrays import Rows
from edgewise.errors import ConfigError
from edgewise.sampling import Draw
from edgewise.sampling.base import within
from edgewise.selectors.candidates import Candidates
from edgewise.selectors.limit import CategoryLimit


def pool_of(sizes: list[int]) -> PromptPool:
    labels = [f"c{code}" for code, size in enumerate(sizes) for _ in range(size)]
    return PromptPool(range(len(labels)), labels)


def first(n: int, candidates: Candidates) -> Rows:
    rows = candidates.rows
    return rows[within(candidates.pool.category_index(rows), candidates.room, n)]


@settings(max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=3, max_size=9), st.floats(0.05, 0.9), st.data())
def test_a_selection_keeps_the_limit_wherever_the_other_categories_can_serve_it(
    sizes: list[int], share: float, data: st.DataObject
) -> None:
    pool = pool_of(sizes)
    limit = CategoryLimit(pool, share=share)
    effective = max(share, 3 / len(sizes))
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
    assert codes.count(1) == 13  # one at once, then three of ten
    assert max(np.bincount(codes[start : start + 8]).max() for start in range(32)) <= 4


def test_few_categories_and_pools_without_any_are_not_limited() -> None:
    for pool in (pool_of([20, 20]), pool_of([15, 15, 15]), PromptPool(range(40))):
        rows = CategoryLimit(pool, share=0.1).choose(12, Candidates(pool), first)
        assert rows.tolist() == list(range(12))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="category_share"):
        make_selector("edge", pool_of([3, 3, 3]), category_share=share)


@pytest.mark.parametrize("kind", ["pool", "rows"])
def test_room_counts_what_may_be_chosen_of_each_category(kind: str) -> None:
    pool, busy = pool_of([4, 5, 6]), np.array([0, 4, 9])
    rest = np.setdiff1d(np.arange(15), busy)
    candidates = Candidates(pool, exclude=busy) if kind == "pool" else Candidates(pool, rest)
    limited = candidates.limited(np.array([0, 9, 0, 2]))
    assert (len(candidates), len(limited)) == (12, 3 + 0 + 2)
    assert len(limited.without(np.array([1, 10]))) == 2 + 0 + 2
    assert limited.rows.tolist() == rest.tolist()


@settings(max_examples=100)
@given(
    st.lists(st.integers(0, 4), max_size=40), st.lists(st.integers(0, 5), min_size=5, max_size=5), st.integers(0, 20)
)
def test_rows_are_taken_in_order_and_full_categories_passed_over(codes: list[int], room: list[int], n: int) -> None:
    left, expected = list(room), []
    for position, code in enumerate(codes):
        if left[code] and len(expected) < n:
            left[code] -= 1
            expected.append(position)
    assert within(np.array(codes, np.int64), np.array(room), n).tolist() == expected


@pytest.mark.parametrize("draw", ["proportional", "top", "thompson"])
@pytest.mark.parametrize("kind", ["pool", "rows"])
def test_every_draw_keeps_the_room(draw: str, kind: str) -> None:
    pool, rng = pool_of([10, 20, 30]), np.random.default_rng(0)
    acquisition = "closest" if draw == "thompson" else "p_informative"
    selector = make_selector("bandit", pool, belief="ability", acquisition=acquisition, draw=draw)
    selector.observe(np.arange(0, 60, 3), rng.integers(0, 9, 20), 8)
    candidates = Candidates(pool) if kind == "pool" else Candidates(pool, np.arange(60))
    limited = candidates.limited(np.array([0, 3, 1, 5]))
    rows = selector.draw.choose(9, limited, selector.belief, selector.acquisition, rng)  # type: ignore[attr-defined]
    assert np.bincount(pool.category_index(rows), minlength=4).tolist() == [0, 3, 1, 5]


def test_the_draw_within_room_is_the_sequential_draw_that_closes_full_categories() -> None:
    pool = pool_of([2, 2, 2])
    selector = make_selector(
        "bandit", pool, belief="beta", acquisition="p_informative", draw="proportional", sharpness=1
    )
    selector.observe(np.arange(6), np.array([4, 4, 1, 1, 0, 0]), 8)
    weights = selector.acquisition.of(selector.belief.distribution(np.arange(6)), np.arange(6))  # type: ignore[attr-defined]
    # Two rows, at most one of each category: the second is drawn from what the first leaves open.
    a, b, c = weights[::2]
    total = 2 * (a + b + c)
    expected = 2 * a / total + 2 * b / total * a / (a + c) + 2 * c / total * a / (a + b)
    rng, room, hits = np.random.default_rng(1), np.array([0, 1, 1, 1]), 0
    for _ in range(4000):
        limited = Candidates(pool, np.arange(6)).limited(room)
        rows = selector.draw.choose(2, limited, selector.belief, selector.acquisition, rng)  # type: ignore[attr-defined]
        hits += bool((rows < 2).any())
    assert abs(hits / 4000 - expected) < 4 * np.sqrt(expected * (1 - expected) / 4000)


def test_a_draw_that_does_not_know_of_room_is_refused() -> None:
    class First(Draw):
        def choose(self, n, candidates, belief, acquisition, rng):  # type: ignore[no-untyped-def]
            return candidates.rows[:n]

    pool = pool_of([3, 3, 3])
    with pytest.raises(ConfigError, match="category_share"):
        make_selector("bandit", pool, belief="beta", draw=First(pool), category_share=0.3)


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


@pytest.mark.parametrize("n", [200, 900])
def test_the_limit_is_kept_by_small_and_large_selections_from_many_categories(n: int) -> None:
    pool = pool_of([50_000] + [6] * 300)
    rows = make_selector("edge", pool, retest=0.0).select(n)
    assert (pool.category_index(rows) == 1).sum() == n // 4 + 1


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
    pool = pool_of([10] * 6)
    limit = CategoryLimit(pool, share=0.3)
    limit.choose(9, Candidates(pool), first)
    pool.extend(range(100, 120), ["new"] * 20)
    limit.grow()
    assert limit.credit[pool.category_names.index("new") + 1] == 1.0
    assert len(limit.choose(30, Candidates(pool), first)) == 30
