"""slime: a curriculum's data source and filter in slime's own rollout loop (a stand-in of it, on prompts of known rates)."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
from tests.adapters.standins.loading import standing_in

from edgewise import Curriculum, PromptPool, gates
from edgewise.adapters.success import Success
from edgewise.errors import CheckpointError, ConfigError, PoolError, RewardError

RATES = (0.0, 0.0, 0.5, 1.0, 1.0)
PROMPTS, K = 60, 4


@pytest.fixture
def slime():
    with standing_in("slime", "slime") as adapter:
        yield adapter


@pytest.fixture
def make_args(tmp_path, slime):
    rows = [
        {"text": f"problem {i}", "metadata": {"id": f"p{i}", "rate": RATES[i % 5], "level": i % 5}}
        for i in range(PROMPTS)
    ]
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))

    def build(**changed):
        rng = np.random.default_rng(changed.pop("luck", 0))

        def finish(rollout_id, pending):
            # One to three groups finish at a time, in any order.
            order = rng.permutation(len(pending))
            count = min(1 + rng.integers(3), len(pending))
            done = [pending[i] for i in order[:count]]
            for group in done:
                for sample in group:
                    sample.reward = float(rng.random() < sample.metadata["rate"])
            return done, [pending[i] for i in sorted(order[count:])]

        values = {
            "rollout_global_dataset": True,
            "prompt_data": str(path),
            "input_key": "text",
            "label_key": "label",
            "metadata_key": "metadata",
            "rollout_seed": 3,
            "rollout_shuffle": True,
            "n_samples_per_prompt": K,
            "rollout_batch_size": 8,
            "over_sampling_batch_size": 12,
            "dynamic_sampling_filter_path": "edgewise.adapters.slime.observe",
            "buffer_filter_path": None,
            "partial_rollout": False,
            "custom_rollout_log_function_path": None,
            "reward_key": None,
            "save": str(tmp_path / "checkpoints"),
            "load": None,
            "finish": finish,
        }
        return SimpleNamespace(**{**values, **changed})

    return build


def source_of(slime, **attributes):
    return type("Source", (slime.CurriculumDataSource,), {"id_key": "id", **attributes})


def roll(source, args, rollouts, first=0):
    """Runs rollouts; returns the ids that each trains on."""
    from slime.rollout.sglang_rollout import generate_rollout

    trained = []
    for rollout in range(first, first + rollouts):
        data = generate_rollout(args, rollout, source).samples
        trained.append([group[0].metadata["id"] for group in data])
    return trained


def selected(source):
    """Every id selected from now on, as a list that grows."""
    seen, original = [], source._group

    def spy(row):
        seen.append(source._prompts[row].metadata["id"])
        return original(row)

    source._group = spy
    return seen


def share(trained):
    """Of groups whose prompts are solved now and then."""
    return np.mean([int(name[1:]) % 5 == 2 for ids in trained for name in ids])


@pytest.mark.parametrize("partial", [False, True])
def test_selection_pays(slime, make_args, partial):
    shares = {}
    for selector in ("uniform", "edge"):
        args = make_args(partial_rollout=partial)
        source = source_of(slime, curriculum=selector, category_key="level")(args)
        trained = roll(source, args, 14)
        assert all(len(ids) == 8 for ids in trained)
        shares[selector] = share(trained[6:])
        assert source.metrics()["steps"] == 14
        assert source.metrics()["mean_effective_ratio"] > 0
    assert shares["edge"] > shares["uniform"] + 0.3


def test_every_group_that_finishes_is_observed_once_and_aborted_ones_are_forgotten(slime, make_args):
    args, observed = make_args(), []
    source = source_of(slime)(args)
    source._in_flight.curriculum.listeners.append(SimpleNamespace(observed=lambda *entry: observed.append(entry)))
    finished, original = [], args.finish

    def finish(rollout_id, pending):
        done, rest = original(rollout_id, pending)
        finished.extend((group[0].metadata["id"], sum(s.reward for s in group)) for group in done)
        return done, rest

    args.finish = finish
    roll(source, args, 3)
    ids = source._in_flight.curriculum.pool.ids
    assert [(ids[rows[0]], successes[0]) for _, rows, successes, _ in observed] == finished
    handed = source.sample_group_index
    assert source.metrics()["in_flight"] > 0
    source.get_samples(1)  # the fourth rollout: what was aborted in the third can be selected again
    assert source.metrics()["forgotten"] == handed - len(finished)
    assert source.metrics()["in_flight"] == 1


def test_partial_rollouts_stay_in_flight_and_come_first(slime, make_args):
    args = make_args(partial_rollout=True)
    source = source_of(slime)(args)
    roll(source, args, 1)
    waiting = [group[0].metadata["id"] for group in source.buffer]
    assert waiting
    groups = source.get_samples(12)
    assert [group[0].metadata["id"] for group in groups[: len(waiting)]] == waiting
    assert len({group[0].metadata["id"] for group in groups}) == 12
    assert source.metrics()["forgotten"] == 0


def gated(self, pool):
    return Curriculum(pool, "uniform", gates=gates.make_gate("informative", max_rounds=1), rollouts=K)


def test_a_gate_is_slimes_dynamic_sampling(slime, make_args):
    args = make_args()
    source = source_of(slime, curriculum=gated)(args)
    from slime.rollout.sglang_rollout import generate_rollout

    for rollout in range(3):
        output = generate_rollout(args, rollout, source)
        assert all(0 < sum(sample.reward for sample in group) < K for group in output.samples)
        assert output.metrics["rollout/dynamic_filter/drop_edgewise_gate"] > 0
    assert source.metrics()["steps"] == 3  # beliefs age with rollouts, not with requests


@pytest.mark.parametrize("partial", [False, True])
def test_oversampling_begins_as_many_groups_as_are_expected_to_fill_a_rollout(slime, make_args, partial):
    """prime-rl#636: a fixed size begins too few groups, and waits for a second request, or too many."""
    requests = {}
    for oversample in (False, True):
        args = make_args(partial_rollout=partial, over_sampling_batch_size=8)
        source = source_of(slime, curriculum=gated, oversample=oversample)(args)
        sizes, original = [], source.get_samples

        def spy(n, sizes=sizes, original=original):
            groups = original(n)
            sizes.append(len(groups))
            return groups

        source.get_samples = spy
        trained = roll(source, args, 12)
        assert all(len(ids) == 8 for ids in trained)
        requests[oversample] = sizes
    # A fifth of the prompts is informative in 7 of 8 groups: of 8 groups, one or two are kept.
    assert len(requests[True]) < 0.6 * len(requests[False])
    assert np.mean(requests[True]) > 20
    assert max(requests[True]) <= PROMPTS


