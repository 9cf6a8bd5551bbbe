"""Arguments of another type than expected: refused by name before anything changes, never reinterpreted."""

import math
import pickle

import numpy as np
import pytest

import edgewise as ew
from edgewise.errors import CheckpointError, ConfigError, EdgewiseError, PoolError, RewardError

UNORDERED = ["ab", b"ab", {"a": 1, "b": 2}, {"a", "b"}, frozenset("ab")]
NO_COUNT = [True, "2", None, 1.5, -1, math.nan, math.inf, np.array([2, 3]), 2**70]


def make(n=8, **options):
    ids = [chr(ord("a") + i) for i in range(n)]
    return ew.Curriculum(ew.PromptPool(ids), "edge", rollouts=2, **options)


def in_flight(n=2):
    curriculum = make()
    return curriculum, curriculum.select(n)


@pytest.mark.parametrize(
    "given", UNORDERED, ids=lambda given: type(given).__name__
)  # the order of a set differs by process
def test_a_text_a_dict_or_a_set_is_not_a_list_of_prompts(given):
    with pytest.raises(PoolError, match="ids must be a list"):
        ew.PromptPool(given)
    with pytest.raises(PoolError, match="categories must be a list"):
        ew.PromptPool([0, 1], categories=given)
    with pytest.raises(PoolError, match="priors must be a list"):
        ew.PromptPool([0, 1], priors=given)
    with pytest.raises(ConfigError, match="known_rates must be a list"):
        ew.make_selector("mopps", ew.PromptPool([0, 1]), known_rates=given)
    curriculum, batch = in_flight(8)
    for call in (
        lambda: curriculum.observe(given, [[1, 0], [1, 0]]),
        lambda: curriculum.forget(given),
        lambda: curriculum.expects(given),
        lambda: batch.take(given),
    ):
        with pytest.raises(RewardError, match="must be a list"):
            call()
    assert len(curriculum.in_flight) == 8


@pytest.mark.parametrize("given", ["1010", {0: 1, 1: 1, 2: 0, 3: 1}, {0, 1}], ids=lambda given: type(given).__name__)
def test_rewards_correctness_and_lengths_are_lists(given):
    curriculum, batch = in_flight()
    for values in (
        {"rewards": given},
        {"rewards": [1, 0, 0, 1], "correct": given},
        {"rewards": [1, 0, 0, 1], "lengths": given},
    ):
        with pytest.raises(RewardError, match="must be a list"):
            curriculum.observe(batch, **values)
    assert len(curriculum.in_flight) == 2


@pytest.mark.parametrize("given", NO_COUNT, ids=repr)
def test_what_is_no_whole_number_is_refused_and_nothing_changes(given):
    curriculum, batch = in_flight()
    before = pickle.dumps(curriculum.state_dict())
    for call in (
        lambda: curriculum.select(given),
        lambda: next(curriculum.rounds(given)),
        lambda: next(curriculum.rounds(2, multiple=given)),
        lambda: curriculum.advance(given),
        lambda: curriculum.stale(given),
        lambda: curriculum.selector.select(given),
        lambda: curriculum.observe(batch, [1, 0, 1, 0], rollouts=0.5 if given is None else given),
    ):
        with pytest.raises(EdgewiseError):
            call()
        assert pickle.dumps(curriculum.state_dict()) == before


@pytest.mark.parametrize("rollouts", [1.5, [1.5], [math.nan], "1", [1, 1, 1], [2**70]], ids=repr)
def test_rollouts_of_a_part_are_whole_numbers(rollouts):
    with pytest.raises(RewardError, match="rollouts must"):
        in_flight()[1].take([0], rollouts=rollouts)


@pytest.mark.parametrize("given", ["0.5", None, math.nan, True], ids=repr)
def test_thresholds_and_shares_are_numbers(given):
    with pytest.raises(ConfigError, match="success_threshold"):
        make(success_threshold=given)
    with pytest.raises(ConfigError, match="random_share"):
        make(random_share=given)
    with pytest.raises(ConfigError, match="tolerance"):
        ew.gates.Informative(tolerance=given)
    with pytest.raises(ConfigError, match="a band needs"):
        ew.gates.Band(low=given)


