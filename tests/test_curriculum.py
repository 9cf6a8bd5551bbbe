import copy
import multiprocessing
import threading

import numpy as np
import pytest

import edgewise as ew
from edgewise import Curriculum, PromptPool
from edgewise.allocation import Allocation, make_allocation
from edgewise.errors import CheckpointError, ConfigError, PoolError, RewardError
from edgewise.gates import Gate, Informative


def make(size=40, selector="mopps", **options):
    pool = PromptPool([f"p{i}" for i in range(size)], [str(i % 3) for i in range(size)])
    return Curriculum(pool, selector, **{"rollouts": 4, **options})


def rewards_of(batch, number=0):
    """Deterministic, mixed rewards that depend on the prompt and the step only."""
    rng = np.random.default_rng([number, 5])
    rates = np.array([int(str(i)[1:]) * 7 % 11 / 10 for i in batch.ids])
    return (rng.random(int(batch.rollouts.sum())) < np.repeat(rates, batch.rollouts)).astype(float)


def group(outcome, k=4):
    return {"wrong": [0.0] * k, "right": [1.0] * k, "mixed": [1.0] + [0.0] * (k - 1)}[outcome]


def groups(*outcomes):
    return np.concatenate([np.empty(0), *[group(outcome) for outcome in outcomes]])


def steps(curriculum, count, n=6, first=0):
    chosen = []
    for number in range(first, first + count):
        batch = curriculum.select(n)
        chosen.append(batch.ids.tolist())
        curriculum.observe(batch, rewards_of(batch, number))
    return chosen


def snapshot(curriculum):
    def plain(value):
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return value.tolist() if isinstance(value, np.ndarray) else value

    return plain(curriculum.state_dict())


def test_a_batch_describes_itself():
    curriculum = make(random_share=0.5)
    batch = curriculum.select(10)
    assert len(batch) == 10
    assert batch.ids.tolist() == curriculum.pool.ids[batch.rows].tolist()
    assert batch.rollouts.tolist() == [4] * 10
    assert batch.predicted.tolist() == [0.5] * 10
    assert sorted(curriculum.in_flight) == sorted(batch.rows)
    assert "10 prompts, 40 rollouts" in repr(batch)
    assert len({batch, batch.take([0])}) == 2


def test_a_batch_is_taken_apart_by_positions_and_by_masks():
    batch = make().select(3)
    assert batch.take([2, 0]).ids.tolist() == batch.ids[[2, 0]].tolist()
    assert batch.take(np.array([True, False, True])).ids.tolist() == batch.ids[[0, 2]].tolist()
    assert len(batch.take([])) == 0
    for bad in ([True, False], np.array([0.0]), [[0]], [3], ["a"]):
        with pytest.raises(RewardError):
            batch.take(bad)


BAD = [
    (lambda b: [np.nan] + [0.0] * 23, "{id}.*nan"),
    (lambda b: [0.0] * 4 + [np.inf] + [0.0] * 19, "p.*inf"),
    (lambda b: [1.5] + [0.0] * 23, "{id}.*1.5"),
    (lambda b: [-0.1] + [0.0] * 23, "{id}.*-0.1"),
    (lambda b: [0.0] * 23, "expected 24 rewards"),
    (lambda b: np.zeros((4, 6)), "expected 24"),
    (lambda b: ["1"] * 24, "numbers"),
    (lambda b: [None] + [1.0] * 23, "{id}.*nan"),
    (lambda b: [[0.0] * 4] * 5 + [[0.0] * 3], "has 3 rewards, 4"),
    (lambda b: np.zeros((6, 3)), "has 3 rewards, 4"),
    (lambda b: [[0.0] * 4] * 5 + [[]], "has 0 rewards, 4 rollouts were selected; leave it out, and forget it"),
]


@pytest.mark.parametrize(("rewards", "message"), BAD)
def test_bad_rewards_name_the_prompt_and_change_nothing(rewards, message):
    curriculum = make(gates="informative")
    steps(curriculum, 2)
    batch = curriculum.select(6)
    before = snapshot(curriculum)
    with pytest.raises(RewardError, match=message.format(id=batch.ids[0])):
        curriculum.observe(batch, rewards(batch))
    assert snapshot(curriculum) == before
    curriculum.observe(batch, rewards_of(batch))


@pytest.mark.parametrize(
    "options",
    [
        {"correct": [1] * 23},
        {"correct": [0.5] * 24},
        {"correct": [None] + [1.0] * 23},
        {"correct": ["yes"] * 24},
        {"lengths": [-1] * 24},
        {"lengths": [1.5] * 24},
        {"lengths": [3] * 23},
        {"rollouts": [5] * 6},
        {"rollouts": [0] * 6},
    ],
)
def test_bad_correctness_lengths_and_counts_change_nothing(options):
    curriculum = make()
    batch = curriculum.select(6)
    before = snapshot(curriculum)
    with pytest.raises(RewardError):
        curriculum.observe(batch, np.zeros(24), **options)
    assert snapshot(curriculum) == before


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("threshold", [0.9, 0.1, 0.3, 1.0])
def test_a_reward_of_exactly_the_threshold_is_correct_in_every_precision(dtype, threshold):
    curriculum = make(success_threshold=threshold)
    batch = curriculum.select(2)
    rewards = np.full((2, 4), threshold, dtype)
    if dtype == np.float16 and threshold not in (1.0,):
        rewards = np.full((2, 4), np.float32(threshold))
    assert curriculum.observe(batch, rewards).successes.tolist() == [4, 4]


def test_sums_of_parts_that_miss_the_threshold_by_float_noise_are_correct():
    curriculum = make(success_threshold=1.0)
    batch = curriculum.select(2)
    assert curriculum.observe(batch, np.full((2, 4), 0.7 + 0.2 + 0.1)).successes.tolist() == [4, 4]


