"""Contract of a selector, as checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgewise.errors import CheckpointError, EdgewiseError, PoolError, RewardError
from edgewise.testing.common import (
    MakePool,
    MakeSelector,
    categorised_pool,
    close,
    columns,
    refuse_steps,
    refused,
    same_state,
    through_a_file,
    train,
)


def check_selector(factory: MakeSelector, *, make_pool: MakePool = categorised_pool) -> None:
    """Check that selectors keep the contract: what is selected, observed, saved, restored, grown and refused.

    Args:
        factory: called as `factory(pool, seed=...)`; a Selector class, say.
        make_pool: makes the pool of the given ids, for selectors that need other prompts than ones with categories
            "1", "2" and "3".

    Raises:
        AssertionError: names the broken rule.

    Example:
        >>> from edgewise.selectors import UniformSelector
        >>> check_selector(UniformSelector)
    """
    for law in SELECTOR_LAWS:
        law(factory, make_pool)


def selection_is_distinct_and_among_the_candidates(factory: MakeSelector, make_pool: MakePool) -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 11, 25):
        selector = factory(make_pool(range(size)), seed=size)
        for step in range(12):
            rows = rng.permutation(size)
            candidates = None if step % 3 else np.sort(rows[: rng.integers(size + 1)])
            exclude = None if step % 2 else rng.permutation(size)[: rng.integers(size + 1)]
            free = set(range(size) if candidates is None else candidates.tolist())
            free -= set() if exclude is None else set(exclude.tolist())
            n = int(rng.integers(len(free) + 1))
            given = None if candidates is None else candidates.copy()
            chosen = selector.select(n, candidates, exclude, new_step=bool(rng.integers(2)))
            assert same_state(given, candidates), "select changed the candidates it was given"
            assert chosen.dtype == np.int64, f"select returned {chosen.dtype}, expected int64"
            assert len(set(chosen.tolist())) == len(chosen) == n, f"select({n}) returned {chosen.tolist()}"
            assert set(chosen.tolist()) <= free, f"select returned {chosen.tolist()}, available were {sorted(free)}"
            k = int(rng.integers(1, 4))
            selector.observe(
                chosen, rng.integers(k + 1, size=n), k, age=rng.integers(3, size=n) if step % 4 == 0 else None
            )
            if step % 5 == 0:
                selector.forget(selector.select(n, candidates, exclude))
            predicted = selector.predict()
            assert predicted.shape == (size,), f"predict returned shape {predicted.shape}, expected ({size},)"
            if selector.predicts:
                assert ((predicted >= 0) & (predicted <= 1)).all(), "predictions must lie in [0, 1]"
            numbers = selector.metrics().values()
            assert all(isinstance(number, float) for number in numbers), "metrics must be floats"


def pools_without_a_good_prompt_keep_going(factory: MakeSelector, make_pool: MakePool) -> None:
    for successes in (0, 4):
        selector = factory(make_pool(range(12)), seed=0)
        for _ in range(15):
            for new_step in (True, False):
                rows = selector.select(8, new_step=new_step)
                selector.observe(rows, np.full(8, successes), 4)
        assert np.isfinite(list(selector.metrics().values())).all(), "metrics must stay finite"


def a_pool_of_one_prompt_is_served(factory: MakeSelector, make_pool: MakePool) -> None:
    selector = factory(make_pool([7]), seed=0)
    for successes in (0, 4, 2, 4, 0):
        assert selector.select(1).tolist() == [0]
        selector.observe([0], [successes], 4)
    refused(lambda: selector.select(1, exclude=[0]), PoolError, "a selection of more than is available")


def one_rollout_a_prompt_is_enough(factory: MakeSelector, make_pool: MakePool) -> None:
    selector = factory(make_pool(range(16)), seed=0)
    train(selector, 12, 6, k=1)
    assert len(selector.select(16)) == 16


def the_seed_decides(factory: MakeSelector, make_pool: MakePool) -> None:
    pool = make_pool(range(60))
    first, second = (train(factory(pool, seed=1), 6, 10) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second, strict=True)), "equal seeds selected other rows"


def resume_is_exact(factory: MakeSelector, make_pool: MakePool) -> None:
    pool = make_pool(range(40))
    for steps, partial in ((0, False), (1, True), (7, False), (7, True)):
        selector, again = factory(pool, seed=3), factory(pool, seed=99)
        train(selector, steps, 9)
        if partial:  # saved between a selection and its results
            selector.observe(selector.select(9)[:4], [0, 1, 2, 2], 2)
        train(again, 2, 5, seed=8)
        again.load_state_dict(through_a_file(selector.state_dict()))
        assert same_state(again.state_dict(), selector.state_dict()), "a restored state differs from the saved one"
        for _ in range(2):
            for a, b in zip(train(selector, 5, 9, seed=4), train(again, 5, 9, seed=4), strict=True):
                assert (a == b).all(), "a restored selector selects other rows"
            assert np.array_equal(selector.predict(), again.predict(), equal_nan=True), (
                "predictions differ after a resume"
            )
            assert selector.metrics() == again.metrics(), "metrics differ after a resume"


def a_state_is_a_snapshot(factory: MakeSelector, make_pool: MakePool) -> None:
    selector = factory(make_pool(range(20)), seed=0)
    train(selector, 3, 6)
    state = selector.state_dict()
    expected = train(selector, 3, 6, seed=5)
    selector.load_state_dict(state)
    again = train(selector, 3, 6, seed=5)
    assert all((a == b).all() for a, b in zip(expected, again, strict=True)), "a state changed after it was taken"


def state_follows_the_ids(factory: MakeSelector, make_pool: MakePool) -> None:
    for ids in (list(range(29, -1, -1)), [*range(30, 45), *range(30)], [*range(4, 22)], [40, 3, 17, 2, 29, 41, 42, 11]):
        pool, other = make_pool(range(30)), make_pool(ids)
        selector, moved = factory(pool, seed=0), factory(other, seed=0)
        train(selector, 8, 12)
        remap = other.find(pool.ids)
        moved.load_state_dict(selector.state_dict(), remap)
        kept = np.flatnonzero(remap >= 0)
        close(
            moved.predict(remap[kept]),
            selector.predict(kept),
            1e-9,
            "predictions must follow the ids into another pool",
        )
        for rows in train(moved, 20, 6):
            assert len(np.unique(rows)) == 6


def prompts_added_during_a_run_are_served(factory: MakeSelector, make_pool: MakePool) -> None:
    pool, larger = make_pool(range(10)), make_pool(range(20))
    selector = factory(pool, seed=0)
    train(selector, 3, 8)
    before = selector.predict()
    new = pool.extend(np.arange(10, 20), *columns(larger, slice(10, 20)))
    selector.grow()
    close(selector.predict(np.arange(10)), before, 1e-9, "growth changed the predictions of earlier prompts")
    rows = selector.select(10, candidates=new)
    assert set(rows.tolist()) == set(new.tolist())
    selector.observe(rows, np.ones(10, np.int64), 2)
    assert len(np.unique(selector.select(20))) == 20
    factory(pool, seed=1).load_state_dict(selector.state_dict())


def a_grown_and_a_fresh_pool_select_alike(factory: MakeSelector, make_pool: MakePool) -> None:
    """Category codes do not depend on the order in which labels appeared."""
    for seed in range(3):
        whole = make_pool([7, 4, 1, 10, 2, 5, 8, 11, 0, 3])
        pool = make_pool([7, 4, 1, 10, 2, 5, 8, 11])
        selector = factory(pool, seed=seed)
        train(selector, 2, 4)
        pool.extend(whole.ids[8:], *columns(whole, slice(8, 10)))
        selector.grow()
        resumed = factory(whole, seed=99)
        resumed.load_state_dict(through_a_file(selector.state_dict()))
        for a, b in zip(train(selector, 4, 4), train(resumed, 4, 4), strict=True):
            assert (a == b).all(), "a selector that grew and one resumed over the whole pool select other rows"


def order_of_results_within_a_step_does_not_matter(factory: MakeSelector, make_pool: MakePool) -> None:
    pool = make_pool(range(40))
    one, other = factory(pool, seed=0), factory(pool, seed=0)
    train(one, 4, 12)
    train(other, 4, 12)
    rows = one.select(12)
    assert (other.select(12) == rows).all()
    successes = np.array([0, 1, 2, 3, 4, 4, 0, 2, 4, 0, 3, 1])
    one.observe(rows, successes, 4)
    for part in np.array_split(np.random.default_rng(1).permutation(12), 5):
        other.observe(rows[part], successes[part], 4)
    one.advance()
    other.advance()
    close(other.predict(), one.predict(), 1e-12, "predictions depend on the order of results within a step")
    assert one.metrics().keys() == other.metrics().keys()
    close(
        np.array([*other.metrics().values()]), np.array([*one.metrics().values()]), 1e-12, "metrics depend on the order"
    )


def observing_nothing_changes_nothing(factory: MakeSelector, make_pool: MakePool) -> None:
    selector = factory(make_pool(range(10)), seed=0)
    train(selector, 2, 5)
    before = selector.state_dict()
    selector.observe([], [], 4)
    selector.advance(0)
    before["observed"] = False
    assert same_state(selector.state_dict(), before), "an observation of nothing changed the state"
    assert selector.select(0).shape == (0,)


def wrong_results_are_refused_and_change_nothing(factory: MakeSelector, make_pool: MakePool) -> None:
    selector = factory(make_pool(range(10)), seed=0)
    train(selector, 3, 5)
    before = selector.state_dict()
    wrong: list[tuple[Any, Any, Any, Any, type[EdgewiseError]]] = [
        ([0, 99], [1, 1], 4, None, PoolError),
        ([0, -1], [1, 1], 4, None, PoolError),
        ([0, 0], [1, 1], 4, None, PoolError),
        ([0.5, 1.0], [1, 1], 4, None, PoolError),
        ([[0, 1]], [1, 1], 4, None, PoolError),
        ([0, 1], [1, 5], 4, None, RewardError),
        ([0, 1], [1, -1], 4, None, RewardError),
        ([0, 1], [0, 0], 0, None, RewardError),
        ([0, 1], [1, 1], 2**31, None, RewardError),
        ([0, 1], [1, np.nan], 4, None, RewardError),
        ([0, 1], [0.25, 0.5], 4, None, RewardError),
        ([0, 1], [1, 1, 1], 4, None, RewardError),
        ([0, 1], [1, 1], [4, 4, 4], None, RewardError),
        ([0, 1], ["1", "1"], 4, None, RewardError),
        ([0, 1], [1, 1], 4, -1, RewardError),
    ]
    for rows, successes, trials, age, error in wrong:
        given = f"observe({rows}, {successes}, {trials}, {age})"
        refused(lambda r=rows, s=successes, k=trials, a=age: selector.observe(r, s, k, a), error, given)  # type: ignore[misc]
        assert same_state(selector.state_dict(), before), f"{given} was refused but changed the state"


def wrong_steps_are_refused_and_change_nothing(factory: MakeSelector, make_pool: MakePool) -> None:
    selector = factory(make_pool(range(10)), seed=0)
    train(selector, 3, 5)
    selector.observe([0, 1], [1, 4], 4)
    refuse_steps(selector)


def wrong_selections_are_refused_and_change_nothing(factory: MakeSelector, make_pool: MakePool) -> None:
    selector = factory(make_pool(range(10)), seed=0)
    train(selector, 3, 5)
    before = selector.state_dict()
    for n, candidates, exclude in (
        (11, None, None),
        (-1, None, None),
        (2.5, None, None),
        (1, [], None),
        (9, None, [0, 1]),
        (1, [99], None),
        (1, None, [-1]),
    ):
        given = f"select({n}, {candidates}, {exclude})"
        refused(lambda a=n, b=candidates, c=exclude: selector.select(a, b, c), PoolError, given)  # type: ignore[misc]
        assert same_state(selector.state_dict(), before), f"{given} was refused but changed the state"


def a_foreign_or_damaged_state_is_refused_and_changes_nothing(factory: MakeSelector, make_pool: MakePool) -> None:
    selector, larger = factory(make_pool(range(10)), seed=0), factory(make_pool(range(30)), seed=0)
    train(selector, 3, 5)
    train(larger, 3, 30)
    before = selector.state_dict()
    damaged = [{other: value for other, value in before.items() if other != key} for key in before]
    for state in [*damaged, {}, larger.state_dict()]:
        refused(lambda s=state: selector.load_state_dict(s), CheckpointError, f"a state with {sorted(state)}")  # type: ignore[misc]
        assert same_state(selector.state_dict(), before), "a refused state changed the selector"


SELECTOR_LAWS: tuple[Callable[[MakeSelector, MakePool], None], ...] = (
    selection_is_distinct_and_among_the_candidates,
    pools_without_a_good_prompt_keep_going,
    a_pool_of_one_prompt_is_served,
    one_rollout_a_prompt_is_enough,
    the_seed_decides,
    resume_is_exact,
    a_state_is_a_snapshot,
    state_follows_the_ids,
    prompts_added_during_a_run_are_served,
    a_grown_and_a_fresh_pool_select_alike,
    order_of_results_within_a_step_does_not_matter,
    observing_nothing_changes_nothing,
    wrong_results_are_refused_and_change_nothing,
    wrong_steps_are_refused_and_change_nothing,
    wrong_selections_are_refused_and_change_nothing,
    a_foreign_or_damaged_state_is_refused_and_changes_nothing,
)


# Beliefs.
