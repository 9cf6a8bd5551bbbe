"""verl 0.9's v1 trainer in Edgewise's modes: `fit` itself, on Ray, with a real TransferQueue and a policy of known success rates."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed here: make test-verl")
from tests.adapters.real_verl.entrances import IS_07

if IS_07:
    pytest.skip("verl 0.7 has no v1 trainer", allow_module_level=True)

import ray
import transfer_queue as tq
from tests.adapters.real_verl.cpu_mode import run, trainer
from tests.adapters.real_verl.verl_data import BATCH, GROUP, configured, informative, rows

from edgewise.adapters.verl import modes
from edgewise.errors import CheckpointError, ConfigError, RewardError
from edgewise.replay.logs import read_log
from edgewise.replay.logs.savings import estimate_savings

MODE = ("trainer.v1.trainer_mode=edgewise", "+data.edgewise.selector=edge")
STEPS = "trainer.total_training_steps"


SEPARATE = (
    "trainer.v1.trainer_mode=edgewise_separate_async",
    "actor_rollout_ref.hybrid_engine=False",
    "actor_rollout_ref.rollout.nnodes=1",
    "actor_rollout_ref.rollout.n_gpus_per_node=1",
    "actor_rollout_ref.rollout.checkpoint_engine.backend=nccl",
    f"actor_rollout_ref.actor.ppo_mini_batch_size={BATCH // 2}",
    "trainer.v1.separate_async.parameter_sync_step=2",
)


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    config = configured(
        tmp_path_factory.mktemp("queue"),
        "transfer_queue.enable=True",
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
    )
    _start_ray()
    tq.init(config.transfer_queue)
    yield
    tq.close()
    ray.shutdown()


def _start_ray(attempts: int = 5) -> None:
    """Ray gives its node 30 seconds to start, which a busy machine may not manage."""
    for left in reversed(range(attempts)):
        try:
            ray.init(num_cpus=2, include_dashboard=False)
        except Exception:
            ray.shutdown()
            if not left:
                raise
        else:
            return


def selection_of(made: Any) -> Any:
    return made.train_dataloader.selection


def test_verl_finds_the_modes_by_the_entry_point():
    # In a process that imports verl alone.
    code = (
        "import verl; from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY as found;"
        "print(*sorted(name for name in found if name.startswith('edgewise')), found['edgewise'].__mro__[2].__name__)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split()[-4:] == [
        "edgewise",
        "edgewise_colocate_async",
        "edgewise_separate_async",
        "PPOTrainerSync",
    ]


def test_more_groups_are_informative_than_with_uniform_prompts(queue, config, tmp_path):
    _, uniform = run(config(f"{STEPS}=24", f"trainer.default_local_dir={tmp_path / 'uniform'}"))
    made, edge = run(config(*MODE, f"{STEPS}=24"))
    assert [len(set(step)) for step in edge.selected] == [BATCH] * 24 == [len(step) for step in uniform.selected]
    assert informative(uniform.selected) < 0.3
    assert informative(edge.selected[8:]) > 0.6
    # In verl's own log, of each step.
    assert [metrics["edgewise/rollouts"] for metrics in made.logged] == [BATCH * GROUP * step for step in range(1, 25)]
    assert made.logged[-1]["edgewise/mean_effective_ratio"] > 0.5
    assert {"edgewise/effective_ratio", "edgewise/spearman", "critic/score/mean"} <= made.logged[-1].keys()
    assert made.trainer_mode == "sync"


@pytest.mark.parametrize("stop", [6, 9])
def test_a_resumed_run_selects_what_the_uninterrupted_one_does(queue, tmp_path, stop):
    options = (*MODE, f"{STEPS}=12", "trainer.save_freq=2", "data.seed=3")
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole, all_selected = run(configured(tmp_path / "whole", *options))
    _, first = run(configured(tmp_path / "parts", *options), stop=stop)
    second, rest = run(configured(tmp_path / "parts", *options))
    assert first.selected == all_selected.selected[: stop - 1]
    assert rest.selected == all_selected.selected[(stop - 1) // 2 * 2 :]
    np.testing.assert_equal(
        selection_of(whole).state_dict()["edgewise"]["curriculum"],
        selection_of(second).state_dict()["edgewise"]["curriculum"],
    )


def test_steps_in_several_fetches_are_selected_at_once(queue, config):
    made, policy = run(config(*MODE, f"{STEPS}=3", "data.gen_batch_size=2"))
    assert [len(set(step)) for step in policy.selected] == [BATCH] * 3
    assert made.logged[-1]["edgewise/steps"] == 3


@pytest.mark.parametrize("allocation", ["knapsack", "cures"])
@pytest.mark.parametrize("mode", ["edgewise", "edgewise_colocate_async"])
def test_rollouts_by_prompt_keep_the_total_of_a_step(queue, config, allocation, mode):
    """verl#4585: more rollouts for prompts on which they are worth more."""
    options = (f"trainer.v1.trainer_mode={mode}", f"+data.edgewise.allocation={allocation}", f"{STEPS}=8")
    made, policy = run(config(*options, "+data.edgewise.random_share=0.3"))
    metrics = made.logged[-1]
    assert metrics["edgewise/rollouts"] == 8 * BATCH * GROUP
    assert len(set(policy.rollouts.values())) > 1
    assert min(policy.rollouts.values()) >= 2
    assert metrics["edgewise/forgotten"] == 0
    assert metrics["edgewise/tokens"] == 3 * metrics["edgewise/rollouts"]