@pytest.mark.parametrize("value", [np.float32(1.0000001), sum([0.05] * 20), -1e-9, 1 + 5e-7])
def test_float_noise_outside_the_range_is_clipped(value):
    curriculum = make(gates=Informative(by="reward", max_rounds=1))
    batch = curriculum.select(2)
    feedback = curriculum.observe(batch, np.full((2, 4), value))
    assert feedback.successes.tolist() == ([4, 4] if value > 0.5 else [0, 0])
    assert not feedback.admitted.any()


def test_rewards_come_as_tensors_and_columns():
    torch, pd = pytest.importorskip("torch"), pytest.importorskip("pandas")
    curriculum = make(rollouts=2)
    for rewards in (
        torch.ones(4, dtype=torch.bfloat16),
        torch.ones(2, 2, requires_grad=True),
        [torch.tensor(1.0, dtype=torch.bfloat16)] * 4,
        pd.Series([1.0] * 4),
        [[1, 1], (True, 1.0)],
        [np.ones(2), np.ones(2)],
        np.array([1, True, 1.0, np.float32(1)], object),
        np.array([[1, 1], [1, 1]], object),
        pd.Series([1, 1, 1.0, True], dtype=object),
    ):
        batch = curriculum.select(2)
        assert curriculum.observe(batch, rewards).successes.tolist() == [2, 2]
    uneven = np.array([None, None], object)
    uneven[:] = [[1, 0], np.ones(1)]
    assert curriculum.observe(curriculum.select(2).ids, uneven).trials.tolist() == [2, 1]
    batch = curriculum.select(2)
    with pytest.raises(RewardError, match=f"prompt {batch.ids[1].item()!r} has reward nan"):
        curriculum.observe(batch, np.array([1, 0, None, 1], object))


def test_results_are_observed_by_id_or_row_in_any_order_and_in_part():
    curriculum = make()
    batch = curriculum.select(4)
    a, b, c, _ = batch.ids.tolist()
    assert curriculum.observe([c, a], groups("right", "wrong")).successes.tolist() == [4, 0]
    assert curriculum.observe(batch.rows[[3]], groups("mixed")).successes.tolist() == [1]
    assert curriculum.pool.ids[curriculum.in_flight].tolist() == [b]
    with pytest.raises(RewardError, match=c):
        curriculum.observe([c], groups("right"))
    numbered = Curriculum(PromptPool([30, 10, 20]), "uniform", rollouts=1)
    numbered.select(3)
    numbered.observe([10], [1.0])  # an id, not a row
    assert sorted(numbered.pool.ids[numbered.in_flight].tolist()) == [20, 30]


def test_correctness_is_apart_from_the_reward():
    class Seen(Gate):
        def admit(self, groups):
            self.groups = groups
            return groups.means() > 0.3

    gate = Seen(max_rounds=1)
    curriculum = make(gates=[gate], rollouts=2)
    batch = curriculum.select(3)
    feedback = curriculum.observe(
        batch, [0.9, 0.8, 0.1, 0.2, 0.4, 0.4], correct=[0, 0, 1, 0, 1, 1], lengths=[5, 6, 7, 8, 9, 1]
    )
    assert feedback.successes.tolist() == [0, 1, 2]
    assert feedback.informative.tolist() == [False, True, False]
    assert feedback.admitted.tolist() == [True, False, True]
    assert gate.groups.rewards.tolist() == [0.9, 0.8, 0.1, 0.2, 0.4, 0.4]
    assert gate.groups.ids.tolist() == batch.ids.tolist()
    metrics = curriculum.metrics()
    assert (metrics["tokens"], metrics["wasted_tokens"], metrics["wasted_rollouts"]) == (36, 21, 4)


def test_prompts_that_are_not_in_flight_change_nothing():
    curriculum = make(gates="informative")
    first = curriculum.select(4)
    curriculum.observe(first, rewards_of(first))
    third = curriculum.select(4)
    foreign = make(seed=3).select(4)
    before = snapshot(curriculum)
    for batch in (first, foreign):
        with pytest.raises(RewardError, match="p"):
            curriculum.observe(batch, np.zeros(4 * len(batch)))
    with pytest.raises(PoolError, match="more than once"):
        curriculum.observe(third.take([0, 0]), np.zeros(8))
    with pytest.raises(RewardError, match=str(third.ids[1])):
        curriculum.observe(third.take([0, 1], [1, 5]), np.zeros(6))
    with pytest.raises(RewardError, match="p"):
        curriculum.forget(first)
    with pytest.raises(PoolError, match="stranger"):
        curriculum.observe(["stranger"], [1.0])
    assert snapshot(curriculum) == before


@pytest.mark.parametrize("n", [-1, 1.5, 41, 36, "3", None])
def test_a_select_that_fails_changes_nothing(n):
    curriculum = make(gates="informative", random_share=0.2)
    curriculum.select(5)
    before = snapshot(curriculum)
    with pytest.raises(PoolError):
        curriculum.select(n)
    assert snapshot(curriculum) == before


def test_too_large_a_batch_is_told_apart_from_too_many_in_flight():
    curriculum = make(9)
    with pytest.raises(PoolError, match="the pool has 9"):
        curriculum.select(16)
    curriculum.select(5)
    with pytest.raises(PoolError, match="5 of the 9 are in flight"):
        curriculum.select(5)


def test_an_empty_batch():
    curriculum = make(gates="informative")
    batch = curriculum.select(0)
    feedback = curriculum.observe(batch, [])
    assert feedback.admitted.tolist() == []
    assert (feedback.shortfall, feedback.surplus, feedback.exhausted) == (0, 0, False)
    assert len(curriculum.select(3)) == 3


