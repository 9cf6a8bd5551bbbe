"""Traces and the recorder: round trips, damage, and that a recorder writes what a direct construction would."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgewise as ew
from edgewise.checkpoint import save_state
from edgewise.errors import CheckpointError, ConfigError, PoolError, RewardError
from edgewise.replay import Recorder, Trace


def a_pool(n=6, labels=True, features=False, text=False):
    ids = [f"p{i}" for i in range(n)] if text else np.arange(n) * 10
    categories = [None if i == 0 else f"c{i % 3}" for i in range(n)] if labels else None
    return ew.PromptPool(ids, categories, np.arange(2.0 * n).reshape(n, 2) if features else None)


def same(a, b):
    assert np.array_equal(a.pool.ids, b.pool.ids)
    assert np.array_equal(a.steps, b.steps)
    for name in ("index", "rows", "successes", "trials"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert a.about == b.about


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 12),
    steps=st.lists(st.integers(0, 10**9), min_size=1, max_size=5, unique=True),
    most=st.sampled_from([1, 8, 255, 256, 70_000]),
    labels=st.booleans(),
    features=st.booleans(),
    text=st.booleans(),
)
def test_round_trip(tmp_path_factory, seed, n, steps, most, labels, features, text):
    rng = np.random.default_rng(seed)
    trials = rng.integers(0, most + 1, (len(steps), n))
    pool = a_pool(n, labels, features, text)
    trace = Trace.from_evaluations(pool, sorted(steps), rng.integers(0, trials + 1), trials, {"model": "tiny"})
    path = tmp_path_factory.mktemp("trace") / "t.npz"
    trace.save(path)
    loaded = Trace.load(path)
    same(trace, loaded)
    if labels:
        names = [[p.category_names[c - 1] if c > 0 else None for c in p.categories] for p in (pool, loaded.pool)]
        assert names[0] == names[1]
    else:
        assert loaded.pool.categories is None
    assert np.array_equal(loaded.pool.features, pool.features) if features else loaded.pool.features is None


def test_a_matrix_and_its_entries_are_one_trace_in_any_order():
    pool = a_pool(4)
    trials = np.array([[8, 0, 4, 8], [0, 8, 8, 0]])
    successes = np.array([[3, 0, 4, 0], [0, 1, 8, 0]])
    dense = Trace.from_evaluations(pool, [5, 9], successes, trials)
    order = np.random.default_rng(0).permutation(len(dense))
    mixed = Trace(
        pool,
        dense.steps,
        dense.index[order],
        dense.rows[order],
        dense.successes[order],
        dense.trials[order],
    )
    same(dense, mixed)
    assert not dense.complete
    assert [column.tolist() for column in dense.at(1)] == [[1, 2], [1, 8], [8, 8]]
    assert Trace.from_evaluations(pool, [5, 9], successes, 8).complete


def test_rates_are_linear_between_checkpoints():
    trace = Trace.from_evaluations(a_pool(2), [10, 20, 40], [[0, 8], [4, 8], [8, 0]], 8)
    assert trace.rates(10).tolist() == [0.0, 1.0]
    assert trace.rates(15).tolist() == [0.25, 1.0]
    assert trace.rates(20).tolist() == [0.5, 1.0]
    assert trace.rates(35).tolist() == [0.875, 0.25]
    assert trace.rates(40).tolist() == [1.0, 0.0]
    for outside in (9, 41):
        with pytest.raises(PoolError, match="outside the recorded steps 10 to 40"):
            trace.rates(outside)


def test_the_last_step_is_read_by_its_number_from_the_end():
    trace = Trace.from_evaluations(a_pool(3), [2, 7], [[0, 1, 2], [2, 2, 0]], 2)
    assert [part.tolist() for part in trace.at(-1)] == [[0, 1, 2], [2, 2, 0], [2, 2, 2]]
    with pytest.raises(IndexError):
        trace.at(2)


def test_a_sparse_trace_has_no_rates():
    trace = Trace(a_pool(2), [0], [0], [1], [1], [2])
    with pytest.raises(PoolError, match="complete"):
        trace.rates(0)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"steps": [3, 3]}, PoolError, "strictly increasing"),
        ({"steps": []}, PoolError, "at least one"),
        ({"steps": [-1, 3]}, PoolError, ">= 0"),
        ({"steps": [0.5, 1.5]}, PoolError, "whole numbers"),
        ({"index": [0, 2]}, PoolError, "point into"),
        ({"rows": [0, 6]}, PoolError, "outside the pool"),
        ({"index": [0, 0], "rows": [3, 3]}, PoolError, "30 is given twice at step 1"),
        ({"successes": [1, 9]}, RewardError, "9 successes of 8"),
        ({"successes": [-1, 0]}, RewardError, "-1 successes"),
        ({"trials": [8, 0], "successes": [1, 0]}, RewardError, "trials >= 1"),
        ({"trials": [8, 8, 8]}, PoolError, "one length"),
    ],
)
def test_bad_entries_are_named(changes, error, words):
    arguments = {"steps": [1, 2], "index": [0, 1], "rows": [0, 5], "successes": [1, 2], "trials": [8, 8]}
    with pytest.raises(error, match=words):
        Trace(a_pool(6), **{**arguments, **changes})


@pytest.mark.parametrize(
    ("successes", "trials", "error", "words"),
    [
        (np.zeros((2, 5), int), 8, PoolError, "shape"),
        ([[1] * 6, [1] * 5], 8, PoolError, "rows of different length"),
        (np.zeros((2, 6), int), np.ones((3, 6), int), PoolError, "broadcast"),
        (np.ones((2, 6), int), 0, RewardError, "0 trials"),
        (np.full((2, 6), 0.5), 8, RewardError, "whole numbers"),
    ],
)
def test_bad_evaluations_are_named(successes, trials, error, words):
    with pytest.raises(error, match=words):
        Trace.from_evaluations(a_pool(6), [1, 2], successes, trials)


def test_damage_is_noticed(tmp_path):
    path = tmp_path / "t.npz"
    Trace.from_evaluations(a_pool(6), [1, 2], np.ones((2, 6), int), 8).save(path)
    whole = path.read_bytes()
    for position in range(30, len(whole) - 30, len(whole) // 25):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        path.write_bytes(bytes(damaged))
        try:
            # A flipped bit in the archive's own bookkeeping may be harmless; then nothing must have changed.
            loaded = Trace.load(path)
        except CheckpointError:
            continue
        assert (loaded.successes == 1).all()
        assert len(loaded) == 12
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError):
        Trace.load(path)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        Trace.load(tmp_path / "absent.npz")


def test_valid_files_with_wrong_contents_are_refused(tmp_path):
    path = tmp_path / "t.npz"
    save_state(path, "curriculum", {"ids": np.arange(3)})
    with pytest.raises(CheckpointError, match="holds a curriculum, expected a trace"):
        Trace.load(path)
    one = np.array([0])
    state = {"ids": np.arange(3), "steps": one, "index": one, "rows": one, "successes": one + 9, "trials": one + 8}
    save_state(path, "trace", {**state, "about": {}})
    with pytest.raises(CheckpointError, match="9 successes of 8"):
        Trace.load(path)
    save_state(path, "trace", {name: value for name, value in state.items() if name != "rows"})
    with pytest.raises(CheckpointError, match="not hold a valid trace"):
        Trace.load(path)
    fits = {**state, "successes": one, "about": {}}
    for wrong, words in (
        ({"about": [1, 2]}, "about must be a dict"),
        ({"ids": np.int64(3)}, "valid trace"),
        ({"categories": np.array([0, -3, -1]), "category_names": ["a", "b"]}, "the number -3, expected -1 to 1"),
    ):
        save_state(path, "trace", {**fits, **wrong})
        with pytest.raises(CheckpointError, match=words):
            Trace.load(path)
    np.savez(path, ids=np.arange(3), successes=one)
    with pytest.raises(CheckpointError, match="not of Edgewise: it holds the arrays ids, successes, expected a trace"):
        Trace.load(path)


def test_a_large_evaluation_is_small_on_disk(tmp_path):
    rng = np.random.default_rng(0)
    labels = [f"level {i % 8}" for i in range(2000)]
    trace = Trace.from_evaluations(
        ew.PromptPool(np.arange(2000), labels), np.arange(15) * 20, rng.integers(0, 33, (15, 2000)), 32
    )
    trace.save(tmp_path / "t.npz")
    assert (tmp_path / "t.npz").stat().st_size < 100_000


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), calls=st.integers(1, 12))
def test_recorder_equals_the_matrix_of_sums(seed, calls):
    rng = np.random.default_rng(seed)
    pool = a_pool(6)
    recorder = Recorder(pool, about={"run": 1})
    successes, trials = np.zeros((4, 6), np.int64), np.zeros((4, 6), np.int64)
    for _ in range(calls):
        step, n = int(rng.integers(4)), int(rng.integers(1, 7))
        rows, k = rng.choice(6, n, replace=False), rng.integers(1, 9, n)
        s = rng.integers(0, k + 1)
        recorder.record(step, rows, s, k)
        successes[step, rows] += s
        trials[step, rows] += k
    used = np.flatnonzero(trials.any(axis=1))
    same(recorder.trace(), Trace.from_evaluations(pool, used, successes[used], trials[used], {"run": 1}))
    same(recorder.trace(), recorder.trace())


def test_recorder_beside_a_curriculum():
    pool = a_pool(6)
    curriculum, recorder = ew.Curriculum(pool, "uniform", rollouts=4), Recorder(pool)
    rng = np.random.default_rng(0)
    direct = np.zeros((5, 6), np.int64)
    for step in range(5):
        batch = curriculum.select(3)
        rewards = rng.integers(0, 2, (3, 4)) * 0.9
        feedback = curriculum.observe(batch, rewards)
        recorder.record(step, batch.rows, feedback.successes, feedback.trials)
        direct[step, batch.rows] = (rewards > 0.5).sum(axis=1)
    trace = recorder.trace()
    assert len(trace) == 15
    assert (trace.trials == 4).all()
    assert np.array_equal(trace.successes, direct[trace.index, trace.rows])


def play(curriculum, steps):
    """Rollouts whose success depends on the prompt and the curriculum's step only."""
    for _ in range(steps):
        batch = curriculum.select(4)
        correct = (batch.rows[:, None] + curriculum.steps + np.arange(3)) % 4 == 0
        curriculum.observe(batch, correct)


