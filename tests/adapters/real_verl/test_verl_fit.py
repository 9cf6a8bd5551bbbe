"""verl's `RayPPOTrainer.fit` on picked prompts: 0.7 with the sampler and the dataset, 0.9 (the v0 trainer) with the dataset."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed here: make test-verl")
from tests.adapters.real_verl.cpu_trainer import run
from tests.adapters.real_verl.doors import DOORS
from tests.adapters.real_verl.verl_data import BATCH, GROUP, PROMPTS, configured, informative

pytestmark = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
STEPS = "trainer.total_training_steps"


def picker_of(trainer: Any) -> Any:
    sampler = trainer.train_dataloader.sampler
    return sampler.picker if hasattr(sampler, "picker") else trainer.train_dataset.picker


def test_more_groups_are_informative_than_with_uniform_prompts(config, door, tmp_path):
    uniform = run(config(f"{STEPS}=24", f"trainer.default_local_dir={tmp_path / 'uniform'}"))
    edge = run(config(*door, "+data.edgewise.selector=edge", f"{STEPS}=24"))
    assert [len(step) for step in edge.picks] == [BATCH] * 24 == [len(step) for step in uniform.picks]
    assert informative(uniform.picks) < 0.3
    assert informative(edge.picks[8:]) > 0.6
    metrics = picker_of(edge).metrics()
    # The dataset is not told the last step, which verl ends before.
    told = 24 if "sampler" in door[0] else 23
    assert metrics["edgewise/rollouts"] == told * BATCH * GROUP
    assert metrics["edgewise/mean_effective_ratio"] > 0.5
    assert metrics["edgewise/lost_groups"] == 0


def test_what_is_learned_is_written_beside_the_checkpoints(config, door, tmp_path):
    run(config(*door, f"{STEPS}=4"))
    lines = [json.loads(line) for line in (tmp_path / "run" / "edgewise.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4][: len(lines)]
    assert len(lines) >= 3
    assert {"edgewise/effective_ratio", "edgewise/spearman", "edgewise/rollouts"} <= lines[-1].keys()


@pytest.mark.parametrize("stop", [6, 9, 11], ids=["within the epoch", "after the epoch", "in the second epoch"])
def test_a_resumed_run_picks_what_the_uninterrupted_one_does(door, stop, tmp_path):
    # 8 steps are an epoch; the checkpoint before a stop is the one of an even step.
    options = (*door, f"{STEPS}=14", "trainer.save_freq=2", "data.seed=3")
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = run(configured(tmp_path / "whole", *options))
    first = run(configured(tmp_path / "parts", *options), stop=stop)
    saved = (stop - 1) // 2 * 2
    second = run(configured(tmp_path / "parts", *options))
    assert first.picks == whole.picks[: stop - 1]
    assert second.picks == whole.picks[saved:]
    assert PROMPTS // BATCH == 8
    left, right = picker_of(whole).state_dict(), picker_of(second).state_dict()
    np.testing.assert_equal(left["curriculum"], right["curriculum"])


def test_rewards_that_never_came_are_given_up_and_said_so(door, tmp_path, caplog):
    options = (*door, f"{STEPS}=8", "trainer.save_freq=4")
    run(configured(tmp_path, *options), stop=6)
    for path in (tmp_path / "run").glob("global_step_4/edgewise_*.npz"):
        path.unlink()
    with caplog.at_level(logging.WARNING, "edgewise"):
        resumed = run(configured(tmp_path, *options))
    assert f"before the rewards of its last checkpoint's {BATCH} prompts came" in caplog.text
    assert len(resumed.picks) == 4
    assert picker_of(resumed).metrics()["edgewise/lost_groups"] == BATCH


def test_a_checkpoint_of_another_selector_is_refused(door, tmp_path):
    from edgewise.errors import CheckpointError

    run(configured(tmp_path, *door, f"{STEPS}=8", "trainer.save_freq=4"), stop=6)
    with pytest.raises(CheckpointError, match="saved with the selector edge, this run has mopps"):
        run(configured(tmp_path, *door, f"{STEPS}=8", "+data.edgewise.selector=mopps"))


def test_a_run_is_resumed_from_a_path(door, tmp_path):
    options = (*door, f"{STEPS}=8", "trainer.save_freq=4")
    (tmp_path / "data").mkdir()
    whole = run(configured(tmp_path, *options))
    chosen = tmp_path / "run" / "global_step_4"
    again = run(
        configured(
            tmp_path,
            *options,
            "trainer.resume_mode=resume_path",
            f"trainer.resume_from_path={chosen}",
            f"trainer.default_local_dir={tmp_path / 'other'}",
        )
    )
    assert again.picks == whole.picks[4:]


def test_data_without_an_index_is_known_by_its_content(config, door, caplog):
    from tests.adapters.real_verl.verl_data import rows

    with caplog.at_level(logging.WARNING, "edgewise"):
        trainer = run(config(*door, f"{STEPS}=6", data=rows(index=False)))
    assert "no extra_info.index given: a prompt's id is a hash of its content" in caplog.text
    metrics = picker_of(trainer).metrics()
    assert metrics["edgewise/rollouts"] >= 5 * BATCH * GROUP
    assert metrics["edgewise/lost_groups"] == 0