def test_refill_until_the_step_is_full():
    curriculum = make(gates="informative")
    first = curriculum.select(4)
    feedback = curriculum.observe(first, groups("mixed", "wrong", "right", "wrong"))
    assert feedback.admitted.tolist() == [True, False, False, False]
    assert feedback.shortfall == 3
    second = curriculum.select(feedback.shortfall)
    assert not set(first.rows) & set(second.rows)
    assert curriculum.observe(second, groups("mixed", "wrong", "mixed")).shortfall == 1
    third = curriculum.select(5)
    feedback = curriculum.observe(third, groups(*["mixed"] * 3, *["wrong"] * 2))
    assert (feedback.shortfall, feedback.surplus, feedback.exhausted) == (0, 2, False)
    assert curriculum.metrics()["rounds"] == 3
    assert curriculum.metrics()["effective_ratio"] == 6 / 12
    # What was kept counts for the next step.
    fourth = curriculum.select(4)
    feedback = curriculum.observe(fourth, groups("mixed", "mixed", "wrong", "wrong"))
    assert (feedback.shortfall, feedback.surplus) == (0, 0)
    assert curriculum.metrics()["steps"] == 2


def test_rounds_select_the_shortfall_or_a_whole_batch():
    outcomes = iter(["mixed", "wrong", "right", "wrong", "mixed", "mixed", "wrong", "mixed", *["mixed"] * 20])
    sizes, admitted = [], 0
    curriculum = make(gates=Informative(refill="shortfall"))
    for batch in curriculum.rounds(4):
        sizes.append(len(batch))
        admitted += curriculum.observe(batch, groups(*(next(outcomes) for _ in batch.ids))).admitted.sum()
    assert (sizes, admitted, curriculum.steps) == ([4, 3, 1], 4, 1)
    curriculum, sizes = make(gates=Informative(refill="batch")), []
    for batch in curriculum.rounds(4):
        sizes.append(len(batch))
        feedback = curriculum.observe(batch, groups("mixed", "mixed", "mixed", "wrong"))
    assert (sizes, feedback.surplus) == ([4, 4], 2)
    assert [len(batch) for batch in make().rounds(5)] == [5]


def test_rounds_of_whole_multiples_ask_for_no_more_groups_than_are_wanted():
    curriculum = make(gates="informative")
    outcomes = iter([*["mixed"] * 9, *["wrong"] * 7, *["mixed"] * 8])
    sizes = []
    for batch in curriculum.rounds(10, multiple=8):
        sizes.append(len(batch))
        feedback = curriculum.observe(batch, groups(*(next(outcomes) for _ in batch.ids)))
    assert (sizes, feedback.surplus) == ([16, 8], 7)
    assert len(next(curriculum.rounds(10, multiple=8))) == 16
    assert len(next(make().rounds(5, multiple=4))) == 8


def test_groups_that_come_a_step_late_are_no_surplus_of_all_steps():
    curriculum, surplus = make(200, "uniform", gates="informative"), []
    batch = curriculum.select(4)
    for _ in range(6):
        curriculum.advance()
        surplus.append(curriculum.observe(batch, groups(*["mixed"] * 4)).surplus)
        batch = curriculum.select(4)
    assert surplus == [4] * 6


def test_rounds_that_find_too_few_prompts_take_those_there_are():
    curriculum, sizes = make(6, gates=Informative(max_rounds=3)), []
    for batch in curriculum.rounds(6):
        sizes.append(len(batch))
        feedback = curriculum.observe(batch, groups(*["wrong"] * len(batch)))
    assert sizes == [6, 6, 6]
    assert feedback.exhausted


def test_a_step_stays_exhausted_whatever_used_up_its_rounds():
    """Losses may end the last round, and what is observed after them is of a step that stays short all the same."""
    curriculum = make(gates=Informative(max_rounds=1))
    batch = curriculum.select(2)
    lost, left = batch.take([0]), batch.take([1])
    assert not curriculum.observe(left, groups("wrong")).exhausted
    curriculum.forget(lost)
    assert curriculum.observe(lost, groups("mixed")).exhausted
    assert curriculum.metrics()["exhausted_steps"] == 1


def test_a_step_that_cannot_be_filled_is_exhausted():
    curriculum = make(gates=Informative(max_rounds=3))
    for number in range(3):
        feedback = curriculum.observe(curriculum.select(4), groups(*["wrong"] * 4))
        assert feedback.exhausted == (number == 2)
    assert feedback.shortfall == 0
    curriculum.select(4)
    assert curriculum.metrics()["steps"] == 2
    assert curriculum.metrics()["exhausted_steps"] == 1


@pytest.mark.parametrize("lost_first", [True, False])
def test_lost_prompts_are_missing_whenever_they_are_given_up(lost_first):
    curriculum = make(100, "uniform", gates="informative")
    batch = curriculum.select(8)
    if lost_first:
        assert curriculum.forget(batch.take([4, 5, 6, 7])) == 0  # the others are still in flight
    feedback = curriculum.observe(batch.take([0, 1, 2, 3]), groups(*["mixed"] * 4))
    if not lost_first:
        assert feedback.shortfall == 0
        assert curriculum.forget(batch.take([4, 5, 6, 7])) == 4
    assert curriculum.shortfall == 4
    curriculum.select(4)
    assert curriculum.steps == 1


def test_a_late_result_is_evidence_and_does_not_train_where_its_place_was_filled():
    curriculum = make(gates=Informative(max_rounds=1))
    batch = curriculum.select(4)
    curriculum.forget(batch.ids[:2])
    again = curriculum.select(38)  # all others, the forgotten ones included
    assert set(batch.ids[:2]) <= set(again.ids)
    feedback = curriculum.observe(batch.take([0]), groups("mixed"))  # by batch: the forgotten one
    assert feedback.late.tolist() == [True]
    assert not feedback.admitted.any()
    assert curriculum.predict(batch.rows[:1]) != 0.5
    feedback = curriculum.observe(batch.ids[:1], groups("mixed"))  # by id: the one in flight
    assert feedback.late.tolist() == [False]
    assert feedback.admitted.all()
    with pytest.raises(RewardError, match="not in flight"):
        curriculum.observe(batch.ids[:1], groups("mixed"))
    metrics = curriculum.metrics()
    assert (metrics["late_groups"], metrics["forgotten"]) == (1, 2)