def test_an_attached_recorder_goes_back_with_the_curriculum(tmp_path):
    def fresh(name):
        pool = a_pool(12)
        curriculum = ew.Curriculum(pool, "mopps", rollouts=3)
        return curriculum, Recorder(pool, tmp_path / name, every=1).attach(curriculum)

    whole, recorder = fresh("whole.npz")
    play(whole, 3)
    saved = whole.state_dict()
    play(whole, 4)
    recorder.save()
    assert recorder.trace().steps.tolist() == [1, 2, 3, 4, 5, 6, 7]
    # The process died after step 5; what it had saved by then is beyond the checkpoint.
    resumed, recorder = fresh("resumed.npz")
    (tmp_path / "resumed.npz").write_bytes((tmp_path / "whole.npz").read_bytes())
    resumed.load_state_dict(saved)
    play(resumed, 4)
    recorder.save()
    same(Trace.load(tmp_path / "resumed.npz"), Trace.load(tmp_path / "whole.npz"))
    # The same where the curriculum was there first.
    whole.save(tmp_path / "curriculum.npz")
    loaded = ew.Curriculum(a_pool(12), "mopps", rollouts=3)
    loaded.load(tmp_path / "curriculum.npz")
    late = Recorder(loaded.pool, tmp_path / "whole.npz").attach(loaded)
    same(late.trace(), Trace.load(tmp_path / "whole.npz"))
    with pytest.raises(ConfigError, match="another pool"):
        Recorder(a_pool(12)).attach(loaded)


