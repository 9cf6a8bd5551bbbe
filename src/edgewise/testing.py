"""Contract tests for selectors, beliefs and other parts of third parties; each raises AssertionError with what failed.

import edgewise as ew
def test_my_selector():
    ew.testing.check_selector(MySelector)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise.arrays import Rows
from edgewise.beliefs.base import Belief
from edgewise.checkpoint import load_state, save_state
from edgewise.errors import CheckpointError, EdgewiseError, PoolError, RewardError
from edgewise.gates import Gate, Groups
from edgewise.pool import PromptPool
from edgewise.selectors.base import Selector

if TYPE_CHECKING:
    from edgewise.tasks import Task

MakeSelector = Callable[..., Selector]
MakeBelief = Callable[[PromptPool], Belief]
MakePool = Callable[[Sequence[int]], PromptPool]


def categorised_pool(ids: Sequence[int]) -> PromptPool:
    """Prompts whose category and features follow from their id, so that any subset of them agrees about both."""
    numbers = np.asarray(ids, np.int64)
    return PromptPool(numbers, [str(i % 3 + 1) for i in numbers.tolist()])


def featured_pool(ids: Sequence[int]) -> PromptPool:
    """Like `categorised_pool`, with three features a prompt; ids below 1,000. Every twelfth prompt has no category."""
    numbers = np.asarray(ids, np.int64)
    features = np.random.default_rng(5).normal(size=(1000, 3))[numbers]
    return PromptPool(numbers, [None if i % 12 == 2 else str(i % 3 + 1) for i in numbers.tolist()], features)


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


def check_belief(factory: MakeBelief, *, make_pool: MakePool = featured_pool) -> None:
    """Check that beliefs keep the contract: proper rates, order of observations, clock, state, growth.

    Args:
        factory: called as `factory(pool)`; a Belief class, say.
        make_pool: makes the pool of the given ids.

    Raises:
        AssertionError: names the broken rule.

    Example:
        >>> from edgewise.beliefs import BetaBelief
        >>> check_belief(BetaBelief)
    """
    for law in BELIEF_LAWS:
        law(factory, make_pool)


# Selectors.


def check_gate(factory: Callable[[], Gate]) -> None:
    """Contract of a gate: one flag a group, the same for the same groups, no change of what it is given, exact state.

    Args:
        factory: makes the gate anew, always with the same options.

    Raises:
        AssertionError: names what does not hold.
    """
    rng = np.random.default_rng(0)
    first, second = factory(), factory()
    for number, size in enumerate((5, 0, 1, 12, 7)):
        trials = rng.integers(1, 9, size)
        rewards = rng.random(int(trials.sum())).round(1)
        successes = np.array(
            [int((part >= 0.5).sum()) for part in np.split(rewards, np.cumsum(trials)[:-1])][:size], np.int64
        )
        rows = rng.permutation(100)[:size].astype(np.int64)
        lengths = rng.integers(1, 50, int(trials.sum()))
        groups = Groups(rows, rows + 1000, rewards, successes, trials, np.full(size, 1), 1 + number, lengths)
        before = rewards.copy(), successes.copy(), rows.copy()
        admitted = np.asarray(first.admit(groups))
        assert admitted.dtype == np.bool_, f"admit returned {admitted.dtype}, expected bool"
        assert admitted.shape == (size,), f"admit returned shape {admitted.shape} for {size} groups"
        same = all(map(np.array_equal, before, (groups.rewards, groups.successes, groups.rows)))
        assert same, "admit changed the groups it was given"
        again = np.asarray(second.admit(groups))
        assert np.array_equal(admitted, again), "two gates made alike admit different groups"
        second = factory()
        second.load_state_dict(_through_a_file({"state": first.state_dict()})["state"])
    assert all(isinstance(value, (int, float)) for value in first.metrics().values()), "metrics are numbers by name"


def check_task(factory: Callable[[], Task], *, n: int = 40, **difficulty: Any) -> None:
    """Check that tasks keep the contract: problems and their split, verdicts on any text, demonstrations of a TextWorld.

    Hostile completions, of up to a megabyte, are among the texts; a verdict may take a minute at most.

    Args:
        factory: makes the task anew, always with the same options.
        n: number of problems that are drawn; the task must have that many training and n / 4 evaluation problems.
        difficulty: settings of `problems` (and of `demonstrations`) under which it is checked.

    Raises:
        AssertionError: names the broken rule.

    Example:
        >>> from edgewise.tasks import OpGraph
        >>> check_task(OpGraph, n=10, op=(1, 3))
    """
    # Imported here: the core does not depend on tasks.
    from edgewise.tasks.contract import TASK_LAWS, Setting

    for law in TASK_LAWS:
        law(Setting(factory, difficulty, n))


def success_rates(ids: np.ndarray) -> np.ndarray:
    """True success rates of the tests' prompts: hopeless, mastered, and between."""
    return np.array([0.0, 0.3, 0.6, 1.0])[np.asarray(ids, np.int64) % 4]


