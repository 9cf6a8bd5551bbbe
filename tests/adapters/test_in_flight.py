"""Prompts that a trainer takes piecemeal: the clock, refused calls, losses, late and unknown results, resume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise import Curriculum, PromptPool, gates
from edgewise.adapters.in_flight import InFlight
from edgewise.adapters.prompts import unique_pool
from edgewise.adapters.success import Success
from edgewise.errors import CheckpointError, ConfigError, PoolError, RewardError

K = 4


def made(n: int = 10, curriculum: object = "mopps", **options: object) -> InFlight:
    return InFlight(PromptPool([f"p{i}" for i in range(n)]), curriculum, K, **options)  # type: ignore[arg-type]


def test_a_refused_call_leaves_what_is_to_be_handed_out_first():
    first = made()
    first.select(10, 0)
    again = made()
    again.load_state_dict(first.state_dict())
    with pytest.raises(PoolError):
        again.select(12, 1)
    assert sorted(again.select(10, 1)) == list(range(10))


def test_the_clock_follows_the_trainer_however_often_it_selects():
    here = made(100)
    for step in (5, 5, 5, 6, 9, 9):
        here.select(2, step)
    assert here.curriculum.steps == 1 + 4


def test_partial_unknown_and_lost_results():
    here = made()
    rows = here.select(3, 0)
    rollouts = np.array([rows[0]] * 4 + [rows[1]] * 2 + [rows[2]] * 4)
    correct = np.array([1, 0, np.nan, 1, 1, 0, np.nan, np.nan, np.nan, np.nan])
    order = np.random.default_rng(0).permutation(10)
    trained = here.observe(rollouts[order], np.full(10, -3.0), correct[order], np.full(10, 7))
    assert trained.tolist() == sorted(rows)
    numbers = here.metrics()
    assert (numbers["rollouts"], numbers["unscored_rollouts"], numbers["forgotten"]) == (5, 5, 1)
    assert numbers["tokens"] == 35
    assert numbers["in_flight"] == 0


def test_a_result_of_a_prompt_that_was_never_selected_is_counted_and_changes_nothing():
    here = made()
    before = here.curriculum.predict()
    here.observe(np.array([3, 3]), np.array([1.0, 1.0]))
    assert here.metrics()["unmatched_groups"] == 1
    assert np.array_equal(here.curriculum.predict(), before)


def test_a_refused_result_changes_nothing():
    here = made()
    rows = here.select(2, 0)
    with pytest.raises(RewardError):
        here.observe(np.repeat(rows, K), np.full(2 * K, 2.0))
    assert here.metrics()["in_flight"] == 2
    assert here.metrics()["unscored_rollouts"] == 0


ACTIONS = st.lists(st.sampled_from(["select", "observe", "lose", "step", "save"]), max_size=60)


@settings(max_examples=40)
@given(ACTIONS, st.integers(0, 2**32 - 1), st.sampled_from([1, 4]))
def test_nothing_is_handed_out_twice_and_every_result_counts_once(actions, seed, ahead):
    rng, step = np.random.default_rng(seed), 0
    here, out, observed = made(30, patience=2, ahead=ahead), [], 0
    for action in actions:
        if action == "step":
            step += 1
        elif action == "select" and len(here.curriculum.in_flight) < 25:
            here.advance(step)  # what is overdue may come again
            out = [row for row in out if row in here.curriculum.in_flight]
            rows = here.select(3, step).tolist()
            assert not set(rows) & set(out)
            assert set(rows) <= set(here.curriculum.in_flight)
            out = sorted({*out, *rows})
        elif action == "observe" and out:
            k, row = int(rng.integers(1, K + 1)), out.pop(rng.integers(len(out)))
            here.observe(np.full(k, row), rng.integers(0, 2, k).astype(float))
            observed += k
        elif action == "lose" and out:
            here.forget(np.array([out.pop()]))
        elif action == "save":
            state, here = here.state_dict(), made(30, patience=2, ahead=ahead)
            here.load_state_dict(state)
            out = []  # what was in flight is served again
        if rng.random() < 0.3:
            assert here.metrics()["rollouts"] == observed
    assert here.metrics()["rollouts"] == observed


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["edge", "mopps"]))
def test_groups_that_wait_for_the_next_selection_are_observed_as_if_they_had_not(seed, rule):
    """Only the size of a selection differs: the same blocks, with each group observed at once, give the same state."""
    rng, step = np.random.default_rng(seed), 0
    waits, plain = made(40, rule, patience=2, ahead=8), made(40, rule, patience=2)
    block, out = [], []
    for _ in range(60):
        step += int(rng.integers(0, 4) == 0)
        if rng.random() < 0.5 and len(out) < 20:
            waits.advance(step)
            plain.advance(step)
            block = [row for row in block if row in plain.curriculum.in_flight]
            if not block:
                free = 40 - len(plain.curriculum.in_flight)
                block = plain.select(min(8, free), step).tolist()
            row = int(waits.select(1, step)[0])
            assert row == block.pop(0)
            out.append(row)
        elif out:
            row, scores = out.pop(rng.integers(len(out))), rng.integers(0, 2, K).astype(float)
            for one in (waits, plain):
                assert one.observe(np.full(K, row), scores, lengths=np.full(K, 3)).tolist() == [row]
    numbers, others = waits.metrics(), plain.metrics()
    # The one number that weights groups by their order, which is by row within those observed together.
    for one in (numbers, others):
        one.pop("oversampling_factor", None)
    assert numbers == pytest.approx(others, rel=1e-9)
    np.testing.assert_allclose(waits.curriculum.predict(), plain.curriculum.predict(), rtol=1e-9)


def test_groups_that_wait_beside_a_refused_one_are_evidence_still():
    here = made(ahead=8)
    first, bad, last = (int(here.select(1, 0)[0]) for _ in range(3))
    for row, rewards in ((first, np.ones(K)), (bad, np.full(K, np.nan)), (last, np.zeros(K))):
        here.observe(np.full(K, row), rewards)
    with pytest.raises(RewardError, match=f"p{bad}"):
        here.metrics()
    assert here.metrics()["rollouts"] == 2 * K
    assert here.curriculum.expects(here.pool.ids[[first, bad, last]]).tolist() == [False, True, False]
    state = here.state_dict()
    assert made(ahead=8).load_state_dict(state) is None


def test_groups_with_and_without_correctness_may_wait_together():
    here = made(ahead=8)
    rows = [int(here.select(1, 0)[0]) for _ in range(4)]
    wrong = np.zeros(K)
    # Rewards of 1 that are not correct, and one of unknown correctness.
    here.observe(np.full(K, rows[0]), np.ones(K), correct=wrong)
    here.observe(np.full(K, rows[1]), np.ones(K))
    here.observe(np.full(K, rows[2]), np.ones(K), correct=np.where(np.arange(K) == 0, np.nan, 0.0))
    numbers = here.metrics()
    assert numbers["rollouts"] == 3 * K - 1
    assert numbers["unscored_rollouts"] == 1
    assert numbers["success_rate"] == pytest.approx(K / (3 * K - 1))


def test_a_gate_decides_at_once_whatever_is_selected_ahead():
    def gated(pool):
        return Curriculum(pool, "uniform", rollouts=K, gates=gates.Informative(max_rounds=1))

    here = made(20, gated, ahead=8)
    first, second = here.select(2, 0)
    assert here.observe(np.full(K, first), np.ones(K)).tolist() == []
    assert here.observe(np.full(K, second), np.array([1.0, 0, 0, 1])).tolist() == [second]


def test_a_small_pool_is_not_selected_ahead_beyond_its_end():
    here = made(5, ahead=8)
    assert sorted(int(here.select(1, 0)[0]) for _ in range(5)) == list(range(5))
    with pytest.raises(PoolError, match="in flight"):
        here.select(1, 0)


def test_what_is_rolled_out_anew_after_a_resume_is_as_if_selected_then():
    first = made(patience=4)
    rows = first.select(3, 0)
    first.select(1, 4)
    # With other numbers of rollouts, such as twice as many.
    again = InFlight(first.pool, "mopps", 2 * K, patience=4)
    again.load_state_dict(first.state_dict(), waiting=rows[2:])
    assert again.select(2, 4).tolist() == rows[:2].tolist()
    again.advance(6)
    again.observe(np.repeat(rows[:2], 2 * K), np.ones(4 * K))
    numbers = again.metrics()
    assert (numbers["rollouts"], numbers["staleness"]) == (4 * K, 2)
    # What did not die is as old as it was.
    assert numbers["forgotten"] == 1
    assert rows[2] not in again.curriculum.in_flight


def test_no_more_is_selected_ahead_than_a_quota_leaves():
    pool = PromptPool(range(30), ["algebra"] * 5 + ["sets"] * 25)
    quota = {"algebra": 1.0}
    here = InFlight(pool, lambda pool: Curriculum(pool, rollouts=K, quota=quota), K, ahead=8)
    assert here.curriculum.available == 5
    assert sorted(int(here.select(1, 0)[0]) for _ in range(5)) == list(range(5))
    with pytest.raises(PoolError, match="in categories with a share are in flight"):
        here.select(1, 0)


@pytest.mark.parametrize(
    ("curriculum", "message"),
    [
        (3, "name of a selector or a function"),
        (lambda pool: Curriculum(pool, rollouts=8), "make the curriculum with rollouts=4"),
        (lambda pool: Curriculum(pool, rollouts=K, gates=gates.Informative()), "max_rounds=1"),
        ("edge+ds", "max_rounds=1"),
    ],
)
def test_a_curriculum_that_does_not_fit(curriculum, message):
    with pytest.raises(ConfigError, match=message):
        made(curriculum=curriculum)


def test_a_state_that_does_not_fit():
    with pytest.raises(CheckpointError, match="saved without a curriculum"):
        made().load_state_dict({})
    with pytest.raises(CheckpointError, match="selector 'mopps', this curriculum has 'edge'"):
        made(curriculum="edge").load_state_dict(made().state_dict())


@pytest.mark.parametrize(
    ("ids", "labels", "message"),
    [
        ([{"k": 1}, {"k": 2}], None, r"row 0 has the dict \{'k': 1\} as its id"),
        (["a", None], None, r"row 1 has the NoneType None as its id \(column 'id'\): ids are int or str; name another"),
        ([17.0, float("nan")], None, "row 0 has the float 17.0 as its id"),
        ([b"a", b"b"], None, "row 0 has the bytes b'a' as its id"),
        ([True, False], None, "row 0 has the bool True as its id"),
        ([1, 2], [["algebra"], ["sets"]], "a category is one label a prompt"),
        ([1, 2], ["algebra", ["algebra", "sets"]], "row 1 has the list"),
        ([1, 1], None, "rows 0 and 1 have the same id 1"),
    ],
)
def test_ids_and_labels_that_do_not_fit_get_one_sentence(ids, labels, message):
    with pytest.raises(ConfigError, match=message):
        unique_pool(ids, labels, "column 'id'", "name another")


@pytest.mark.parametrize("rule", ["0.9", float("nan"), True, [1], float("inf")])
def test_a_success_rule_that_is_none_is_refused_when_it_is_made(rule):
    for names in ((), None):
        with pytest.raises(ConfigError, match="success"):
            Success(rule, names)


@given(st.lists(st.sampled_from([True, False, None, float("nan")]), min_size=1, max_size=20))
def test_a_success_function_may_leave_rollouts_open(given_values):
    n = len(given_values)
    read = Success(lambda rewards: given_values).read(np.zeros(n), np.array(["a"] * n))
    expected = [np.nan if value is None else float(value) for value in given_values]
    np.testing.assert_array_equal(read, expected)


def test_a_success_function_may_return_values_of_tensors():
    torch = pytest.importorskip("torch")
    ids, right = np.array(["a", "a"]), torch.tensor([True, False])
    for given_values in (right, list(right), [right[:1], right[1:]], list(right.numpy())):
        assert Success(lambda _, given=given_values: given).read(np.zeros(2), ids).tolist() == [1, 0]
    with pytest.raises(RewardError, match="2 bools"):
        Success(lambda _: [right, right]).read(np.zeros(2), ids)
