"""What every registered selector promises, whatever its rule."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgewise as ew
from edgewise.checkpoint import load_state, save_state
from edgewise.errors import CheckpointError, ConfigError, PoolError, RewardError

NAMES = ew.list_selectors()
OPTIONS: dict[str, dict[str, Any]] = {"e2h": {"steps": 6}}
# The published rules by their registered names.
PUBLISHED = {
    "adarft",
    "difficulty_pools",
    "dps",
    "dump",
    "e2h",
    "greso",
    "history_resampling",
    "lze",
    "mopps",
    "sec",
    "static",
    "uniform",
}
# Their predictions are places in the order of levels, which a new hardest level changes.
BY_LEVEL = {"adarft", "static"}
# What they learn is not about single prompts.
WITHOUT_ROWS = {"adarft"}


def make(name: str, pool: ew.PromptPool, seed: int = 0) -> ew.Selector:
    return ew.make_selector(name, pool, seed=seed, **OPTIONS.get(name, {}))


def make_pool(ids: Any) -> ew.PromptPool:
    """Prompts whose category follows from their id, so that any subset of them agrees about it."""
    return ew.PromptPool(ids, categories=[str(int(i) % 3 + 1) for i in ids])


def rates(ids: Any) -> np.ndarray:
    """True success rates: hopeless, mastered and everything between."""
    return np.array([(0.0, 0.3, 0.6, 1.0)[int(i) % 4] for i in ids])


def train(selector: ew.Selector, steps: int, n: int, seed: int = 0, k: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    picks = []
    for _ in range(steps):
        rows = selector.select(n)
        picks.append(rows)
        selector.observe(rows, rng.binomial(k, rates(selector.pool.ids[rows])), k)
    return picks


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return bool(a == b)


def test_all_published_rules_are_there() -> None:
    assert set(NAMES) >= PUBLISHED


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.data())
def test_selection_is_distinct_and_among_the_candidates(name: str, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 25), "pool")
    pool = make_pool(range(size))
    selector = make(name, pool)
    some_rows = st.lists(st.integers(0, size - 1), unique=True)
    for _ in range(data.draw(st.integers(1, 6), "steps")):
        candidates = data.draw(st.none() | some_rows, "candidates")
        exclude = data.draw(st.none() | some_rows, "exclude")
        free = set(range(size) if candidates is None else candidates) - set(exclude or [])
        n = data.draw(st.integers(0, len(free)), "n")
        rows = selector.select(n, candidates, exclude, new_step=data.draw(st.booleans(), "new step"))
        assert rows.dtype == np.int64
        assert rows.shape == (n,)
        assert len(set(rows.tolist())) == n
        assert set(rows.tolist()) <= free
        k = data.draw(st.integers(1, 3), "k")
        successes = data.draw(st.lists(st.integers(0, k), min_size=n, max_size=n), "successes")
        selector.observe(rows, successes, k)
        predicted = selector.predict()
        assert predicted.shape == (size,)
        assert ((predicted >= 0) & (predicted <= 1)).all()
        assert all(isinstance(value, float) for value in selector.metrics().values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [0, 1])
def test_pools_without_a_good_prompt_keep_going(name: str, rate: int) -> None:
    pool = make_pool(range(12))
    selector = make(name, pool)
    for _ in range(15):
        for new_step in (True, False):
            rows = selector.select(8, new_step=new_step)
            assert len(np.unique(rows)) == 8
            selector.observe(rows, np.full(8, 4 * rate), 4)
    assert np.isfinite(list(selector.metrics().values())).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_pool_of_one_prompt(name: str) -> None:
    selector = make(name, make_pool([7]))
    for successes in (0, 4, 2, 4, 0):
        assert selector.select(1).tolist() == [0]
        selector.observe([0], [successes], 4)
    with pytest.raises(PoolError, match="only 0 are available"):
        selector.select(1, exclude=[0])


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides(name: str) -> None:
    pool = make_pool(range(60))
    first, second = train(make(name, pool, seed=1), 6, 10), train(make(name, pool, seed=1), 6, 10)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    other = train(make(name, pool, seed=2), 6, 10)
    assert any(set(a.tolist()) != set(b.tolist()) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [0, 1, 7])
@pytest.mark.parametrize("told", [True, False])
def test_resume_is_exact(name: str, steps: int, told: bool, tmp_path: Any) -> None:
    pool = make_pool(range(40))
    selector = make(name, pool, seed=3)
    train(selector, steps, 9)
    if not told:
        # Saved between a selection and its (partial) results.
        selector.observe(selector.select(9)[:4], [0, 1, 2, 2], 2)
    save_state(tmp_path / "s.npz", "selector", selector.state_dict())
    again = make(name, pool, seed=99)
    train(again, 2, 5, seed=8)
    again.load_state_dict(load_state(tmp_path / "s.npz", "selector"))
    assert same(again.state_dict(), selector.state_dict())
    for _ in range(2):
        for a, b in zip(train(selector, 5, 9, seed=4), train(again, 5, 9, seed=4), strict=True):
            assert (a == b).all()
        assert (selector.predict() == again.predict()).all()
        assert selector.metrics() == again.metrics()


@pytest.mark.parametrize("name", NAMES)
def test_a_state_is_a_snapshot(name: str) -> None:
    selector = make(name, make_pool(range(20)))
    train(selector, 3, 6)
    state = selector.state_dict()
    expected = train(selector, 3, 6, seed=5)
    selector.load_state_dict(state)
    again = train(selector, 3, 6, seed=5)
    assert all((a == b).all() for a, b in zip(expected, again, strict=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "ids",
    [
        pytest.param(list(range(29, -1, -1)), id="reordered"),
        pytest.param([*range(30, 45), *range(30)], id="grown"),
        pytest.param([*range(4, 22)], id="shrunk"),
        pytest.param([40, 3, 17, 2, 29, 41, 42, 11], id="all at once"),
    ],
)
def test_knowledge_follows_the_ids(name: str, ids: list[int]) -> None:
    pool = make_pool(range(30))
    selector = make(name, pool)
    train(selector, 8, 12)
    other = make_pool(ids)
    moved = make(name, other)
    remap = other.find(pool.ids)
    moved.load_state_dict(selector.state_dict(), remap)
    kept = np.flatnonzero(remap >= 0)
    np.testing.assert_allclose(moved.predict(remap[kept]), selector.predict(kept), atol=1e-9)
    chosen = set()
    for rows in train(moved, 20, 6):
        assert len(np.unique(rows)) == 6
        chosen |= set(rows.tolist())
    assert max(chosen) < len(ids)


@pytest.mark.parametrize("name", NAMES)
def test_prompts_added_during_a_run_are_served(name: str) -> None:
    pool = make_pool(range(10))
    selector = make(name, pool)
    train(selector, 3, 8)
    before = selector.predict()
    new = pool.extend(np.arange(10, 20), [str(int(i) % 5 + 1) for i in range(10, 20)])
    selector.grow()
    if name not in BY_LEVEL:
        np.testing.assert_allclose(selector.predict(np.arange(10)), before, atol=1e-9)
    rows = selector.select(10, candidates=new)
    assert set(rows.tolist()) == set(new.tolist())
    selector.observe(rows, np.ones(10, np.int64), 2)
    assert len(np.unique(selector.select(20))) == 20
    state = selector.state_dict()
    make(name, pool).load_state_dict(state)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_results_within_a_step_does_not_matter(name: str) -> None:
    pool = make_pool(range(40))
    one, other = make(name, pool), make(name, pool)
    train(one, 4, 12), train(other, 4, 12)
    rows = one.select(12)
    assert (other.select(12) == rows).all()
    successes = np.array([0, 1, 2, 3, 4, 4, 0, 2, 4, 0, 3, 1])
    one.observe(rows, successes, 4)
    order = np.random.default_rng(1).permutation(12)
    for part in np.array_split(order, 5):
        other.observe(rows[part], successes[part], 4)
    one.advance(), other.advance()
    np.testing.assert_allclose(other.predict(), one.predict(), atol=1e-12)
    ours, theirs = one.metrics(), other.metrics()
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose(list(theirs.values()), list(ours.values()), atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_observing_nothing_changes_nothing(name: str) -> None:
    selector = make(name, make_pool(range(10)))
    train(selector, 2, 5)
    before = selector.state_dict()
    selector.observe([], [], 4)
    assert same(selector.state_dict(), before)
    assert selector.select(0).shape == (0,)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("rows", "successes", "trials", "error"),
    [
        pytest.param([0, 99], [1, 1], 4, PoolError, id="unknown row"),
        pytest.param([0, -1], [1, 1], 4, PoolError, id="negative row"),
        pytest.param([0, 0], [1, 1], 4, PoolError, id="repeated row"),
        pytest.param([0.5, 1.0], [1, 1], 4, PoolError, id="rows that are not whole"),
        pytest.param([[0, 1]], [1, 1], 4, PoolError, id="rows of two dimensions"),
        pytest.param([0, 1], [1, 5], 4, RewardError, id="more successes than trials"),
        pytest.param([0, 1], [1, -1], 4, RewardError, id="negative successes"),
        pytest.param([0, 1], [0, 0], 0, RewardError, id="no trials"),
        pytest.param([0, 1], [1, np.nan], 4, RewardError, id="NaN"),
        pytest.param([0, 1], [1, np.inf], 4, RewardError, id="infinite"),
        pytest.param([0, 1], [0.25, 0.5], 4, RewardError, id="fractions"),
        pytest.param([0, 1], [1, 1, 1], 4, RewardError, id="successes of another length"),
        pytest.param([0, 1], [1, 1], [4, 4, 4], RewardError, id="trials of another length"),
        pytest.param([0, 1], ["1", "1"], 4, RewardError, id="text"),
    ],
)
def test_wrong_results_are_refused_and_change_nothing(
    name: str, rows: Any, successes: Any, trials: Any, error: type[Exception]
) -> None:
    selector = make(name, make_pool(range(10)))
    train(selector, 3, 5)
    before = selector.state_dict()
    with pytest.raises(error):
        selector.observe(rows, successes, trials)
    assert same(selector.state_dict(), before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("n", "candidates", "exclude"),
    [
        (11, None, None),
        (-1, None, None),
        (2.5, None, None),
        (1, [], None),
        (9, None, [0, 1]),
        (1, [99], None),
        (1, None, [-1]),
    ],
)
def test_wrong_questions_are_refused_and_change_nothing(name: str, n: Any, candidates: Any, exclude: Any) -> None:
    selector = make(name, make_pool(range(10)))
    train(selector, 3, 5)
    before = selector.state_dict()
    with pytest.raises(PoolError):
        selector.select(n, candidates, exclude)
    assert same(selector.state_dict(), before)


@pytest.mark.parametrize("name", NAMES)
def test_a_foreign_or_damaged_state_is_refused_and_changes_nothing(name: str) -> None:
    selector = make(name, make_pool(range(10)))
    train(selector, 3, 5)
    before = selector.state_dict()
    for key in before:
        damaged = {other: value for other, value in before.items() if other != key}
        with pytest.raises(CheckpointError):
            selector.load_state_dict(damaged)
        assert same(selector.state_dict(), before)
    with pytest.raises(CheckpointError):
        selector.load_state_dict({})
    assert same(selector.state_dict(), before)


@pytest.mark.parametrize("name", sorted(set(NAMES) - WITHOUT_ROWS))
def test_the_state_of_another_pool_is_refused_and_changes_nothing(name: str) -> None:
    selector, larger = make(name, make_pool(range(10))), make(name, make_pool(range(30)))
    train(selector, 3, 5), train(larger, 3, 30)
    before = selector.state_dict()
    with pytest.raises(CheckpointError):
        selector.load_state_dict(larger.state_dict())
    assert same(selector.state_dict(), before)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_options_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no_such_option"):
        ew.make_selector(name, make_pool(range(4)), no_such_option=1)