def test_a_late_group_of_an_asynchronous_run_trains_if_the_gate_admits_it():
    """Discarding late groups starves slow, hard prompts (tinker-cookbook#822, marin#8955): the trainer judges their age."""
    curriculum = make(gates=Informative(max_rounds=1))
    curriculum.advance(0)
    batch = curriculum.select(3)
    curriculum.forget(batch)
    curriculum.advance(4)
    feedback = curriculum.observe(batch, groups("mixed", "wrong", "mixed"))
    assert feedback.late.all()
    assert feedback.admitted.tolist() == [True, False, True]
    assert curriculum.metrics()["staleness"] == 4


def test_a_trainer_that_draws_on_by_itself_is_not_said_to_be_short(caplog):
    """With max_rounds=1 and a clock of its own, a trainer refills without the curriculum: no step "stays at x of y"."""
    curriculum = make(gates=Informative(max_rounds=1))
    for _ in range(5):
        curriculum.advance()
        feedback = curriculum.observe(curriculum.select(1), groups("wrong"))
        assert (feedback.shortfall, feedback.exhausted) == (0, False)
    assert curriculum.metrics()["exhausted_steps"] == 0
    assert "stays at" not in caplog.text
    # A synchronous loop is short of them, which is logged.
    other = make(gates=Informative(max_rounds=1))
    assert other.observe(other.select(1), groups("wrong")).exhausted
    assert "stays at 0 of 1 groups" in caplog.text


def test_staleness_is_counted_in_policy_steps():
    curriculum = make()
    curriculum.advance()
    first, second = curriculum.select(2), curriculum.select(1)
    curriculum.observe(second, groups("mixed"))
    assert curriculum.metrics()["staleness"] == 0
    curriculum.advance(3)
    curriculum.observe(first, groups("mixed", "right"))
    metrics = curriculum.metrics()
    assert (metrics["staleness"], metrics["mean_staleness"]) == (3, 2)
    synchronous = make()
    synchronous.observe(synchronous.select(1), groups("mixed"))
    assert not {"staleness", "mean_staleness"} & synchronous.metrics().keys()


def test_evidence_of_a_late_result_counts_less_with_its_age():
    def belief(delay):
        curriculum = make(300, "edge")
        batch = curriculum.select(1)
        curriculum.advance(delay)
        curriculum.observe(batch, group("right"))
        curriculum.advance()
        return curriculum.predict(batch.rows)[0]

    assert belief(0) > belief(400) > belief(4000)


class Clock:
    def __init__(self, curriculum):
        self.ages, advance = [], curriculum.selector.advance
        curriculum.selector.advance = lambda steps=1: (self.ages.append((curriculum.steps, steps)), advance(steps))


def test_a_synchronous_loop_needs_no_clock():
    curriculum = make()
    clock = Clock(curriculum)
    curriculum.forget(curriculum.select(3))
    assert curriculum.steps == 1
    steps(curriculum, 3)
    assert curriculum.steps == 4
    assert clock.ages == [(3, 1), (4, 1)]  # nothing was observed before step 2


def test_an_asynchronous_loop_ages_nothing_until_it_advances():
    curriculum = make(200)
    clock, flying = Clock(curriculum), []
    for number in range(40):
        flying.append(curriculum.select(2))
        if len(flying) > 3:
            batch = flying.pop(0)
            curriculum.observe(batch, rewards_of(batch, number))
    assert (curriculum.steps, clock.ages) == (1, [])
    curriculum.advance()
    curriculum.advance(3)
    for batch in flying:
        curriculum.observe(batch, rewards_of(batch))
    curriculum.select(2)
    assert (curriculum.steps, clock.ages) == (5, [(2, 1), (5, 3)])
    with pytest.raises(ConfigError):
        curriculum.advance(-1)


def test_prompts_selected_piecemeal_belong_to_one_step_and_are_not_repeated():
    curriculum = make(size=12)
    first = curriculum.select(2)
    chosen = first.ids.tolist()
    for _ in range(5):
        batch = curriculum.select(2)
        chosen += batch.ids.tolist()
        if batch is not first:
            curriculum.observe(batch, rewards_of(batch))
    assert sorted(chosen) == sorted(curriculum.pool.ids)
    assert curriculum.steps == 1


def test_stale_prompts_are_named():
    curriculum = make()
    old = curriculum.select(2)
    curriculum.advance(2)
    new = curriculum.select(3)
    assert curriculum.stale(2).rows.tolist() == old.rows.tolist()
    assert sorted(curriculum.stale(0).ids) == sorted([*old.ids, *new.ids])
    assert len(curriculum.stale(3)) == 0


def test_what_is_stale_is_given_up_whatever_the_ids_are():
    curriculum = Curriculum(PromptPool(range(7, -1, -1)), "uniform", rollouts=1)
    curriculum.advance(0)
    old = curriculum.select(2)
    curriculum.advance(3)
    new = curriculum.select(6)
    curriculum.forget(curriculum.stale(4))
    assert len(curriculum.in_flight) == 8
    curriculum.forget(curriculum.stale(3))
    assert sorted(curriculum.in_flight) == sorted(new.rows)
    assert curriculum.expects(old.ids).all(), "a late result is still evidence"


def test_a_filter_without_refill_asks_for_nothing():
    curriculum = make(gates=Informative(max_rounds=1))
    for _ in range(3):
        feedback = curriculum.observe(curriculum.select(1), group("right"))
        assert not feedback.admitted.any()
        assert feedback.shortfall == 0