def test_oversampling_begins_no_more_groups_than_a_quota_leaves(slime, make_args):
    def level_0(source, pool):
        gate = gates.Informative(max_rounds=1)
        return Curriculum(pool, "uniform", rollouts=K, gates=gate, quota={"0": 1.0})

    source = source_of(slime, curriculum=level_0, category_key="level", oversample=True)(make_args())
    for group in source.get_samples(8):
        for sample in group:
            sample.reward = 0.0
        assert not source.observe(group)
    assert len(source.get_samples(8)) == PROMPTS // 5


@pytest.mark.parametrize("partial", [False, True])
def test_exact_resume(slime, make_args, partial):
    cls = source_of(slime)
    args = make_args(partial_rollout=partial)
    whole = cls(args)
    roll(whole, args, 4)
    whole.save(3)
    waiting = [group[0].metadata["id"] for group in whole.buffer]
    args.finish = make_args(luck=9).finish
    expected = selected(whole)
    roll(whole, args, 1, first=4)

    again = make_args(partial_rollout=partial, load=args.save, luck=9)
    resumed = cls(again)
    resumed.load(3)
    seen = selected(resumed)
    trained = roll(resumed, again, 1, first=4)
    # What waited in the buffer, which slime does not save, is rolled out from scratch.
    assert seen == waiting + expected
    assert bool(waiting) == partial
    assert len(trained[0]) == 8
    assert resumed.sample_group_index == whole.sample_group_index + len(waiting)
    if not partial:
        assert resumed.metrics() == whole.metrics()
        assert np.array_equal(
            resumed._in_flight.curriculum.selector.predict(), whole._in_flight.curriculum.selector.predict()
        )


def test_checkpoints_that_do_not_fit(slime, make_args, tmp_path):
    from slime.rollout.data_source import RolloutDataSourceWithBuffer

    args = make_args()
    RolloutDataSourceWithBuffer(args).save(0)
    with pytest.raises(CheckpointError, match="saved without a curriculum"):
        source_of(slime)(make_args(load=args.save)).load(0)
    source_of(slime)(make_args(load=args.save)).load(-1)  # a fresh start from a converted model: nothing saved at all
    source_of(slime, curriculum="mopps")(args).save(0)
    with pytest.raises(CheckpointError, match="selector 'mopps', this curriculum has 'edge'"):
        source_of(slime)(make_args(load=args.save)).load(0)
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"text": "x", "metadata": {"id": "q"}}))
    with pytest.raises(PoolError, match="another dataset"):
        source_of(slime, curriculum="mopps")(make_args(load=args.save, prompt_data=str(other))).load(0)


