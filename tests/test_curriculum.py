import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgewise as ew
from edgewise import Curriculum, PromptPool
from edgewise.allocation import Allocation
from edgewise.errors import CheckpointError, ConfigError, PoolError, RewardError
from edgewise.gates import Informative
from edgewise.selectors import Selector


def make(size=40, selector="mopps", gate=None, **options):
    pool = PromptPool([f"p{i}" for i in range(size)], [str(i % 3) for i in range(size)])
    return Curriculum(pool, selector, gate=gate, **{"rollouts": 4, **options})


def rewards_of(batch, number=0):
    """Deterministic, mixed rewards that depend on the prompt and the step only."""
    rng = np.random.default_rng([number, 5])
    rates = np.array([int(str(i)[1:]) * 7 % 11 / 10 for i in batch.ids])
    return (rng.random(int(batch.rollouts.sum())) < np.repeat(rates, batch.rollouts)).astype(float)


def whole(group, k=4):
    return {"none": [0.0] * k, "all": [1.0] * k, "some": [1.0] + [0.0] * (k - 1)}[group]


def told(kinds):
    return np.concatenate([np.empty(0), *[whole(kind) for kind in kinds]])


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
    curriculum = make(probe=0.5)
    batch = curriculum.select(10)
    assert len(batch) == 10
    assert batch.ids.tolist() == curriculum.pool.ids[batch.rows].tolist()
    assert batch.rollouts.tolist() == [4] * 10
    assert batch.predicted.tolist() == [0.5] * 10
    assert sorted(curriculum.in_flight) == sorted(batch.rows)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["select", "observe", "part", "forget", "grow"]), st.integers(0, 9)), max_size=25
    )
)
def test_nothing_in_flight_is_picked_again(actions):
    """Whatever the order of events: batches are distinct, in the pool and disjoint from what is in flight."""
    curriculum, flying = make(30, "edge", Informative(), probe=0.3), []
    for number, (action, n) in enumerate(actions):
        busy = set(curriculum.in_flight.tolist())
        assert busy == {row for batch in flying for row in batch.rows.tolist()}
        if action == "select" and n <= len(curriculum.pool) - len(busy):
            flying.append(curriculum.select(n))
            rows = flying[-1].rows.tolist()
            assert len(set(rows)) == n
            assert not set(rows) & busy
        elif action == "grow":
            new = [f"p{len(curriculum.pool) + i}" for i in range(n)]
            curriculum.grow(new, ["9"] * n)
        elif flying and action == "forget":
            curriculum.forget(flying.pop(n % len(flying)))
        elif flying and action in ("observe", "part"):
            batch = flying.pop(n % len(flying))
            if action == "part" and len(batch) > 1:
                flying.append(batch.take(np.arange(1, len(batch))))
                batch = batch.take([0])
            feedback = curriculum.observe(batch, rewards_of(batch, number))
            assert len(feedback.admitted) == len(batch)
            assert feedback.shortfall >= 0
        assert all(np.isfinite(value) for value in curriculum.metrics().values())


BAD = [
    (lambda b: [np.nan] + [0.0] * 23, "{id}.*nan"),
    (lambda b: [0.0] * 4 + [np.inf] + [0.0] * 19, "p.*inf"),
    (lambda b: [1.5] + [0.0] * 23, "{id}.*1.5"),
    (lambda b: [-0.1] + [0.0] * 23, "{id}.*-0.1"),
    (lambda b: [0.0] * 23, "expected 24 rewards"),
    (lambda b: np.zeros((4, 6)), "expected 24 rewards"),
    (lambda b: ["1"] * 24, "numbers"),
    (lambda b: [None] * 24, "numbers"),
]


@pytest.mark.parametrize(("rewards", "message"), BAD)
def test_bad_rewards_name_the_prompt_and_change_nothing(rewards, message):
    curriculum = make(gate=Informative())
    steps(curriculum, 2)
    batch = curriculum.select(6)
    before = snapshot(curriculum)
    with pytest.raises(RewardError, match=message.format(id=batch.ids[0])):
        curriculum.observe(batch, rewards(batch))
    assert snapshot(curriculum) == before
    curriculum.observe(batch, rewards_of(batch))


def test_batches_that_are_not_in_flight_change_nothing():
    curriculum = make(gate=Informative())
    first, second = curriculum.select(4), curriculum.select(4)
    curriculum.observe(first, rewards_of(first))
    curriculum.forget(second)
    third = curriculum.select(4)
    foreign = make(seed=3).select(4)
    before = snapshot(curriculum)
    for batch in (first, second, foreign, third.take([0, 0])):
        with pytest.raises(RewardError, match="p"):
            curriculum.observe(batch, np.zeros(4 * len(batch)))
    with pytest.raises(RewardError, match=str(third.ids[1])):
        curriculum.observe(third.take([0, 1], [1, 5]), np.zeros(6))
    with pytest.raises(RewardError, match=str(third.ids[0])):
        curriculum.observe(third.take([0], [0]), np.zeros(0))
    with pytest.raises(RewardError, match="p"):
        curriculum.forget(first)
    assert snapshot(curriculum) == before