def test_failed_and_partial_groups(queue, config):
    # Ids of row % 4 == 2, "even": without rollouts, or with one less.
    made, _ = run(config(*MODE, f"{STEPS}=12"), failing={3 * 2 + 1, 3 * 6 + 1}, short={3 * 10 + 1, 3 * 14 + 1})
    metrics = made.logged[-1]
    assert metrics["edgewise/forgotten"] >= 1
    assert metrics["edgewise/rollouts"] < 12 * BATCH * GROUP - GROUP * metrics["edgewise/forgotten"] + 1
    assert metrics["edgewise/in_flight"] == 0


def test_verls_dynamic_sampling_is_refilled_by_the_curriculum(queue, config):
    made, policy = run(
        config(*MODE, f"{STEPS}=6", "algorithm.filter_groups.enable=True", "algorithm.filter_groups.metric=reward")
    )
    metrics = made.logged[-1]
    # Groups that verl dropped were observed as well, and each step kept its number of groups.
    assert metrics["edgewise/steps"] == 6
    assert metrics["edgewise/rollouts"] == GROUP * sum(len(request) for request in policy.selected)
    assert len(policy.selected) > 6
    assert metrics["edgewise/in_flight"] == 0
    assert sum(logged["edgewise/effective_ratio"] for logged in made.logged) > 0


def test_groups_stay_in_flight_between_steps_where_verl_is_asynchronous(queue, config, tmp_path):
    options = ("trainer.v1.trainer_mode=edgewise_colocate_async", f"{STEPS}=8", "trainer.save_freq=4")
    made, _ = run(config(*options))
    assert made.trainer_mode == "colocate_async"
    # One batch of warm-up is always ahead.
    assert made.logged[-1]["edgewise/in_flight"] == BATCH
    assert made.logged[-1]["edgewise/rollouts"] == 8 * BATCH * GROUP
    assert made.logged[-1]["edgewise/forgotten"] == 0
    state = made.train_dataloader.state_dict()
    assert len(state["uids"]) == BATCH == len(state["prompts"])
    fresh = trainer(configured(tmp_path, *options))
    fresh._setup()
    assert fresh.train_dataloader.groups == made.train_dataloader.groups
    assert sorted(fresh.train_dataloader.selection.curriculum.in_flight) == sorted(
        state["edgewise"]["curriculum"]["flight"]["row"]
    )