def test_success_is_the_users(slime, make_args):
    args = make_args(reward_key="total")

    def finish(rollout_id, pending):
        for group in pending:
            for place, sample in enumerate(group):
                sample.reward = {"total": 2.0 if place else -1.0, "right": place < 3}
        return pending, []

    args.finish = finish
    with pytest.raises(RewardError, match=r"prompt 'p\d+' has reward -1.0, outside \[0, 1\].*success="):
        roll(source_of(slime)(args), args, 1)
    by_threshold = source_of(slime, success=1.5)(args)
    roll(by_threshold, args, 1)
    assert by_threshold.metrics()["success_rate"] == 3 / 4
    by_function = source_of(slime, success=lambda self, sample: sample.reward["right"] and sample.index >= 0)(args)
    roll(by_function, args, 1)
    assert by_function.metrics()["success_rate"] == 3 / 4
    wrong = source_of(slime, success=lambda self, sample: 1.0)(args)
    with pytest.raises(RewardError, match="success must return 4 bools"):
        roll(wrong, args, 1)


@pytest.mark.parametrize("key", [None, "score"])
def test_rewards_that_are_dicts_without_the_entry_named_say_so(slime, make_args, key):
    # slime#1470: unsupported operand type(s) for +: 'int' and 'dict'.
    args = make_args(reward_key=key)
    source = source_of(slime, success="right")(args)
    group = source.get_samples(1)[0]
    for sample in group:
        sample.reward = {"total": 1.0, "right": True}
    with pytest.raises(
        RewardError, match=r"prompt 'p\d+' has the reward \{'total': 1.0, .*which is no number.*--reward-key"
    ):
        slime.observe(args, group)
    assert source.metrics()["rollouts"] == 0


def test_an_entry_of_a_reward_that_is_no_dict_is_refused_in_words(slime, make_args):
    args = make_args()
    (group,) = source_of(slime, success="accuracy")(args).get_samples(1)
    for sample in group:
        sample.reward = 1.0
    with pytest.raises(RewardError, match=r"has the reward 1\.0, which is no dict: success='accuracy' names an entry"):
        slime.observe(args, group)


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("id_key", [None, "id"])
def test_rollouts_that_write_over_their_prompt_and_metadata_are_still_of_their_prompt(
    slime, make_args, id_key, partial
):
    """As slime's examples search-r1 (`sample.prompt`) and coding_agent_rl (`sample.metadata`) do."""
    from slime.rollout.sglang_rollout import generate_rollout

    args = make_args(partial_rollout=partial)
    source, finish, observed = source_of(slime, id_key=id_key)(args), args.finish, []

    def written_over(rollout_id, pending):
        done, rest = finish(rollout_id, pending)
        for group in done:
            for sample in group:
                sample.prompt, sample.metadata = "a template around it", {"exit_code": 0}
        return done, rest

    args.finish = written_over
    listener = SimpleNamespace(
        restored=None, observed=lambda step, rows, s, k: observed.extend(zip(rows, s / k, strict=True))
    )
    source._in_flight.curriculum.listeners.append(listener)
    for rollout in range(4):
        generate_rollout(args, rollout, source)
    assert len(observed) >= 4 * args.rollout_batch_size
    assert all(rate == RATES[row % 5] for row, rate in observed if RATES[row % 5] != 0.5)
    assert source.metrics()["unmatched_groups"] == 0


def test_rollouts_that_failed_and_those_that_fan_out(slime, make_args):
    args = make_args()
    source = source_of(slime)(args)
    groups = source.get_samples(3)
    for group, rewards in zip(groups, [(1.0, None, 0.0, None), (None,) * 4, (1.0, 0.0, 0.0, 0.0)], strict=True):
        for sample, reward in zip(group, rewards, strict=True):
            sample.reward = reward
    # A rollout of two samples with rewards 1 and 0.2 has 0.6: correct.
    from copy import copy

    second = copy(groups[2][0])
    second.reward = 0.2
    groups[2][0] = [groups[2][0], second]
    assert [slime.observe(args, group).keep for group in groups] == [True, False, True]
    numbers = source.metrics()
    assert numbers["rollouts"] == 2 + 4
    assert numbers["success_rate"] == 2 / 6
    assert numbers["forgotten"] == 1
    # The same group once more: it is in flight no longer.
    assert slime.observe(args, groups[0]).keep
    assert source.metrics()["unmatched_groups"] == 1
    assert source.metrics()["rollouts"] == 6


def test_a_result_for_a_prompt_that_is_not_in_the_dataset_any_more(slime, make_args, caplog):
    args = make_args()
    source = source_of(slime)(args)
    (group,) = source.get_samples(1)
    for sample in group:
        # As one that an earlier process began.
        sample.reward, sample.group_index, sample.metadata = 1.0, -1, {**sample.metadata, "id": "gone"}
    assert slime.observe(args, group).keep
    source.add_samples([group])
    assert source.metrics()["unmatched_groups"] == 1
    assert source.metrics()["rollouts"] == 0
    assert "'gone', which is not in the dataset any more" in caplog.text
    source.save(0)