def test_gates_are_combined_and_checked():
    class Odd(Gate):
        def __init__(self):
            super().__init__(max_rounds=1)
            self.seen = 0

        def admit(self, groups):
            self.seen += len(groups)
            return groups.rows % 2 == 1

        def metrics(self):
            return {"odd_seen": self.seen}

        def state_dict(self):
            return {"seen": self.seen}

        def load_state_dict(self, state):
            self.seen = int(state["seen"])

    curriculum = make(gates=["informative", Odd()])
    batch = curriculum.select(6)
    feedback = curriculum.observe(batch, groups(*["mixed", "wrong"] * 3))
    assert feedback.admitted.tolist() == [i % 2 == 0 and row % 2 == 1 for i, row in enumerate(batch.rows.tolist())]
    assert curriculum.metrics()["odd_seen"] == 6
    other = make(gates=["informative", Odd()])
    other.load_state_dict(curriculum.state_dict())
    assert other.metrics()["odd_seen"] == 6
    with pytest.raises(CheckpointError, match="gates"):
        make(gates="informative").load_state_dict(curriculum.state_dict())

    class Broken(Gate):
        def admit(self, groups):
            return [1] * len(groups)

    curriculum = make(gates=Broken())
    batch = curriculum.select(2)
    with pytest.raises(ConfigError, match=r"Broken\.admit must return bool \(2,\)"):
        curriculum.observe(batch, np.zeros(8))
    assert len(curriculum.in_flight) == 2


@pytest.mark.parametrize("gates", ["informativ", ["informative", 3], 3])
def test_unknown_gates_are_refused_at_once(gates):
    with pytest.raises(ConfigError, match="informative"):
        make(gates=gates)


class Watcher:
    def __init__(self):
        self.events = []

    def observed(self, step, rows, successes, trials):
        self.events.append((step, rows.tolist(), successes.tolist(), trials.tolist()))

    def restored(self, step):
        self.events.append(("restored", step))


def test_listeners_follow_what_was_observed_and_restored():
    curriculum, watcher = make(), Watcher()
    curriculum.listeners.append(watcher)
    batch = curriculum.select(3)
    with pytest.raises(RewardError):
        curriculum.observe(batch, [2.0] * 12)
    assert watcher.events == []
    saved = copy.deepcopy(curriculum.state_dict())
    curriculum.observe(batch.take([1, 0], 3), groups("mixed", "wrong")[[0, 1, 2, 4, 5, 6]])
    assert watcher.events == [(1, batch.rows[[1, 0]].tolist(), [1, 0], [3, 3])]
    curriculum.load_state_dict(saved)
    assert watcher.events[1:] == [("restored", 1)]


def test_a_listener_that_fails_does_not_end_the_run(caplog):
    class Broken(Watcher):
        def observed(self, *args):
            raise OSError("disk full")

    curriculum = make()
    curriculum.listeners.append(Broken())
    steps(curriculum, 1)
    assert "disk full" in caplog.text
    assert curriculum.metrics()["rollouts"] == 24


def test_parts_in_any_order_are_the_whole():
    """Processes that each observe every part, in whatever order, continue alike."""
    orders = ([0, 1, 2], [2, 0, 1], None)
    ranks = [make(400, "mopps", gates=Informative(max_rounds=1)) for _ in orders]
    for number in range(6):
        batches = [rank.select(9) for rank in ranks]
        assert batches[0].ids.tolist() == batches[1].ids.tolist() == batches[2].ids.tolist()
        for rank, batch, order in zip(ranks, batches, orders, strict=True):
            rewards = rewards_of(batch, number).reshape(9, 4)
            for part in [np.arange(9)] if order is None else [np.arange(3) + 3 * p for p in order]:
                rank.observe(batch.take(part), rewards[part])
    assert ranks[0].metrics()["rollouts"] == ranks[2].metrics()["rollouts"]
    for other in ranks[1:]:
        assert np.array_equal(ranks[0].predict(), other.predict())


def test_lost_completions_and_single_rollouts():
    curriculum = make(rollouts=1, gates=Informative(max_rounds=1))
    batch = curriculum.select(3)
    feedback = curriculum.observe(batch, [1.0, 0.0, 1.0])
    assert not feedback.admitted.any()  # one rollout is never informative
    assert curriculum.predict(batch.rows).tolist() == pytest.approx([2 / 3, 1 / 3, 2 / 3])
    curriculum = make()
    batch = curriculum.select(3)
    curriculum.observe(batch.take([0], [2]), [1.0, 0.0])
    curriculum.observe(batch.ids[1:2], [1.0, 1.0, 1.0], rollouts=3)
    curriculum.observe(batch.ids[2:], [[1.0, 1.0]])
    assert curriculum.predict(batch.rows).tolist() == pytest.approx([2 / 4, 4 / 5, 3 / 4])
    assert curriculum.in_flight.size == 0


@pytest.mark.parametrize("name", ["knapsack", "cures"])
def test_prompts_get_different_numbers_of_rollouts(name):
    curriculum = make(60, "mopps", rollouts=make_allocation(name, rollouts=6))
    for number in range(4):
        batch = curriculum.select(20)
        assert batch.rollouts.sum() == 120
        feedback = curriculum.observe(batch, rewards_of(batch, number))
        assert feedback.trials.tolist() == batch.rollouts.tolist()
    assert len(set(batch.rollouts.tolist())) > 1


@pytest.mark.parametrize("selector", ["mopps", "edge", "uniform"])
def test_a_pool_of_one_prompt_works(selector):
    curriculum = make(1, selector, gates=Informative(max_rounds=2), random_share=0.5)
    for _ in range(4):
        batch = curriculum.select(1)
        assert curriculum.observe(batch, group("right")).shortfall == 1
        refill = curriculum.select(1)
        assert curriculum.observe(refill, group("right")).exhausted
    assert curriculum.metrics()["mean_effective_ratio"] == 0.0
    assert curriculum.metrics()["mean_success_rate"] == 1.0