@pytest.mark.parametrize("given", ["4", None, math.nan, True, -1.0, math.inf], ids=repr)
def test_the_strength_of_priors_is_a_number(given):
    with pytest.raises(PoolError, match="prior_strength must be a finite number"):
        ew.PromptPool([0, 1], priors=[0.1, 0.9], prior_strength=given)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None])
@pytest.mark.parametrize("selector", ["edge", "uniform", "mopps"])
def test_a_seed_is_a_whole_number(selector, seed):
    with pytest.raises(ConfigError, match="seed"):
        ew.Curriculum(ew.PromptPool(range(4)), selector, seed=seed)


@pytest.mark.parametrize("quota", [[0.5, 0.5], "x", {"x": "half"}], ids=repr)
def test_a_quota_is_a_dict_of_numbers(quota):
    with pytest.raises(ConfigError, match="quota"):
        ew.Curriculum(ew.PromptPool(range(4), ["x", "y"] * 2), quota=quota)


@pytest.mark.parametrize("lengths", [[1, 2, 3, np.inf], [1, 2, 3, 1e30], [1, 2, 3, 1.5], [True] * 4], ids=repr)
def test_lengths_that_are_no_token_counts_name_their_prompt(lengths):
    curriculum, batch = in_flight()
    with pytest.raises(RewardError, match="completion length"):
        curriculum.observe(batch, [1, 0, 0, 1], lengths=lengths)


def test_what_a_masked_array_hides_is_unknown_and_not_the_number_behind_the_mask():
    curriculum, batch = in_flight()
    with pytest.raises(RewardError, match="nan"):
        curriculum.observe(batch, np.ma.array([1.0, 0, 1, 1], mask=[0, 0, 0, 1]))
    priors = ew.PromptPool(range(2), priors=np.ma.array([0.25, 0.75], mask=[False, True])).priors
    assert priors[0] == 0.25
    assert np.isnan(priors[1])
    for hidden in (["x", "y", "z"], [1, 2, 3]):
        labels = np.ma.array(hidden, mask=[False, True, False])
        assert ew.PromptPool(range(3), labels).labels == [str(hidden[0]), None, str(hidden[2])]
        with pytest.raises(PoolError, match="every prompt needs an id, but 1 of 3 are masked"):
            ew.PromptPool(labels)
    assert ew.PromptPool(np.ma.array([4, 5])).ids.tolist() == [4, 5]
    with pytest.raises(RewardError, match="correctness nan"):
        curriculum.observe(batch, [1, 0, 0, 1], correct=np.ma.array([True, False, True, False], mask=[0, 0, 0, 1]))


@pytest.mark.parametrize("noise", [1e-9, np.float64(np.float32(1.0000001)) - 1])
def test_rates_within_float_noise_of_their_range_are_clipped(noise):
    assert ew.PromptPool(range(2), priors=[1 + noise, -noise]).priors.tolist() == [1.0, 0.0]
    pool = ew.PromptPool(range(2))
    selector = ew.make_selector("mopps", pool, known_rates=[1 + noise, -noise])
    exact = ew.make_selector("mopps", pool, known_rates=[1.0, 0.0])
    assert selector.predict().tolist() == exact.predict().tolist()
    assert make(success_threshold=1 + noise).success_threshold == 1.0
    with pytest.raises(ConfigError, match=r"got 1\.1 for row 1"):
        ew.make_selector("mopps", pool, known_rates=[0.5, 1.1])


def test_a_label_is_spelt_alike_in_every_type_that_can_hold_it():
    pd = pytest.importorskip("pandas")
    spelt = [
        np.array([0.1, 2.0], np.float32),
        np.array([0.1, 2.0]),
        [np.float32(0.1), 2],
        ["0.1", "2"],
        np.array([b"0.1", b"2"]),
        pd.Series(["0.1", "2"], dtype="string"),
        pd.Categorical(["0.1", "2"]),
    ]
    assert [ew.PromptPool(["a", "b"], labels).category_names for labels in spelt] == [["0.1", "2"]] * len(spelt)


