"""Contract of a belief, as checks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgewise.beliefs.base import Belief
from edgewise.testing.common import MakeBelief, MakePool, close, columns, featured_pool, refuse_steps, through_a_file


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
            again = belief.draw(_ALL, np.random.default_rng(0))
            assert np.array_equal(belief.draw(_ALL, np.random.default_rng(0)), again), "the generator decides a draw"
            belief.advance(idle)
            observe_groups(belief, [(0, 1, 1), (1, 0, 1000), (0, 0, 1)])
            observe_groups(belief, [(3, 2, 4)], age=5)


def a_prompt_s_numbers_do_not_depend_on_the_others_read(factory: MakeBelief, make_pool: MakePool) -> None:
    belief = play(factory(make_pool(_ALL.tolist())), random_groups(9, 6))
    some = np.array([7, 2, 11])
    for name in ("mean", "std"):
        read: Callable[[np.ndarray], np.ndarray] = getattr(belief, name)
        close(read(some), read(_ALL)[some], 1e-12, f"the {name} of a prompt depends on the other rows that are read")
        own = getattr(belief.distribution(some), name)()
        close(read(some), own, 1e-12, f"the {name} of a prompt is not that of its distribution")


def groups_of_one_call_count_as_those_of_several(factory: MakeBelief, make_pool: MakePool) -> None:
    one, several = (play(factory(make_pool(_ALL.tolist())), random_groups(10, 4)) for _ in range(2))
    rows, successes, trials = np.array([5, 0, 9, 3]), np.array([8, 2, 0, 4]), np.array([8, 8, 4, 8])
    for ages in (None, np.array([0, 6, 1, 0])):
        one.observe(rows.copy(), successes.copy(), trials.copy(), None if ages is None else ages.copy())
        for i in range(len(rows)):
            part = slice(i, i + 1)
            several.observe(rows[part], successes[part], trials[part], None if ages is None else ages[part])
        close(one.mean(_ALL), several.mean(_ALL), 1e-9, "groups of one call count otherwise than one after the other")


def order_within_a_step_does_not_matter(factory: MakeBelief, make_pool: MakePool) -> None:
    forward, backward = factory(make_pool(_ALL.tolist())), factory(make_pool(_ALL.tolist()))
    for groups in random_groups(1, 8):
        observe_groups(forward, [*groups, groups[0]])
        observe_groups(backward, [*groups, groups[0]][::-1])
        close(backward.mean(_ALL), forward.mean(_ALL), 1e-9, "the order of observations within a step matters")
        forward.advance()
        backward.advance()
        close(backward.mean(_ALL), forward.mean(_ALL), 1e-9, "the order of observations within a step matters")


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
    close(read.mean(_ALL), unread.mean(_ALL), 1e-6, "reading a belief changes it")


def several_steps_are_one_after_the_other(factory: MakeBelief, make_pool: MakePool) -> None:
    single, several = (play(factory(make_pool(_ALL.tolist())), random_groups(7, 5)) for _ in range(2))
    for belief in (single, several):
        observe_groups(belief, [(2, 3, 8)])
    for _ in range(4):
        single.advance()
    several.advance(4)
    assert single.now == several.now == 9, "advance must call the base's, which moves the clock `now`"
    close(several.mean(_ALL), single.mean(_ALL), 1e-6, "advance(4) differs from four times advance()")


def late_results_count_no_more_than_prompt_ones(factory: MakeBelief, make_pool: MakePool) -> None:
    row = np.array([4])
    means = []
    for age in (None, 0, 30, 10**6):
        belief = play(factory(make_pool(_ALL.tolist())), random_groups(8, 3))
        start = belief.mean(row)[0]
        observe_groups(belief, [(4, 8, 8)], age=age)
        means.append(belief.mean(row)[0])
        belief.advance()
        assert np.isfinite(belief.mean(_ALL)).all(), "a late result, however old, must leave rates proper"
    assert means[0] == means[1], "a result of age 0 is a result in time"
    for late in means[2:]:
        assert start <= late <= means[1] + 1e-12, (
            "a late result must count less than one in time, in the same direction"
        )


def a_belief_state_is_a_snapshot(factory: MakeBelief, make_pool: MakePool) -> None:
    belief = play(factory(make_pool(_ALL.tolist())), random_groups(3, 6))
    state, before = belief.state_dict(), belief.mean(_ALL)
    play(belief, random_groups(4, 4))
    belief.load_state_dict(state)
    assert np.array_equal(belief.mean(_ALL), before), "a state changed after it was taken"


def belief_states_go_on_identically(factory: MakeBelief, make_pool: MakePool) -> None:
    for mid_step in (False, True):
        belief, other = (factory(make_pool(_ALL.tolist())) for _ in range(2))
        play(belief, random_groups(3, 6))
        if mid_step:
            observe_groups(belief, [(1, 3, 8), (9, 0, 4)])
        other.load_state_dict(through_a_file(belief.state_dict()))
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
    close(other.mean(remap[kept]), belief.mean(_ALL[kept]), 1e-12, "a belief must follow the ids into another pool")
    other.advance()
    assert np.isfinite(other.mean(np.arange(len(ids)))).all()


def a_pool_may_grow(factory: MakeBelief, make_pool: MakePool) -> None:
    pool, larger = make_pool(_ALL.tolist()), make_pool([*_ALL.tolist(), 51, 52])
    belief = play(factory(pool), random_groups(6, 5))
    before = belief.mean(_ALL)
    categories, features, known = columns(larger, slice(_SIZE, _SIZE + 2))
    rows = pool.extend([51, 52], None if categories is None else ["0 new", categories[1]], features, known)
    belief.grow()
    close(belief.mean(_ALL), before, 1e-12, "growth changed the belief about earlier prompts")
    belief.observe(rows, np.array([8, 0]), np.array([8, 8]))
    belief.advance()
    mean = belief.mean(rows)
    assert mean[0] > mean[1], "new prompts must learn from their rollouts"


def wrong_steps_change_no_belief(factory: MakeBelief, make_pool: MakePool) -> None:
    belief = play(factory(make_pool(_ALL.tolist())), random_groups(3, 6))
    observe_groups(belief, [(1, 3, 8), (9, 0, 4)])
    refuse_steps(belief)


BELIEF_LAWS: tuple[Callable[[MakeBelief, MakePool], None], ...] = (
    rates_are_proper,
    a_prompt_s_numbers_do_not_depend_on_the_others_read,
    groups_of_one_call_count_as_those_of_several,
    order_within_a_step_does_not_matter,
    a_prompts_own_group_counts_at_once,
    reading_changes_nothing,
    several_steps_are_one_after_the_other,
    late_results_count_no_more_than_prompt_ones,
    a_belief_state_is_a_snapshot,
    belief_states_go_on_identically,
    belief_states_follow_the_ids,
    a_pool_may_grow,
    wrong_steps_change_no_belief,
)
