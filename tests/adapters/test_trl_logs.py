"""What selection did, in TRL's own log of completions, as `edgewise watch` and `edgewise replay` read it.

GRPO alone: TRL's RLOO trainer writes no file of completions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl")
pytest.importorskip("pyarrow")
from tests.adapters.known_rates import spy

from edgewise import Curriculum, PromptPool
from edgewise.gates import make_gate
from edgewise.replay.logs import read_log
from edgewise.replay.logs.savings import estimate_savings
from edgewise.watch.view import view

pytestmark = pytest.mark.filterwarnings("default")
LOGGED = {"log_completions": True, "num_completions_to_print": 0}


def test_predictions_and_the_random_share_are_in_the_log(make, dataset, tmp_path: Path) -> None:
    curriculum = spy(dataset, random_share=0.5)
    make({**LOGGED, "max_steps": 12}, curriculum=curriculum).train()
    log = read_log(tmp_path / "run")
    found = dict(zip(zip(log.steps.tolist(), log.ids[log.rows].tolist(), strict=True), range(len(log)), strict=True))
    assert len(found) == len(log) == 12 * 4
    for step, batch in enumerate(curriculum.batches, start=1):
        places = [found[step, name] for name in batch.ids.tolist()]
        assert log.predicted[places] == pytest.approx(batch.predicted, abs=1e-6)
        assert log.random[places].tolist() == batch.random.tolist()
    assert log.uniform is False
    assert log.notes == []
    shown = view(log)
    assert shown["comparison"]["random_groups"] == sum(batch.random.sum() for batch in curriculum.batches)
    assert shown["calibration"] is not None
    assert estimate_savings(log, ()).sampling == "random share"


def test_an_evaluation_between_two_steps_keeps_the_columns_aligned(make, dataset, tmp_path: Path) -> None:
    settings = {**LOGGED, "max_steps": 4, "eval_strategy": "steps", "eval_steps": 1, "per_device_eval_batch_size": 4}
    curriculum = spy(dataset)
    make(settings, curriculum=curriculum, eval_dataset=dataset.select(range(2))).train()
    import pandas as pd

    for file in sorted((tmp_path / "run" / "completions").iterdir()):
        frame = pd.read_parquet(file)
        known = frame["edgewise_predicted"].notna()
        selected = frame["edgewise_method"].notna()
        assert known.tolist() == selected.tolist() == frame["edgewise_random"].notna().tolist()
        assert known.any()
        assert not frame["prompt"][~known].isin(set(frame["prompt"][known]) - set(dataset["prompt"][:2])).any()
    log = read_log(tmp_path / "run")
    for step, batch in enumerate(curriculum.batches, start=1):
        # The evaluation has pushed out the first half of them.
        assert log.ids[log.rows[log.steps == step]].tolist() == batch.ids[2:].tolist()
    assert set(log.trials.tolist()) == {4}


def test_ids_that_are_numbers_survive_an_evaluation_beside_them(make, dataset, tmp_path: Path) -> None:
    # Beyond 2 ** 53, where floats hold every second whole number at best.
    numbered = dataset.add_column("number", [10**17 + row for row in range(len(dataset))])
    evaluated = {"eval_strategy": "steps", "eval_steps": 1, "per_device_eval_batch_size": 4}
    curriculum = Curriculum(PromptPool(numbered["number"][:]), rollouts=4)
    trainer = make(
        {**LOGGED, **evaluated},
        curriculum=curriculum,
        train_dataset=numbered,
        eval_dataset=numbered.select(range(1)),
        id_column="number",
    )
    trainer.train()
    found = read_log(tmp_path / "run").ids
    assert len(found) > 3
    assert {int(name) for name in found} <= set(numbered["number"])


def test_a_log_says_whether_its_prompts_were_selected(make, dataset, tmp_path: Path) -> None:
    for name, uniform, kind in (("uniform", True, "uniform"), ("mopps:decay=1.0", False, "alone")):
        folder: Any = tmp_path / name
        make({**LOGGED, "output_dir": str(folder)}, curriculum=spy(dataset, name)).train()
        log = read_log(folder)
        assert log.uniform is uniform
        assert view(log)["headline"]["kind"] == kind
    assert estimate_savings(log, ()).sampling == "selected"


@pytest.mark.parametrize("refill", ["shortfall", "batch"])
def test_the_rounds_of_a_refilled_step_are_all_in_the_log(make, dataset, tmp_path: Path, refill) -> None:
    gate = make_gate("informative", max_rounds=5, refill=refill)
    curriculum = spy(dataset, "uniform", gates=gate)
    make({**LOGGED, "max_steps": 4}, curriculum=curriculum).train()
    log = read_log(tmp_path / "run")
    assert len(curriculum.batches) > 4
    assert sorted(log.ids[log.rows].tolist()) == sorted(name for ids in curriculum.selected() for name in ids)
    assert log.trials.sum() == curriculum.metrics()["rollouts"]
    assert log.informative.mean() == pytest.approx(curriculum.metrics()["mean_effective_ratio"])


def test_without_a_log_of_completions_nothing_is_kept(make, dataset) -> None:
    trainer = make(curriculum=spy(dataset))
    trainer.train()
    assert not trainer._logs["extra"]
    assert not np.any([len(values) for values in trainer._pending_extra_logs.values()])
