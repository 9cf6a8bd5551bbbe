"""verl's `RayPPOTrainer.fit` on selected prompts: 0.7 with the sampler and the dataset, 0.9 (the v0 trainer) with the dataset."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed here: make test-verl")
from tests.adapters.real_verl.cpu_trainer import run
from tests.adapters.real_verl.entrances import ENTRANCES
from tests.adapters.real_verl.verl_data import BATCH, GROUP, PROMPTS, configured, informative

pytestmark = pytest.mark.parametrize("entrance", ENTRANCES.values(), ids=ENTRANCES)
STEPS = "trainer.total_training_steps"


def selection_of(trainer: Any) -> Any:
    sampler = trainer.train_dataloader.sampler
    return sampler.selection if hasattr(sampler, "selection") else trainer.train_dataset.selection


def test_more_groups_are_informative_than_with_uniform_prompts(config, entrance, tmp_path):
    # verl#759, verl#631, verl#954: no curriculum over the sampler.
    uniform = run(config(f"{STEPS}=24", f"trainer.default_local_dir={tmp_path / 'uniform'}"))
    edge = run(config(*entrance, "+data.edgewise.selector=edge", f"{STEPS}=24"))
    assert [len(step) for step in edge.selected] == [BATCH] * 24 == [len(step) for step in uniform.selected]
    assert informative(uniform.selected) < 0.3
    assert informative(edge.selected[8:]) > 0.6
    metrics = selection_of(edge).metrics()
    # The dataset does not get the last step, which verl ends before.
    observed = 24 if "sampler" in entrance[0] else 23
    assert metrics["edgewise/rollouts"] == observed * BATCH * GROUP
    assert metrics["edgewise/mean_effective_ratio"] > 0.5
    assert metrics["edgewise/forgotten"] == 0


def test_metrics_are_written_beside_the_checkpoints(config, entrance, tmp_path):
    run(config(*entrance, f"{STEPS}=4"))
    lines = [json.loads(line) for line in (tmp_path / "run" / "edgewise.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4][: len(lines)]
    assert len(lines) >= 3
    assert {"edgewise/effective_ratio", "edgewise/spearman", "edgewise/rollouts"} <= lines[-1].keys()


def test_metrics_are_in_verls_own_logger(config, entrance, tmp_path, monkeypatch):
    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", str(tmp_path / "log.jsonl"))
    run(config(*entrance, f"{STEPS}=4", "trainer.logger=[file]"))
    lines = [json.loads(line)["data"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    rollouts = [line.get("edgewise/rollouts", 0) for line in lines if "training/global_step" in line]
    # verl 0.9 logs a step before it hands over its rewards.
    late = 0 if "sampler" in entrance[0] else 1
    assert rollouts == [BATCH * GROUP * (step - late) for step in range(1, 5)]
    assert {"edgewise/effective_ratio", "critic/score/mean"} <= lines[-1].keys()


@pytest.mark.parametrize("stop", [6, 9, 11], ids=["within the epoch", "after the epoch", "in the second epoch"])
def test_a_resumed_run_selects_what_the_uninterrupted_one_does(entrance, stop, tmp_path):
    # 8 steps are an epoch; the checkpoint before a stop is the one of an even step.
    options = (*entrance, f"{STEPS}=14", "trainer.save_freq=2", "data.seed=3")
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = run(configured(tmp_path / "whole", *options))
    first = run(configured(tmp_path / "parts", *options), stop=stop)
    saved = (stop - 1) // 2 * 2
    second = run(configured(tmp_path / "parts", *options))
    assert first.selected == whole.selected[: stop - 1]
    assert second.selected == whole.selected[saved:]
    assert PROMPTS // BATCH == 8
    left, right = selection_of(whole).state_dict(), selection_of(second).state_dict()
    for state in (left, right):
        del state["edgewise"]["curriculum"]["flight"]["serial"]  # never the same after a restart
    np.testing.assert_equal(left["edgewise"]["curriculum"], right["edgewise"]["curriculum"])


def test_rewards_that_never_came_are_forgotten_and_logged(entrance, tmp_path, caplog):
    options = (*entrance, f"{STEPS}=8", "trainer.save_freq=4")
    run(configured(tmp_path, *options), stop=6)
    for path in (tmp_path / "run").glob("global_step_4/edgewise_*.npz"):
        path.unlink()
    with caplog.at_level(logging.WARNING, "edgewise"):
        resumed = run(configured(tmp_path, *options))
    assert f"before the rewards of its last checkpoint's {BATCH} prompts came" in caplog.text
    assert len(resumed.selected) == 4
    assert selection_of(resumed).metrics()["edgewise/forgotten"] == BATCH


def test_a_checkpoint_of_another_selector_is_refused(entrance, tmp_path):
    from edgewise.errors import CheckpointError

    run(configured(tmp_path, *entrance, f"{STEPS}=8", "trainer.save_freq=4"), stop=6)
    with pytest.raises(CheckpointError, match="saved with selector 'edge', this curriculum has 'mopps'"):
        run(configured(tmp_path, *entrance, f"{STEPS}=8", "+data.edgewise.selector=mopps"))


def test_a_run_is_resumed_from_a_path(entrance, tmp_path):
    options = (*entrance, f"{STEPS}=8", "trainer.save_freq=4")
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
    assert again.selected == whole.selected[4:]


def test_data_without_an_index_is_identified_by_its_content(config, entrance, caplog):
    from tests.adapters.real_verl.verl_data import rows

    with caplog.at_level(logging.WARNING, "edgewise"):
        trainer = run(config(*entrance, f"{STEPS}=6", data=rows(index=False)))
    assert "no extra_info.index given: a prompt's id is a hash of its content" in caplog.text
    metrics = selection_of(trainer).metrics()
    assert metrics["edgewise/rollouts"] >= 5 * BATCH * GROUP
    assert metrics["edgewise/forgotten"] == 0