def test_metrics_are_added_to_slimes(slime, make_args):
    args = make_args()
    source = source_of(slime)(args)
    roll(source, args, 2)
    logged, metrics = {"rollout/x": 1.0}, source.metrics()
    assert slime.log_rollout(1, args, [], logged, 0.5) is False
    assert logged["edgewise/effective_ratio"] == metrics["effective_ratio"]
    assert logged["rollout/x"] == 1.0


@pytest.mark.parametrize("answer", [{True, False}, {0: True, 1: False}, "ab"])
def test_correctness_without_an_order_is_refused(answer):
    with pytest.raises(RewardError, match="the results of success must be a list or an array"):
        Success(lambda rewards: answer).read(np.array([0.0, 1.0]), np.array(["a", "b"]))


def test_metadata_that_is_text_is_refused_in_words(slime, make_args, tmp_path):
    path = tmp_path / "text.jsonl"
    path.write_text("".join(json.dumps({"text": f"p{i}", "metadata": json.dumps({"id": i})}) + "\n" for i in range(9)))
    with pytest.raises(ConfigError, match=r"prompt 0 has the metadata '.*', a str: id_key names a key of a dict"):
        source_of(slime)(make_args(prompt_data=str(path)))


def test_rollouts_without_samples_leave_the_others_of_their_group(slime, make_args, caplog):
    source = source_of(slime)(make_args())
    first, second = source.get_samples(2)
    for sample in (*first, *second):
        sample.reward = 1.0
    assert source.observe([[], [first[1]], first[2:]])
    assert source.metrics()["rollouts"] == 2
    assert not source.observe([[], []])
    assert "a group without samples" in caplog.text
    # Nothing that names its prompt is left: counted, and no belief changes.
    for sample in second:
        sample.group_index = sample.metadata = None
    source.observe(second)
    assert source.metrics()["unmatched_groups"] == 1
    assert source.metrics()["rollouts"] == 2


def test_without_an_id_the_prompt_is_hashed_and_that_is_said(slime, make_args, caplog):
    with caplog.at_level(logging.WARNING, "edgewise"):
        source = source_of(slime, id_key=None)(make_args())
    assert "no id_key given" in caplog.text
    assert len(set(source._in_flight.curriculum.pool.ids.tolist())) == PROMPTS


@pytest.mark.parametrize(
    ("attributes", "changed", "message"),
    [
        (
            {},
            {"dynamic_sampling_filter_path": None},
            "add --dynamic-sampling-filter-path edgewise.adapters.slime.observe",
        ),
        ({}, {"prompt_data": None}, "give --prompt-data"),
        (
            {"id_key": "uid"},
            {},
            r"prompt 0 has no 'uid' in its metadata, which id_key names \(it has id, level, rate\)",
        ),
        ({"id_key": "level"}, {}, "rows 0 and 5 have the same id 0"),
        ({"curriculum": "edgy"}, {}, "unknown method 'edgy'"),
        ({"curriculum": 3}, {}, "name of a selector or a function"),
        ({"curriculum": lambda self, pool: Curriculum(pool, rollouts=8)}, {}, "make the curriculum with rollouts=4"),
        ({"curriculum": lambda self, pool: Curriculum(PromptPool(["a"]), rollouts=K)}, {}, "over the pool it is given"),
        ({"curriculum": lambda pool: Curriculum(pool, rollouts=K)}, {}, r"a method, def curriculum\(self, pool\)"),
        ({"success": lambda sample: True}, {}, r"a method, def success\(self, sample\)"),
        (
            {"curriculum": lambda self, pool: Curriculum(pool, gates=gates.make_gate("informative"), rollouts=K)},
            {},
            "make the gate with max_rounds=1",
        ),
    ],
)
def test_what_does_not_fit_is_named_at_once(slime, make_args, attributes, changed, message):
    with pytest.raises(ConfigError, match=message):
        source_of(slime, **attributes)(make_args(**changed))


def test_a_filter_that_observes_nothing_stops_the_run(slime, make_args):
    args = make_args(dynamic_sampling_filter_path="tests.adapters.test_slime.keeps_all")
    source = source_of(slime)(args)
    roll(source, args, 1)
    with pytest.raises(ConfigError, match="60 groups were selected and no reward reached the curriculum"):
        roll(source, args, 5)


def keeps_all(args, group):
    return SimpleNamespace(keep=True)


def test_a_filter_without_a_data_source(slime):
    with pytest.raises(ConfigError, match=r"--data-source-path edgewise\.adapters\.slime\.CurriculumDataSource"):
        slime.observe(None, [])