def test_a_missing_label_is_missing_in_every_type_that_can_hold_it():
    pd = pytest.importorskip("pandas")
    columns = [
        ["x", None],
        ["x", float("nan")],
        ["x", pd.NA],
        ["x", pd.NaT],
        pd.array(["x", None], dtype="string"),
        pd.Categorical(["x", None]),
    ]
    for labels in columns:
        pool = ew.PromptPool(["a", "b"], labels)
        assert pool.category_names == ["x"]
        assert pool.categories.tolist() == [1, 0]
    assert ew.PromptPool([1, 2], pd.array([3, None], dtype="Int64")).category_names == ["3"]


def test_a_label_that_is_another_text_in_every_process_is_refused():
    with pytest.raises(PoolError, match="spelt differently"):
        ew.PromptPool([1, 2], [object(), "x"])


def test_one_long_label_does_not_widen_all_others():
    import tracemalloc

    labels = [f"c{i % 7}" for i in range(5000)]
    labels[3] = "x" * 50_000
    tracemalloc.start()
    pool = ew.PromptPool(range(5000), labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pool.category_names) == 8
    assert peak < 20e6  # 5,000 labels as wide as the longest one are 1 GB


def test_features_without_a_number_name_their_place():
    with pytest.raises(PoolError, match="feature 1 of row 0"):
        ew.PromptPool(range(2), features=[[1.0, None], [2.0, 3.0]])
    with pytest.raises(PoolError, match="features must be numbers"):
        ew.PromptPool(range(2), features=np.ones((2, 2)) * 1j)


def test_rows_beyond_int64_are_named_as_they_were_given():
    with pytest.raises(PoolError, match=str(2**63)):
        ew.PromptPool(range(4)).check_rows([2**63])


def test_what_a_pool_returns_cannot_rename_its_prompts():
    pool = ew.PromptPool(["b", "a"], ["x", "y"], priors=[0.1, 0.9])
    for array in (pool.ids, pool.categories, pool.priors):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]
    pool.extend(["c"], ["x"])
    with pytest.raises(ValueError, match="read-only"):
        pool.ids[0] = "z"


def test_many_policy_steps_at_once_cost_no_more_than_some():
    curriculum, batch = in_flight()
    curriculum.observe(batch, [1, 0, 1, 1])
    curriculum.advance(2**30)
    assert np.isfinite(curriculum.predict()).all()
    assert len(curriculum.select(4)) == 4


def test_a_failed_save_names_the_file_and_not_a_hidden_one(tmp_path):
    path = tmp_path / "gone" / "curriculum.npz"
    with pytest.raises(CheckpointError, match="cannot write") as caught:
        make().save(path)
    assert ".tmp" not in str(caught.value)
    with pytest.raises(CheckpointError, match="is a folder"):
        make().save(tmp_path)
    assert list(tmp_path.iterdir()) == []


BELIEFS = {
    "edge": {},
    "mopps": {},
    "dps": {},
    "uniform": {},
    "sec": {},
    "greso": {},
    "bandit": {"belief": "beta", "prior": "category"},
}


@pytest.mark.parametrize("name", BELIEFS)
def test_a_state_that_holds_nan_is_refused_and_loads_nothing(name):
    """Whatever made a prediction NaN would otherwise be carried from checkpoint to checkpoint without a word."""

    def fresh():
        pool = ew.PromptPool(range(12), [f"c{i % 3}" for i in range(12)])
        return ew.Curriculum(pool, ew.make_selector(name, pool, rollouts=4, **BELIEFS[name]), rollouts=4)

    rng = np.random.default_rng(0)
    curriculum = fresh()
    for _ in range(4):
        batch = curriculum.select(4)
        curriculum.observe(batch, rng.integers(0, 2, (4, 4)))
    state = curriculum.state_dict()
    spoiled = 0
    for part in ("selector", "monitor"):
        for table, key in _floats(state[part] or {}):
            kept = table[key]
            if np.isnan(kept).any():
                continue
            table[key] = np.full_like(kept, np.nan)
            other = fresh()
            before = pickle.dumps(other.state_dict())
            with pytest.raises(CheckpointError, match="NaN"):
                other.load_state_dict(state)
            assert pickle.dumps(other.state_dict()) == before
            table[key] = kept
            spoiled += 1
    assert spoiled
    fresh().load_state_dict(state)