@pytest.mark.parametrize("n", [-1, 1.5, 41, 36])
def test_a_select_that_fails_changes_nothing(n):
    curriculum = make(gate=Informative(), probe=0.2)
    curriculum.select(5)
    before = snapshot(curriculum)
    with pytest.raises(PoolError):
        curriculum.select(n)
    assert snapshot(curriculum) == before


def test_an_empty_batch():
    curriculum = make(gate=Informative())
    batch = curriculum.select(0)
    feedback = curriculum.observe(batch, [])
    assert feedback.admitted.tolist() == []
    assert (feedback.shortfall, feedback.surplus, feedback.exhausted) == (0, 0, False)
    assert len(curriculum.select(3)) == 3


def test_refill_until_the_step_is_full():
    curriculum = make(gate=Informative())
    first = curriculum.select(4)
    feedback = curriculum.observe(first, told(["some", "none", "all", "none"]))
    assert feedback.admitted.tolist() == [True, False, False, False]
    assert feedback.shortfall == 3
    second = curriculum.select(feedback.shortfall)
    assert not set(first.rows) & set(second.rows)
    assert curriculum.observe(second, told(["some", "none", "some"])).shortfall == 1
    third = curriculum.select(5)
    feedback = curriculum.observe(third, told(["some"] * 3 + ["none"] * 2))
    assert (feedback.shortfall, feedback.surplus, feedback.exhausted) == (0, 2, False)
    assert curriculum.metrics()["rounds"] == 3
    assert curriculum.metrics()["effective_ratio"] == 6 / 12
    # What was kept counts for the next step.
    fourth = curriculum.select(4)
    feedback = curriculum.observe(fourth, told(["some", "some", "none", "none"]))
    assert (feedback.shortfall, feedback.surplus) == (0, 0)
    assert curriculum.metrics()["steps"] == 2


def test_a_step_that_cannot_be_filled_is_exhausted():
    curriculum = make(gate=Informative(max_rounds=3))
    for number in range(3):
        feedback = curriculum.observe(curriculum.select(4), told(["none"] * 4))
        assert feedback.exhausted == (number == 2)
    assert feedback.shortfall == 0
    curriculum.select(4)
    assert curriculum.metrics()["steps"] == 2
    assert curriculum.metrics()["exhausted_steps"] == 1


def test_a_refill_waits_for_its_own_step_only():
    curriculum = make(gate=Informative())
    lost = curriculum.select(4)
    batch = curriculum.select(4)
    assert curriculum.observe(batch.take([0, 1]), told(["none"] * 2)).shortfall == 0  # half is still in flight
    assert curriculum.observe(batch.take([2, 3]), told(["none"] * 2)).shortfall == 4  # `lost` belongs to an older step
    late = curriculum.observe(lost, told(["some"] * 4))
    assert late.admitted.all()
    assert late.shortfall == 0


def test_prompts_asked_for_piecemeal_belong_to_one_step():
    curriculum = make(size=12)
    ages = []
    age, curriculum.selector._age = curriculum.selector._age, lambda: (ages.append(curriculum.steps), age())[1]
    first = curriculum.select_more(2)  # nothing has begun: begins the first step
    assert curriculum.steps == 1
    curriculum.observe(first, rewards_of(first))
    picked = first.ids.tolist()
    for _ in range(5):
        batch = curriculum.select_more(2)
        curriculum.observe(batch, rewards_of(batch))
        picked += batch.ids.tolist()
    assert sorted(picked) == sorted(curriculum.pool.ids)  # nothing twice within the step
    assert ages == []
    assert curriculum.metrics()["steps"] == 1
    curriculum.select(2)
    assert ages == [1]


def test_a_filter_without_refill_never_asks_for_more():
    curriculum = make(gate=Informative(max_rounds=1))
    curriculum.select(1)
    for _ in range(3):
        batch = curriculum.select_more(1)
        feedback = curriculum.observe(batch, whole("all"))
        assert not feedback.admitted.any()
        assert feedback.shortfall == 0


class Heard:
    def __init__(self):
        self.events = []

    def observed(self, step, rows, successes, trials):
        self.events.append((step, rows.tolist(), successes.tolist(), trials.tolist()))

    def restored(self, step):
        self.events.append(("restored", step))