def test_a_checkpoint_within_a_step_leaves_the_rest_of_the_step_out_of_the_trace(tmp_path):
    """Where a trainer counts the steps, a checkpoint may lie anywhere in one."""

    def fresh():
        curriculum = ew.Curriculum(ew.PromptPool(range(12)), "uniform", rollouts=3)
        recorder = Recorder(curriculum.pool, tmp_path / "trace.npz", every=1).attach(curriculum)
        curriculum.advance(0)
        return curriculum, recorder

    def observe(curriculum, rows):
        curriculum.observe(curriculum.batch(rows=rows), np.zeros((len(rows), 3)))

    curriculum, recorder = fresh()
    for _ in range(2):
        curriculum.advance()
        rows = curriculum.select(6).rows
        observe(curriculum, rows[:2])
        saved = curriculum.state_dict()
        observe(curriculum, rows[2:])
    recorder.save()
    for resumed, again in ((curriculum, recorder), fresh()):
        resumed.load_state_dict(saved)
        assert again.trace().trials.sum() == 8 * 3
        observe(resumed, rows[2:])
        same(again.trace(), Trace.load(tmp_path / "trace.npz"))


def test_a_trace_outlives_a_dataset_that_shrank(tmp_path, caplog):
    path = tmp_path / "trace.npz"
    curriculum = ew.Curriculum(ew.PromptPool(range(12)), "uniform", rollouts=3)
    recorder = Recorder(curriculum.pool, path).attach(curriculum)
    play(curriculum, 6)
    recorder.save()
    before = Trace.load(path)
    smaller = ew.Curriculum(ew.PromptPool([11, 3, 5, 7, 8, 2]), "uniform", rollouts=3)
    recorder = Recorder(smaller.pool, path).attach(smaller)
    smaller.load_state_dict(curriculum.state_dict())
    kept = np.isin(before.pool.ids[before.rows], smaller.pool.ids)
    assert 0 < kept.sum() < len(before)
    assert f"{(~kept).sum()} entries of {path}" in caplog.text
    play(smaller, 1)
    recorder.save()
    after = Trace.load(path)
    assert len(after) == kept.sum() + 4
    old = after.steps[after.index] <= 6
    for name in ("successes", "trials"):
        assert sorted(zip(after.pool.ids[after.rows[old]], getattr(after, name)[old], strict=True)) == sorted(
            zip(before.pool.ids[before.rows[kept]], getattr(before, name)[kept], strict=True)
        )