def train(selector: Selector, steps: int, n: int, seed: int = 0, k: int = 4) -> list[Rows]:
    """Synchronous steps of n prompts with k rollouts; the rows selected."""
    rng = np.random.default_rng(seed)
    picks = []
    for _ in range(steps):
        rows = selector.select(n)
        picks.append(rows)
        selector.observe(rows, rng.binomial(k, success_rates(selector.pool.ids[rows])), k)
    return picks


def same_state(a: Any, b: Any) -> bool:
    """Whether two states are equal to the last bit; NaN equals NaN."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same_state(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return bool(a == b)


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
            chosen = selector.select(n, candidates, exclude, new_step=bool(rng.integers(2)))
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
    _refused(lambda: selector.select(1, exclude=[0]), PoolError, "a selection of more than is available")


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
        again.load_state_dict(_through_a_file(selector.state_dict()))
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
        _close(
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
    new = pool.extend(np.arange(10, 20), *_columns(larger, slice(10, 20)))
    selector.grow()
    _close(selector.predict(np.arange(10)), before, 1e-9, "growth changed the predictions of earlier prompts")
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
        pool.extend(whole.ids[8:], *_columns(whole, slice(8, 10)))
        selector.grow()
        resumed = factory(whole, seed=99)
        resumed.load_state_dict(_through_a_file(selector.state_dict()))
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
    _close(other.predict(), one.predict(), 1e-12, "predictions depend on the order of results within a step")
    assert one.metrics().keys() == other.metrics().keys()
    _close(
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
        ([0, 1], [1, np.nan], 4, None, RewardError),
        ([0, 1], [0.25, 0.5], 4, None, RewardError),
        ([0, 1], [1, 1, 1], 4, None, RewardError),
        ([0, 1], [1, 1], [4, 4, 4], None, RewardError),
        ([0, 1], ["1", "1"], 4, None, RewardError),
        ([0, 1], [1, 1], 4, -1, RewardError),
    ]
    for rows, successes, trials, age, error in wrong:
        given = f"observe({rows}, {successes}, {trials}, {age})"
        _refused(lambda r=rows, s=successes, k=trials, a=age: selector.observe(r, s, k, a), error, given)  # type: ignore[misc]
        assert same_state(selector.state_dict(), before), f"{given} was refused but changed the state"


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
        _refused(lambda a=n, b=candidates, c=exclude: selector.select(a, b, c), PoolError, given)  # type: ignore[misc]
        assert same_state(selector.state_dict(), before), f"{given} was refused but changed the state"


def a_foreign_or_damaged_state_is_refused_and_changes_nothing(factory: MakeSelector, make_pool: MakePool) -> None:
    selector, larger = factory(make_pool(range(10)), seed=0), factory(make_pool(range(30)), seed=0)
    train(selector, 3, 5)
    train(larger, 3, 30)
    before = selector.state_dict()
    damaged = [{other: value for other, value in before.items() if other != key} for key in before]
    for state in [*damaged, {}, larger.state_dict()]:
        _refused(lambda s=state: selector.load_state_dict(s), CheckpointError, f"a state with {sorted(state)}")  # type: ignore[misc]
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
    wrong_selections_are_refused_and_change_nothing,
    a_foreign_or_damaged_state_is_refused_and_changes_nothing,
)


# Beliefs.

_SIZE = 12
_ALL = np.arange(_SIZE)
GroupList = list[tuple[int, int, int]]


def random_groups(seed: int, steps: int) -> list[GroupList]:
    """Groups of some steps: (row, successes, trials)."""
    rng = np.random.default_rng(seed)
    return [[(int(row), int(rng.integers(9)), 8) for row in rng.choice(_SIZE, 4, replace=False)] for _ in range(steps)]


def observe_groups(belief: Belief, groups: GroupList, age: int | None = None) -> None:
    """Groups one after the other: the same prompt may come twice in a step."""
    for row, successes, trials in groups:
        late = None if age is None else np.array([age])
        belief.observe(np.array([row]), np.array([min(successes, trials)]), np.array([trials]), late)


def play(belief: Belief, steps: list[GroupList]) -> Belief:
    """Observe the groups of each step, then advance."""
    for groups in steps:
        observe_groups(belief, groups)
        belief.advance()
    return belief


def rates_are_proper(factory: MakeBelief, make_pool: MakePool) -> None:
    rng = np.random.default_rng(0)
    for idle in (0, 1, 40):
        steps = [
            [
                (int(rng.integers(_SIZE)), int(rng.integers(65)), int(rng.integers(1, 65)))
                for _ in range(rng.integers(7))
            ]
            for _ in range(10)
        ]
        belief = play(factory(make_pool(_ALL.tolist())), steps)
        for _ in range(2):
            mean, std = belief.mean(_ALL), belief.std(_ALL)
            for values in (mean, std, belief.draw(_ALL, np.random.default_rng(0))):
                assert values.shape == (_SIZE,), f"expected shape ({_SIZE},), got {values.shape}"
                assert ((values >= 0) & (values <= 1)).all(), "rates must lie in [0, 1]"
            assert (std <= 0.5 + 1e-12).all(), "a standard deviation of a rate is at most 1/2"
            assert np.isfinite(list(belief.metrics().values())).all(), "metrics must be finite"
            belief.advance(idle)
            observe_groups(belief, [(0, 1, 1), (1, 0, 1000), (0, 0, 1)])
            observe_groups(belief, [(3, 2, 4)], age=5)


def order_within_a_step_does_not_matter(factory: MakeBelief, make_pool: MakePool) -> None:
    forward, backward = factory(make_pool(_ALL.tolist())), factory(make_pool(_ALL.tolist()))
    for groups in random_groups(1, 8):
        observe_groups(forward, [*groups, groups[0]])
        observe_groups(backward, [*groups, groups[0]][::-1])
        _close(backward.mean(_ALL), forward.mean(_ALL), 1e-9, "the order of observations within a step matters")
        forward.advance()
        backward.advance()
        _close(backward.mean(_ALL), forward.mean(_ALL), 1e-9, "the order of observations within a step matters")


def a_prompts_own_group_counts_at_once(factory: MakeBelief, make_pool: MakePool) -> None:
    belief = factory(make_pool(_ALL.tolist()))
    row = np.array([4])
    before = belief.mean(row)[0]
    observe_groups(belief, [(4, 8, 8)])
    assert belief.mean(row)[0] > before, "a group of successes must raise the prompt's mean at once"


def reading_changes_nothing(factory: MakeBelief, make_pool: MakePool) -> None:
    read, unread = factory(make_pool(_ALL.tolist())), factory(make_pool(_ALL.tolist()))
    for groups in random_groups(2, 20):
        for belief in (read, unread):
            observe_groups(belief, groups)
        read.mean(_ALL)
        read.std(_ALL[::2])
        for belief in (read, unread):
            belief.advance()
    _close(read.mean(_ALL), unread.mean(_ALL), 1e-6, "reading a belief changes it")


def several_steps_are_one_after_the_other(factory: MakeBelief, make_pool: MakePool) -> None:
    single, several = (play(factory(make_pool(_ALL.tolist())), random_groups(7, 5)) for _ in range(2))
    for belief in (single, several):
        observe_groups(belief, [(2, 3, 8)])
    for _ in range(4):
        single.advance()
    several.advance(4)
    _close(several.mean(_ALL), single.mean(_ALL), 1e-6, "advance(4) differs from four times advance()")


def late_results_count_no_more_than_prompt_ones(factory: MakeBelief, make_pool: MakePool) -> None:
    row = np.array([4])
    means = []
    for age in (None, 0, 30):
        belief = play(factory(make_pool(_ALL.tolist())), random_groups(8, 3))
        start = belief.mean(row)[0]
        observe_groups(belief, [(4, 8, 8)], age=age)
        means.append(belief.mean(row)[0])
    assert means[0] == means[1], "a result of age 0 is a result in time"
    assert start <= means[2] <= means[1] + 1e-12, (
        "a late result must count less than one in time, in the same direction"
    )


def belief_states_go_on_identically(factory: MakeBelief, make_pool: MakePool) -> None:
    for mid_step in (False, True):
        belief, other = (factory(make_pool(_ALL.tolist())) for _ in range(2))
        play(belief, random_groups(3, 6))
        if mid_step:
            observe_groups(belief, [(1, 3, 8), (9, 0, 4)])
        other.load_state_dict(_through_a_file(belief.state_dict()))
        for groups in [[], *random_groups(4, 4)]:
            assert np.array_equal(belief.mean(_ALL), other.mean(_ALL)), "a restored belief differs"
            play(belief, [groups])
            play(other, [groups])
        assert np.array_equal(belief.std(_ALL), other.std(_ALL)), "a restored belief differs"


def belief_states_follow_the_ids(factory: MakeBelief, make_pool: MakePool) -> None:
    # Categories come in another order then; two prompts are gone, two are new.
    ids = [20, 11, 10, 9, 7, 6, 5, 4, 3, 2, 1, 21]
    pool, moved = make_pool(_ALL.tolist()), make_pool(ids)
    remap = moved.find(pool.ids)
    belief, other = play(factory(pool), random_groups(5, 6)), factory(moved)
    observe_groups(belief, [(1, 3, 8), (8, 1, 8)])
    other.load_state_dict(belief.state_dict(), remap)
    kept = remap >= 0
    _close(other.mean(remap[kept]), belief.mean(_ALL[kept]), 1e-12, "a belief must follow the ids into another pool")
    other.advance()
    assert np.isfinite(other.mean(np.arange(len(ids)))).all()


def a_pool_may_grow(factory: MakeBelief, make_pool: MakePool) -> None:
    pool, larger = make_pool(_ALL.tolist()), make_pool([*_ALL.tolist(), 51, 52])
    belief = play(factory(pool), random_groups(6, 5))
    before = belief.mean(_ALL)
    categories, features, known = _columns(larger, slice(_SIZE, _SIZE + 2))
    rows = pool.extend([51, 52], None if categories is None else ["0 new", categories[1]], features, known)
    belief.grow()
    _close(belief.mean(_ALL), before, 1e-12, "growth changed the belief about earlier prompts")
    belief.observe(rows, np.array([8, 0]), np.array([8, 8]))
    belief.advance()
    mean = belief.mean(rows)
    assert mean[0] > mean[1], "new prompts must learn from their rollouts"


BELIEF_LAWS: tuple[Callable[[MakeBelief, MakePool], None], ...] = (
    rates_are_proper,
    order_within_a_step_does_not_matter,
    a_prompts_own_group_counts_at_once,
    reading_changes_nothing,
    several_steps_are_one_after_the_other,
    late_results_count_no_more_than_prompt_ones,
    belief_states_go_on_identically,
    belief_states_follow_the_ids,
    a_pool_may_grow,
)


def _columns(pool: PromptPool, part: slice) -> tuple[Any, Any, Any]:
    """Categories, features and priors of some prompts, as `PromptPool.extend` takes them."""
    codes, features = pool.categories, pool.features
    names = np.array([None, *pool.category_names], object)
    return (
        None if codes is None else names[codes[part]].tolist(),
        None if features is None else features[part],
        None if pool.priors is None else pool.priors[part],
    )


def _through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.npz"
        save_state(path, "test", state)
        return load_state(path, "test")


def _refused(call: Callable[[], object], error: type[EdgewiseError], given: str) -> None:
    try:
        call()
    except error:
        return
    except Exception as other:
        raise AssertionError(f"{given} raised {other!r}, expected {error.__name__}") from other
    raise AssertionError(f"{given} was accepted, expected {error.__name__}")


def _close(a: np.ndarray, b: np.ndarray, tolerance: float, message: str) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance, err_msg=message)