@pytest.mark.parametrize(
    "mode",
    [
        ("trainer.v1.trainer_mode=edgewise_colocate_async",),
        (*SEPARATE, "trainer.v1.separate_async.num_warmup_batches=1"),
    ],
    ids=["colocated", "separate"],
)
def test_an_asynchronous_run_resumes_with_the_groups_that_were_in_flight(queue, config, mode):
    # Which of the groups of its first step verl trains on is up to their random uids: two runs cannot be compared.
    options = (*mode, "trainer.save_freq=4")
    first, _ = run(config(*options, f"{STEPS}=4"))
    waiting = set(first.train_dataloader.groups)
    second, rest = run(config(*options, f"{STEPS}=8"))
    assert len(waiting) == BATCH == len(second.train_dataloader.groups)
    # verl finds the groups in its restored queue: as many requests as steps, and every group is observed.
    assert [len(request) for request in rest.selected] == [BATCH] * 4
    assert not waiting & set(second.train_dataloader.groups)
    assert second.logged[-1]["edgewise/forgotten"] == 0
    assert second.logged[-1]["edgewise/rollouts"] == 8 * BATCH * GROUP


@pytest.mark.parametrize("warmup", [0, 1])
def test_the_separate_trainer_updates_twice_on_each_selection(queue, config, warmup):
    """Its loop, queue, buffer and advantages are real; its servers and workers, which need GPUs, are not."""
    made, policy = run(config(*SEPARATE, f"trainer.v1.separate_async.num_warmup_batches={warmup}", f"{STEPS}=10"))
    assert made.trainer_mode == "separate_async"
    assert [len(set(request)) for request in policy.selected] == [BATCH] * (10 + warmup)
    metrics = made.logged[-1]
    assert metrics["edgewise/rollouts"] == 10 * BATCH * GROUP
    assert metrics["edgewise/in_flight"] == warmup * BATCH
    assert (metrics["edgewise/forgotten"], metrics["edgewise/unmatched_groups"]) == (0, 0)
    assert metrics.get("edgewise/mean_staleness", 0) == pytest.approx(warmup, abs=0.3)


@pytest.mark.parametrize("mode", ["edgewise", "edgewise_colocate_async"])
def test_several_outputs_of_a_session_are_one_rollout(queue, config, mode):
    made, _ = run(config(f"trainer.v1.trainer_mode={mode}", f"{STEPS}=6"), outputs=3)
    metrics = made.logged[-1]
    assert metrics["edgewise/rollouts"] == 6 * BATCH * GROUP
    # Two of four sessions have three outputs of three tokens.
    assert metrics["edgewise/tokens"] == 6 * BATCH * (2 * 3 + 2 * 9)
    assert (metrics["edgewise/forgotten"], metrics["edgewise/unmatched_groups"]) == (0, 0)


def test_success_from_what_the_reward_function_returns(queue, config, tmp_path):
    (tmp_path / "mine.py").write_text("def wrong(scores, info):\n    return ~info['acc'].astype(bool)\n")
    success = (f"+data.edgewise.success.path={tmp_path / 'mine.py'}", "+data.edgewise.success.name=wrong")
    plain, _ = run(config(*MODE, f"{STEPS}=1", "trainer.save_freq=-1"))
    other, _ = run(config(*MODE, *success, f"{STEPS}=1", "trainer.save_freq=-1"))
    rates = [made.logged[0]["edgewise/success_rate"] for made in (plain, other)]
    assert sum(rates) == 1
    assert rates[0] != 0.5


def test_scores_outside_the_unit_interval_stop_the_run(queue, config, monkeypatch):
    monkeypatch.setattr("tests.adapters.real_verl.cpu_mode.score", lambda *_: -1.0)
    with pytest.raises(RewardError, match=r"has reward -1\.0, outside"):
        run(config(*MODE, f"{STEPS}=2"))


def test_a_checkpoint_without_a_curriculum_is_refused(queue, config, tmp_path):
    run(config(f"{STEPS}=2", "trainer.save_freq=2"))
    with pytest.raises(CheckpointError, match="saved without a curriculum"):
        run(config(*MODE, f"{STEPS}=4"))
    (tmp_path / "run" / "global_step_2" / "data.pt").unlink()
    with pytest.raises(CheckpointError, match=r"step 2 holds no data\.pt"):
        run(config(*MODE, f"{STEPS}=4"))


def test_a_checkpoint_of_another_selector_is_refused(queue, config):
    run(config(*MODE, f"{STEPS}=2", "trainer.save_freq=2"))
    with pytest.raises(CheckpointError, match="saved with selector 'edge', this curriculum has 'uniform'"):
        run(config(MODE[0], "+data.edgewise.selector=uniform", f"{STEPS}=4"))