@pytest.mark.parametrize("selector", ["edge", "mopps", "dps", "sec", "uniform"])
@pytest.mark.parametrize("by", ["another curriculum", "the pool"])
def test_a_curriculum_follows_a_pool_that_has_grown_without_it(selector, by):
    pool = PromptPool(range(10), ["m", "n"] * 5)
    curriculum, other = Curriculum(pool, selector, rollouts=2, quota={"m": 0.5}), Curriculum(pool, "uniform")
    direct = Curriculum(PromptPool(range(10), ["m", "n"] * 5), selector, rollouts=2, quota={"m": 0.5})
    for each in (curriculum, direct):
        each.observe(each.select(4), np.tile([1.0, 0.0], (4, 1)))
    (other.grow if by == "another curriculum" else pool.extend)(range(10, 30), ["a", "z"] * 10)
    direct.grow(range(10, 30), ["a", "z"] * 10)
    batches = [each.select(8) for each in (curriculum, direct)]
    assert batches[0].ids.tolist() == batches[1].ids.tolist()
    assert (pool.category_index(batches[0].rows) == pool.category_names.index("m") + 1).sum() == 4
    for each, batch in zip((curriculum, direct), batches, strict=True):
        each.observe(batch, np.tile([1.0, 0.0], (8, 1)))
    assert np.array_equal(curriculum.predict(), direct.predict())
    assert snapshot(curriculum) == snapshot(direct)


def test_a_selector_alone_refuses_a_pool_that_has_grown_until_it_has():
    pool = PromptPool(range(4))
    selector = ew.make_selector("mopps", pool)
    pool.extend(range(4, 8))
    for call in (lambda: selector.select(2), lambda: selector.observe([5], [1], 2)):
        with pytest.raises(PoolError, match=r"8 prompts, the selector 4: call its grow\(\)"):
            call()
    selector.grow()
    assert len(selector.select(8)) == 8


def test_a_selector_with_an_observe_of_its_own_is_given_what_the_curriculum_observes():
    class Counting(ew.selectors.EdgeSelector):
        seen = 0

        def observe(self, rows, successes, trials, age=None):
            self.seen += len(rows)
            super().observe(rows, successes, trials, age)

    pool = PromptPool([f"p{i}" for i in range(20)])
    selector = Counting(pool, rollouts=4)
    steps(Curriculum(pool, selector, rollouts=4), 2, n=6)
    assert selector.seen == 12


def test_forgetting_all():
    curriculum = make(10)
    curriculum.select(4)
    curriculum.select(6)
    with pytest.raises(PoolError, match="in flight"):
        curriculum.select(1)
    curriculum.forget()
    assert len(curriculum.select(10)) == 10


def test_quotas_hold_for_every_selection_and_on_average():
    pool = PromptPool(range(300), ["math"] * 100 + ["code"] * 100 + ["chat"] * 50 + [None] * 50)
    curriculum = Curriculum(pool, "edge", rollouts=4, quota={"math": 0.5, "code": 0.3})
    counts = np.zeros(3)
    for _ in range(10):
        batch = curriculum.select(7)
        kinds = pool.category_index(batch.rows)
        counts += [(kinds == pool.category_names.index(name) + 1).sum() for name in ("math", "code", "chat")]
        curriculum.observe(batch, rewards_of_numbers(batch))
    assert counts[0] == 35
    assert counts[1] == 21
    other = Curriculum(pool, "edge", rollouts=4, quota={"math": 0.5, "code": 0.3})
    other.load_state_dict(curriculum.state_dict())
    assert other.select(7).ids.tolist() == curriculum.select(7).ids.tolist()


def rewards_of_numbers(batch):
    return np.random.default_rng(0).random((len(batch), 4)) < 0.5


def test_a_quota_names_categories_as_a_pool_does():
    # What pandas' value_counts gives for a column of numbers with gaps.
    pool = PromptPool(range(30), [1.0, 2.0, None] * 10)
    curriculum = Curriculum(pool, "uniform", quota={1.0: 0.75, np.int64(2): 0.25})
    assert np.bincount(pool.category_index(curriculum.select(12).rows)).tolist() == [0, 9, 3]


def test_a_quota_that_its_category_cannot_serve_goes_to_the_others():
    pool = PromptPool(range(20), ["a"] * 4 + ["b"] * 16)
    curriculum = Curriculum(pool, "uniform", quota={"a": 0.5, "b": 0.5})
    assert np.bincount(pool.category_index(curriculum.select(12).rows)).tolist() == [0, 4, 8]
    strict = Curriculum(pool, "uniform", quota={"a": 1.0})
    before = snapshot(strict)
    with pytest.raises(PoolError, match="has 4 in categories with a share"):
        strict.select(5)
    assert snapshot(strict) == before


@pytest.mark.parametrize("quota", [{"a": 1.0}, {"a": 0.5, "b": 0.5}, {"a": 0.5}])
def test_refills_keep_a_quota_whose_category_has_too_few_untried_prompts(quota):
    pool = PromptPool(range(100), ["a"] * 10 + ["b"] * 90)
    curriculum = Curriculum(pool, "uniform", rollouts=4, gates="informative", quota=quota)
    batches = []
    for batch in curriculum.rounds(8):
        batches.append(batch.rows)
        curriculum.observe(batch, np.zeros((8, 4)))
    assert len(batches) == 10
    assert [(rows < 10).sum() for rows in batches] == [8 * quota["a"]] * 10
    others = np.concatenate([rows[rows >= 10] for rows in batches])
    assert len(set(others)) == len(others), "those that are many are not tried twice"