def test_a_new_run_does_not_go_on_with_an_old_trace(tmp_path):
    for _ in range(2):
        pool = a_pool(12)
        curriculum = ew.Curriculum(pool, "mopps", rollouts=3)
        recorder = Recorder(pool, tmp_path / "trace.npz").attach(curriculum)
        play(curriculum, 2)
        recorder.save()
    assert Trace.load(tmp_path / "trace.npz").trials.sum() == 2 * 4 * 3


def test_recorder_saves_as_it_goes_and_goes_on(tmp_path):
    path, pool = tmp_path / "run.npz", a_pool(6)
    recorder = Recorder(pool, path, every=3)
    for step in range(5):
        recorder.record(step, [step], [1], 2)
        assert path.exists() == (step >= 3)
    assert Trace.load(path).steps.tolist() == [0, 1, 2, 3]
    # The run is resumed from a checkpoint of step 2, with its dataset in another order.
    turned = ew.PromptPool(pool.ids[::-1])
    again = Recorder.resume(path, turned, before=2)
    again.record(2, [0], [2], 2)
    trace = again.trace()
    assert trace.steps.tolist() == [0, 1, 2]
    assert trace.pool.ids[trace.rows].tolist() == [0, 10, 50]
    with pytest.raises(PoolError, match="not in the pool"):
        Recorder.resume(path, ew.PromptPool([1, 2]))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((-1, [0], [1], 2), PoolError, "training step"),
        ((0, [9], [1], 2), PoolError, "outside the pool"),
        ((0, [0], [3], 2), RewardError, "3 successes of 2"),
        ((0, [0], [0.5], 2), RewardError, "whole numbers"),
        ((0, [0, 1], [1], 2), RewardError, "2 prompts need"),
        ((0, [0], [0], 0), RewardError, "trials >= 1"),
        ((0, [0], [1], 2**63), RewardError, "1 successes of 9223372036854775808 rollouts"),
    ],
)
def test_bad_records_change_nothing(arguments, error, words):
    recorder = Recorder(a_pool(6))
    recorder.record(0, [2], [1], 2)
    with pytest.raises(error, match=words):
        recorder.record(*arguments)
    assert len(recorder.trace()) == 1


def test_recorder_misuse(tmp_path):
    recorder = Recorder(a_pool(6))
    with pytest.raises(PoolError, match="nothing"):
        recorder.trace()
    recorder.record(0, [], [], 1)
    with pytest.raises(PoolError, match="nothing"):
        recorder.trace()
    recorder.record(0, [0], [1], 1)
    with pytest.raises(ConfigError, match="path"):
        recorder.save()
    with pytest.raises(ConfigError, match="every"):
        Recorder(a_pool(6), every=0)
    with pytest.raises(ConfigError, match="folder"):
        Recorder(a_pool(6), "nowhere/to/be/found.npz")
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        Recorder(a_pool(6), tmp_path)
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        Recorder(a_pool(6), "")
    curriculum = ew.Curriculum(a_pool(6), "uniform", rollouts=2)
    recorder = Recorder(curriculum.pool).attach(curriculum)
    with pytest.raises(ConfigError, match="record every group twice"):
        recorder.attach(curriculum)


def test_a_record_whose_trace_cannot_be_saved_is_kept(tmp_path, caplog):
    folder = tmp_path / "traces"
    folder.mkdir()
    recorder = Recorder(a_pool(6), folder / "trace.npz", every=1)
    folder.rmdir()
    for step in range(3):
        recorder.record(step, [0], [1], 2)
    assert "trace is not saved" in caplog.text
    folder.mkdir()
    recorder.record(3, [0], [1], 2)
    assert Trace.load(folder / "trace.npz").steps.tolist() == [0, 1, 2, 3]


def test_a_trace_that_cannot_be_saved_beside_a_checkpoint_is_logged_and_ends_nothing(tmp_path, caplog):
    folder = tmp_path / "traces"
    folder.mkdir()
    pool = ew.PromptPool(range(4))
    recorder = Recorder(pool, folder / "trace.npz")
    recorder.save_at_checkpoint()
    assert list(folder.iterdir()) == []
    recorder.record(1, [0], [1], 4)
    recorder.save_at_checkpoint()
    assert Trace.load(folder / "trace.npz").rows.tolist() == [0]
    (folder / "trace.npz").unlink()
    folder.rmdir()
    with caplog.at_level("WARNING", "edgewise"):
        recorder.save_at_checkpoint()
    assert "trace is not saved" in caplog.text