def test_a_buffer_that_throws_groups_away_unseen(config, tmp_path):
    (tmp_path / "mine.py").write_text("class Buffer:\n    def __init__(self, **_): ...\n")
    custom = "trainer.v1.sampler.custom_sampler."
    with pytest.raises(ConfigError, match="derive it from verl's ReplayBuffer"):
        trainer(config(*MODE, f"{custom}path={tmp_path / 'mine.py'}", f"{custom}name=Buffer"))


def test_data_that_do_not_fit_stop_the_run_before_it_starts(config):
    repeated = [*rows(), rows()[0]]
    made = trainer(config(*MODE, data=repeated))
    made.tokenizer = made.processor = None
    with pytest.raises(ConfigError, match="rows 0 and 64 have the same id 1"):
        made._init_dataloader()


@pytest.mark.parametrize("batches", [1, 2])
def test_a_dataset_that_dynamic_sampling_may_use_up_is_refused_before_the_run(config, batches):
    dynamic = ("algorithm.filter_groups.enable=True", "algorithm.filter_groups.metric=reward")
    settings = (*MODE, *dynamic, f"algorithm.filter_groups.max_inflight_gen_batches={batches}")
    for count in (BATCH * (1 + batches) - 1, BATCH * (1 + batches)):
        made = trainer(config(*settings, data=rows(count)))
        made.tokenizer = made.processor = None
        if count < BATCH * (1 + batches):
            with pytest.raises(ConfigError, match=f"{count + 1} prompts in flight at data.train_batch_size={BATCH}"):
                made._init_dataloader()
        else:
            made._init_dataloader()


def test_prompts_that_were_not_selected(config):
    made = trainer(config(*MODE))
    made.tokenizer = made.processor = None
    made._init_dataloader()
    with pytest.raises(ConfigError, match="were not selected"):
        next(made.train_dataloader)


@pytest.mark.parametrize("mode", ["edgewise", "edgewise_colocate_async"])
def test_predictions_and_the_random_share_are_in_verls_own_log_of_rollouts(queue, config, tmp_path, mode):
    folder = tmp_path / "rollouts"
    options = (f"trainer.v1.trainer_mode={mode}", "+data.edgewise.selector=edge", "+data.edgewise.random_share=0.3")
    made, _ = run(config(*options, f"{STEPS}=6", f"trainer.rollout_data_dir={folder}"))
    records = [json.loads(line) for step in range(1, 7) for line in (folder / f"{step}.jsonl").open()]
    assert len(records) == 6 * BATCH * GROUP
    assert {record["edgewise_method"] for record in records} == {"edge"}
    # The ids of the curriculum, which the rendered prompt does not give.
    names = {record["edgewise_id"] for record in records}
    assert names <= {str(name) for name in made.train_dataloader.selection.pool.ids.tolist()}
    by_uid: dict[str, set[tuple[str, float, bool]]] = {}
    for record in records:
        by_uid.setdefault(record["uid"].split("_")[0], set()).add(
            (record["edgewise_id"], record["edgewise_predicted"], record["edgewise_random"])
        )
    # One prompt and one prediction a group, and both kinds of prompts.
    assert len(by_uid) == 6 * BATCH
    assert all(len(found) == 1 for found in by_uid.values())
    assert {random for ((_, _, random),) in by_uid.values()} == {True, False}
    assert set(made.train_dataloader.marks) == set(made.train_dataloader.groups)
    log = read_log(folder)
    assert log.uniform is False
    assert not np.isnan(log.predicted).any()
    assert set(log.ids.tolist()) == names
    assert estimate_savings(log, ()).sampling == "random share"


def test_what_reward_functions_return_beside_the_score_keeps_its_types() -> None:
    fields = [{"reward_extra_info": {"acc": 1.0, "note": "short", "parts": [1]}}, None, {"reward_extra_info": None}]
    found = modes._info([*fields, {"reward_extra_info": {"acc": 0.0, "note": 3, "parts": [1, 2]}}])
    assert {name: column.tolist() for name, column in found.items()} == {
        "acc": [1.0, None, None, 0.0],
        "note": ["short", None, None, 3],
        "parts": [[1], None, None, [1, 2]],
    }