def test_a_refused_quota_leaves_the_random_state_alone():
    pool = PromptPool(range(20), ["a"] * 4 + ["b"] * 16)
    curriculum = Curriculum(pool, "uniform", quota={"a": 1.0}, random_share=0.5)
    before = snapshot(curriculum)
    with pytest.raises(PoolError):
        curriculum.select(5)
    assert snapshot(curriculum) == before
    assert sorted(curriculum.select(4).rows) == [0, 1, 2, 3], "the random share too is of what the quota allows"
    with pytest.raises(PoolError, match="4 of the 4 in categories with a share are in flight"):
        curriculum.select(1)


@pytest.mark.parametrize("options", [{"quota": {"a": 0.5, "b": 0.25}}, {"random_share": 0.5}])
def test_parts_of_a_batch_come_in_random_order(options):
    pool = PromptPool(range(400), ["a", "b", "c", "d"] * 100)
    curriculum, first = Curriculum(pool, "uniform", **options), []
    for _ in range(60):
        batch = curriculum.select(4)
        first.append((batch.rows[0] % 4 == 0) if "quota" in options else batch.random[0])
        curriculum.forget(batch)
    assert 15 < sum(first) < 45


@pytest.mark.parametrize("quota", [{"a": 0.7, "b": 0.7}, {"c": 0.5}, {"a": -0.1}, {}, {"a": 0.2, "b": 0.2}])
def test_quotas_that_cannot_hold_are_refused(quota):
    with pytest.raises(ConfigError):
        Curriculum(PromptPool(range(4), ["a", "a", "b", "b"]), "uniform", quota=quota)
    with pytest.raises(ConfigError, match="categories"):
        Curriculum(PromptPool(range(4)), "uniform", quota={"a": 0.5})


def test_threads_share_a_curriculum():
    pool = PromptPool(range(400), [i % 5 for i in range(400)])
    curriculum, errors, selected = Curriculum(pool, "edge", rollouts=4), [], []

    def work(seed):
        rng = np.random.default_rng(seed)
        try:
            for _ in range(25):
                batch = curriculum.select(4)
                selected.append(len(batch))
                curriculum.observe(batch, rng.random((4, 4)) < 0.5)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert curriculum.in_flight.size == 0
    assert np.isfinite(curriculum.predict()).all()
    assert curriculum.metrics()["rollouts"] == 8 * 25 * 16


def _select_in_child(curriculum, results):
    try:
        curriculum.select(2)
        results.put("selected")
    except ConfigError as error:
        results.put(str(error))


def test_a_forked_copy_refuses_to_select():
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_select_in_child, args=(make(), results))
    child.start()
    assert "num_workers=0" in results.get(timeout=60)
    child.join()


@pytest.mark.parametrize("selector", ["mopps", "edge", "uniform", "edge:exploration=0"])
@pytest.mark.parametrize("point", [0, 1, 5])
def test_saving_at_any_point_changes_nothing_that_follows(selector, point, tmp_path):
    curriculum, path = make(200, selector, gates="informative", random_share=0.2), tmp_path / "c.npz"
    steps(curriculum, point)
    waiting = curriculum.select(5)
    curriculum.save(path)
    restored = make(200, selector, gates="informative", random_share=0.2, seed=9)
    assert restored.load(path) == {"kept": 200, "added": 0, "removed": 0}
    assert snapshot(restored) == snapshot(curriculum)
    for each in (curriculum, restored):
        each.observe(waiting, rewards_of(waiting))
    assert steps(restored, 6, first=9) == steps(curriculum, 6, first=9)
    assert restored.metrics() == curriculum.metrics()


def test_prompts_in_flight_can_be_observed_after_a_restart_and_serials_are_new(tmp_path):
    curriculum = make()
    waiting = curriculum.select(3)
    curriculum.save(tmp_path / "c.npz")
    lost = curriculum.select(3)
    restored = make()
    restored.load(tmp_path / "c.npz")
    again = restored.batch()
    assert again.ids.tolist() == waiting.ids.tolist()
    assert restored.batch(waiting.ids[1:2]).predicted.tolist() == waiting.predicted[1:2].tolist()
    new = restored.select(3)
    assert new.serial not in (waiting.serial, lost.serial)
    with pytest.raises(RewardError, match="not in flight"):
        restored.observe(lost, groups(*["right"] * 3))
    restored.observe(again, groups(*["right"] * 3))
    with pytest.raises(RewardError):
        restored.batch(waiting.ids)


@pytest.mark.parametrize("selector", ["mopps", "edge"])
def test_ids_decide_when_the_dataset_has_changed(selector, tmp_path, caplog):
    curriculum, path = make(60, selector, gates="informative"), tmp_path / "c.npz"
    steps(curriculum, 6, n=12)
    waiting = curriculum.select(4)
    curriculum.save(path)
    idle = next(i for i in curriculum.pool.ids if i not in waiting.ids)
    common = [i for i in curriculum.pool.ids if i not in (idle, waiting.ids[0])][::-1]
    ids = [*common, "new1", "new2"]
    pool = PromptPool(ids, [str(int(i[1:]) % 3) if i[0] == "p" else "9" for i in ids])
    restored = Curriculum(pool, selector, rollouts=4, gates="informative")
    restored.load(path)
    assert "58 prompts kept, 2 added, 2 removed" in caplog.text
    assert restored.predict(pool.rows(common)) == pytest.approx(
        curriculum.predict(curriculum.pool.rows(common)), rel=1e-5
    )
    assert sorted(pool.ids[restored.in_flight]) == sorted(waiting.ids[1:])
    for batch in (restored.select(5), restored.select(50)):
        restored.observe(batch, np.ones(4 * len(batch)))
    with pytest.raises(PoolError, match="another dataset"):
        Curriculum(PromptPool(["x", "y"]), selector, gates="informative").load(path)