def test_listeners_hear_what_was_observed_and_when_the_state_went_back():
    curriculum, heard = make(), Heard()
    curriculum.listeners.append(heard)
    batch = curriculum.select(3)
    with pytest.raises(RewardError):
        curriculum.observe(batch, [2.0] * 12)
    assert heard.events == []
    saved = curriculum.state_dict()
    curriculum.observe(batch.take([1, 0], 3), told(["some", "none"])[[0, 1, 2, 4, 5, 6]])
    assert heard.events == [(1, batch.rows[[1, 0]].tolist(), [1, 0], [3, 3])]
    curriculum.load_state_dict(saved)
    assert heard.events[1:] == [("restored", 1)]


def test_parts_in_any_order_are_the_whole():
    """Processes that each observe every part, in whatever order, go on alike."""
    orders = ([0, 1, 2], [2, 0, 1], None)
    ranks = [make(400, "mopps", Informative(max_rounds=1)) for _ in orders]
    for number in range(6):
        batches = [rank.select(9) for rank in ranks]
        assert batches[0].ids.tolist() == batches[1].ids.tolist() == batches[2].ids.tolist()
        for rank, batch, order in zip(ranks, batches, orders, strict=True):
            rewards = rewards_of(batch, number).reshape(9, 4)
            for part in [np.arange(9)] if order is None else [np.arange(3) + 3 * p for p in order]:
                rank.observe(batch.take(part), rewards[part])
    assert ranks[0].metrics()["rollouts"] == ranks[2].metrics()["rollouts"]
    rows = np.arange(400)
    assert np.array_equal(ranks[0].selector.predict(rows), ranks[1].selector.predict(rows))
    assert np.array_equal(ranks[0].selector.predict(rows), ranks[2].selector.predict(rows))


def test_lost_completions_and_single_rollouts():
    curriculum = make(rollouts=1, gate=Informative(max_rounds=1))
    batch = curriculum.select(3)
    feedback = curriculum.observe(batch, [1.0, 0.0, 1.0])
    assert not feedback.admitted.any()  # one rollout is never informative
    assert curriculum.selector.predict(batch.rows).tolist() == pytest.approx([2 / 3, 1 / 3, 2 / 3])
    curriculum = make()
    batch = curriculum.select(2)
    curriculum.observe(batch.take([0, 1], [2, 3]), [1.0, 0.0, 1.0, 1.0, 1.0])
    assert curriculum.selector.predict(batch.rows).tolist() == pytest.approx([2 / 4, 4 / 5])
    assert curriculum.in_flight.size == 0


@pytest.mark.parametrize("selector", ["mopps", "edge", "uniform"])
def test_a_pool_of_one_prompt_works(selector):
    curriculum = make(1, selector, Informative(max_rounds=2), probe=0.5)
    for _ in range(4):
        batch = curriculum.select(1)
        assert curriculum.observe(batch, whole("all")).shortfall == 1
        refill = curriculum.select(1)
        assert curriculum.observe(refill, whole("all")).exhausted
    assert curriculum.metrics()["mean_effective_ratio"] == 0.0
    assert curriculum.metrics()["mean_success_rate"] == 1.0


def test_forgetting_all():
    curriculum = make(10)
    curriculum.select(4)
    curriculum.select(6)
    with pytest.raises(PoolError, match="in flight"):
        curriculum.select(1)
    curriculum.forget()
    assert len(curriculum.select(10)) == 10


@pytest.mark.parametrize("selector", ["mopps", "edge", "uniform"])
@pytest.mark.parametrize("point", [0, 1, 5])
def test_saving_at_any_point_changes_nothing_that_follows(selector, point, tmp_path):
    curriculum, path = make(200, selector, ew.gates.make_gate("informative"), probe=0.2), tmp_path / "c.npz"
    steps(curriculum, point)
    waiting = curriculum.select(5)
    curriculum.save(path)
    restored = Curriculum.load(path, curriculum.pool)
    assert snapshot(restored) == snapshot(curriculum)
    for each in (curriculum, restored):
        each.observe(waiting, rewards_of(waiting))
    assert steps(restored, 6, first=9) == steps(curriculum, 6, first=9)
    assert restored.metrics() == curriculum.metrics()