def _floats(state):
    for key, value in state.items():
        if isinstance(value, dict):
            yield from _floats(value)
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size:
            yield state, key


def test_a_worker_of_a_dataloader_is_refused_however_it_was_started():
    torch = pytest.importorskip("torch")
    from tests.streams import PromptStream

    curriculum = make()
    for context in ("fork", "spawn"):
        loader = torch.utils.data.DataLoader(
            PromptStream(curriculum), batch_size=None, num_workers=1, multiprocessing_context=context
        )
        with pytest.raises(ConfigError, match="num_workers=0"):
            list(loader)


@pytest.mark.parametrize("threshold", [0.5, [0.3], [0.1, 0.2, 0.3], [0.7, 0.3], "ab"], ids=repr)
def test_a_band_of_success_rates_has_two_ends(threshold):
    with pytest.raises(ConfigError, match=r"threshold|band|selector mopps"):
        ew.make_selector("mopps", ew.PromptPool(range(4)), threshold=threshold)


@pytest.mark.parametrize(("part", "given"), [("correct", 2), ("correct", 0.5), ("lengths", -1), ("lengths", 1.5)])
def test_a_value_in_a_message_reads_as_a_number(part, given):
    curriculum, batch = in_flight()
    with pytest.raises(RewardError, match=rf" {given}; expected"):
        curriculum.observe(batch, [1, 0, 0, 1], **{part: [given] * 4})


@pytest.mark.parametrize("reward", [math.inf, math.nan])
def test_beside_correctness_a_reward_has_to_be_finite(reward):
    curriculum, batch = in_flight()
    with pytest.raises(RewardError, match=rf"has reward {reward}; rewards must be finite \(1 of 4 are not\)"):
        curriculum.observe(batch, [reward, 0, 0, 1], correct=[1, 0, 0, 1])


@pytest.mark.parametrize(("name", "missing"), [("oracle", "truth="), ("bandit", "belief=")])
def test_a_selector_without_an_option_that_it_needs_names_the_option(name, missing):
    with pytest.raises(ConfigError, match=f"selector {name}: {missing} is needed"):
        ew.make_selector(name, ew.PromptPool(range(4)))


@pytest.mark.parametrize("path", [None, "", 3, b"x.npz"])
def test_a_path_of_another_kind_is_refused_by_what_was_given(path):
    curriculum = ew.Curriculum(ew.PromptPool(range(4)))
    for call in (curriculum.save, curriculum.load):
        with pytest.raises(CheckpointError, match=r"the path of a file, got"):
            call(path)


def test_a_folder_is_no_checkpoint(tmp_path):
    curriculum = ew.Curriculum(ew.PromptPool(range(4)))
    for call in (curriculum.save, curriculum.load):
        with pytest.raises(CheckpointError, match=r"is a folder; a checkpoint is one file"):
            call(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_resume_with_another_threshold_or_group_size_is_reported(tmp_path, caplog):
    pool = ew.PromptPool(range(8))
    ew.Curriculum(pool, rollouts=4, success_threshold=0.9).save(tmp_path / "a.npz")
    ew.Curriculum(pool, rollouts=4, success_threshold=0.9).load(tmp_path / "a.npz")
    assert not caplog.messages
    ew.Curriculum(pool, rollouts=8).load(tmp_path / "a.npz")
    assert "success_threshold 0.9 (now 0.5), rollouts 4 (now 8)" in caplog.messages[0]