def test_known_rates_follow_their_prompts(tmp_path):
    pool = PromptPool(["a", "b", "c"])
    curriculum = Curriculum(pool, ew.make_selector("mopps", pool, known_rates=[0.0, 0.5, 1.0], strength=8.0))
    curriculum.save(tmp_path / "c.npz")
    other = PromptPool(["c", "new", "a"])
    restored = Curriculum(other, ew.make_selector("mopps", other, known_rates=[np.nan] * 3, strength=8.0))
    restored.load(tmp_path / "c.npz")
    assert restored.predict().tolist() == pytest.approx([0.9, 0.5, 0.1])


def test_a_foreign_state_changes_nothing(tmp_path):
    curriculum = make(selector="mopps")
    steps(curriculum, 3)
    before, good = snapshot(curriculum), make(selector="uniform").state_dict()
    for state in ({}, {**good, "step": {}}, good, {**curriculum.state_dict(), "rng": {"bit_generator": "MT19937"}}):
        with pytest.raises(CheckpointError):
            curriculum.load_state_dict(state)
        assert snapshot(curriculum) == before
    with pytest.raises(CheckpointError, match=r"'uniform'.*'mopps'"):
        curriculum.load_state_dict(good)
    steps(curriculum, 2)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("quota", "carried", np.full(2, np.nan)),  # selection would look for places without end
        ("quota", "carried", np.zeros(3)),
        ("quota", "carried", np.array(1.0)),
        ("step", "tried", np.array(1)),
        ("rng", "uinteger", -1),
    ],
)
def test_what_a_state_holds_beside_the_selector_is_checked_too(part, name, value):
    pool = PromptPool(range(20), ["a", "b"] * 10)
    curriculum = Curriculum(pool, "uniform", quota={"a": 0.4}, gates="informative", rollouts=4)
    curriculum.observe(curriculum.select(3), groups("mixed", "wrong", "right"))
    before = snapshot(curriculum)
    state = curriculum.state_dict()
    with pytest.raises(CheckpointError):
        curriculum.load_state_dict({**state, part: {**state[part], name: value}})
    assert snapshot(curriculum) == before
    assert len(curriculum.select(5)) == 5


def test_parts_made_by_class_are_saved_and_loaded(tmp_path):
    class Two(Allocation):
        def rollouts(self, predicted):
            return np.full(len(predicted), 2)

    class First(ew.Selector):
        def choose(self, n, candidates):
            return candidates.rows[:n]

    def made():
        pool = PromptPool(range(10))
        return Curriculum(pool, First(pool), gates=Informative(max_rounds=4), rollouts=Two(2))

    curriculum = made()
    assert sorted(curriculum.select(3).rows.tolist()) == [0, 1, 2]
    curriculum.save(tmp_path / "c.npz")
    restored = made()
    restored.load(tmp_path / "c.npz")
    assert sorted(restored.select(2).rows.tolist()) == [3, 4]


def test_options_outside_their_range_are_refused():
    for options in (
        {"success_threshold": 0},
        {"success_threshold": 1.5},
        {"success_threshold": float("nan")},
        {"random_share": 1.0},
        {"random_share": -0.1},
        {"rollouts": 0},
        {"rollouts": 1.5},
    ):
        with pytest.raises(ConfigError):
            make(**options)
    with pytest.raises(ConfigError, match="another pool"):
        Curriculum(PromptPool([1]), ew.make_selector("mopps", PromptPool([1])))
    with pytest.raises(ConfigError, match="mopps"):
        make(selector="mops")
    with pytest.raises(ConfigError, match="PromptPool"):
        Curriculum([1, 2, 3], "edge")
    with pytest.raises(ConfigError, match="selector"):
        Curriculum(PromptPool([1]), 3)


def test_the_number_of_rollouts_cannot_be_said_twice_and_differ():
    pool = PromptPool(range(10))
    with pytest.raises(ConfigError, match="groups of 8"):
        Curriculum(pool, ew.make_selector("edge", pool), rollouts=2)
    assert Curriculum(pool, ew.make_selector("edge", pool, rollouts=5)).allocation.mean == 5


def test_the_random_share_is_a_uniform_sample():
    curriculum = make(30, random_share=0.5)
    counts, marked = np.zeros(30), 0
    for _ in range(400):
        batch = curriculum.select(4)
        counts[batch.rows[batch.random]] += 1
        marked += batch.random.sum()
        curriculum.forget(batch)
    assert 700 < marked < 900
    assert ((counts - marked / 30) ** 2 / (marked / 30)).sum() < 58  # chi-square, 29 degrees of freedom, p = 0.001


@pytest.mark.parametrize("selector", ["mopps", "uniform"])
def test_predictions_are_scored(selector):
    curriculum = make(300, selector, random_share=0.3)
    steps(curriculum, 40, n=30)
    metrics = curriculum.metrics()
    assert metrics["random_spearman"] > 0.5
    assert 0 <= metrics["calibration_error"] < 0.3
    assert curriculum.prediction_source == ("selector" if selector == "mopps" else "monitor")


def test_edge_weighs_groups_of_the_size_that_is_rolled_out():
    assert make(selector="edge", rollouts=2).selector.rollouts == 2
    assert make(selector="edge", rollouts=32).selector.rollouts == 32


def test_the_random_share_is_not_what_the_selector_has_left_over():
    pool = PromptPool(range(128), priors=np.repeat([0.5, 0.02], 64))
    curriculum = Curriculum(pool, "mopps:by=mean", random_share=0.25)
    random = []
    for _ in range(50):
        batch = curriculum.select(64)
        random += (batch.rows[batch.random] < 64).tolist()
        assert (batch.rows[~batch.random] < 64).mean() > 0.9
        curriculum.forget(batch)
    assert abs(np.mean(random) - 0.5) < 3 * 0.5 / len(random) ** 0.5