@pytest.mark.parametrize("selector", ["mopps", "edge"])
def test_ids_decide_when_the_dataset_has_changed(selector, tmp_path, caplog):
    curriculum, path = make(60, selector, ew.gates.make_gate("informative")), tmp_path / "c.npz"
    steps(curriculum, 6, n=12)
    waiting = curriculum.select(4)
    curriculum.save(path)
    idle = next(i for i in curriculum.pool.ids if i not in waiting.ids)
    common = [i for i in curriculum.pool.ids if i not in (idle, waiting.ids[0])][::-1]
    ids = [*common, "new1", "new2"]
    pool = PromptPool(ids, [str(int(i[1:]) % 3) if i[0] == "p" else "9" for i in ids])
    restored = Curriculum.load(path, pool)
    assert "58 prompts kept, 2 added, 2 removed" in caplog.text
    assert restored.selector.predict(pool.rows(common)) == pytest.approx(
        curriculum.selector.predict(curriculum.pool.rows(common)), rel=1e-5
    )
    assert sorted(pool.ids[restored.in_flight]) == sorted(waiting.ids[1:])
    for batch in (restored.select(5), restored.select(50)):
        restored.observe(batch, np.ones(4 * len(batch)))
    with pytest.raises(PoolError, match="another dataset"):
        Curriculum.load(path, PromptPool(["x", "y"]))


def test_known_rates_follow_their_prompts(tmp_path):
    pool = PromptPool(["a", "b", "c"])
    curriculum = Curriculum(pool, ew.make_selector("mopps", pool, known_rates=[0.0, 0.5, 1.0], strength=8.0))
    curriculum.save(tmp_path / "c.npz")
    other = PromptPool(["c", "new", "a"])
    restored = Curriculum.load(tmp_path / "c.npz", other)
    assert restored.selector.predict().tolist() == pytest.approx([0.9, 0.5, 0.1])


def test_a_foreign_state_changes_nothing(tmp_path):
    curriculum = make(selector="mopps")
    steps(curriculum, 3)
    before = snapshot(curriculum)
    good = make(selector="uniform").state_dict()
    for state in ({}, {**good, "step": {}}, good, {**curriculum.state_dict(), "rng": {"bit_generator": "MT19937"}}):
        with pytest.raises(CheckpointError):
            curriculum.load_state_dict(state)
        assert snapshot(curriculum) == before
    steps(curriculum, 2)


def test_parts_without_a_name_have_to_be_passed_again(tmp_path):
    class Two(Allocation):
        def rollouts(self, predicted):
            return np.full(len(predicted), 2)

    class First(Selector):
        def choose(self, n, candidates):
            return candidates.rows[:n]

    pool = PromptPool(range(10))
    curriculum = Curriculum(pool, First(pool), Informative(), Two(2))
    assert curriculum.select(3).rows.tolist() == [0, 1, 2]
    curriculum.save(tmp_path / "c.npz")
    with pytest.raises(ConfigError, match="selector="):
        Curriculum.load(tmp_path / "c.npz", pool)
    restored = Curriculum.load(tmp_path / "c.npz", pool, First(pool), Informative(), Two(2))
    assert restored.select(2).rows.tolist() == [3, 4]


def test_options_outside_their_range_are_refused():
    for options in (
        {"success": 0},
        {"success": 1.5},
        {"probe": 1.0},
        {"probe": -0.1},
        {"rollouts": 0},
        {"rollouts": 1.5},
    ):
        with pytest.raises(ConfigError):
            make(**options)
    with pytest.raises(ConfigError, match="another pool"):
        Curriculum(PromptPool([1]), ew.make_selector("mopps", PromptPool([1])))
    with pytest.raises(ConfigError, match="mopps"):
        make(selector="mops")


def test_the_probe_is_a_uniform_sample():
    curriculum = make(30, probe=0.5)
    counts, marked = np.zeros(30), 0
    for _ in range(400):
        batch = curriculum.select(4)
        counts[batch.rows[batch.probe]] += 1
        marked += batch.probe.sum()
        curriculum.forget(batch)
    assert 700 < marked < 900
    assert ((counts - marked / 30) ** 2 / (marked / 30)).sum() < 58  # chi-square, 29 degrees of freedom, p = 0.001


def test_predictions_are_scored():
    curriculum = make(300, "mopps", probe=0.3)
    steps(curriculum, 40, n=30)
    metrics = curriculum.metrics()
    assert metrics["probe_spearman"] > 0.5
    assert 0 <= metrics["calibration_error"] < 0.3


@pytest.mark.parametrize("name", ["edge", "uniform", "mopps"])
def test_a_selector_given_by_name_is_built_with_what_the_curriculum_knows(name):
    curriculum = make(selector=name, rollouts=5, seed=3)
    options = curriculum.selector.spec["options"]
    assert options["seed"] == 3
    assert options.get("rollouts") == (5 if name == "edge" else None)


def test_edge_weighs_groups_of_the_size_that_is_rolled_out():
    few, many = make(selector="edge", rollouts=2), make(selector="edge", rollouts=32)
    rare = np.array([0.05])
    # 1 - p^k - (1 - p)^k
    assert few.selector.acquisition.value(rare) == pytest.approx(1 - 0.05**2 - 0.95**2)
    assert many.selector.acquisition.value(rare) == pytest.approx(1 - 0.05**32 - 0.95**32)
