"""A run that is killed and resumed picks what the uninterrupted one would have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("trl")
from tests.adapters.known_rates import by_completion, by_place, spy

from edgewise import Curriculum, PromptPool, gates, make_selector
from edgewise.errors import CheckpointError, PoolError
from edgewise.replay.trace import Trace

pytestmark = pytest.mark.filterwarnings("default")
SAVE = {"save_strategy": "steps", "save_steps": 2, "max_steps": 6}


def check_resume(make, dataset, tmp_path, settings, at, **options):
    """Run to the end; run again from the checkpoint `at` on. Picks from there on and all beliefs must be the same."""
    gate = options.pop("gate", None)
    runs = []
    for name in ("whole", "resumed"):
        made = gates.make_gate("informative", max_rounds=4) if gate else None
        curriculum = spy(dataset, probe=0.25, gate=made)
        trainer = make(
            {**SAVE, **settings, "output_dir": str(tmp_path / name)},
            curriculum=curriculum,
            trace=tmp_path / f"{name}.npz",
            **options,
        )
        runs.append(trainer)
    whole, resumed = runs
    whole.train()
    steps_before = Curriculum.load(tmp_path / "whole" / f"checkpoint-{at}" / "curriculum.npz", whole.curriculum.pool)
    (tmp_path / "resumed.npz").write_bytes((tmp_path / "whole.npz").read_bytes())
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{at}"))
    picks = whole.curriculum.picks()
    done = steps_before._serial  # batches handed out until the checkpoint
    assert 0 < done < len(picks)
    assert resumed.curriculum.picks() == picks[done:]
    assert np.array_equal(resumed.curriculum.selector.predict(), whole.curriculum.selector.predict())
    assert resumed.curriculum.metrics() == whole.curriculum.metrics()
    traces = [Trace.load(tmp_path / f"{name}.npz") for name in ("whole", "resumed")]
    assert traces[0].steps.tolist() == traces[1].steps.tolist()
    assert traces[0].successes.tolist() == traces[1].successes.tolist()
    return whole, resumed


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("rloo", [False, True])
def test_exact_resume(make, dataset, tmp_path, gate, rloo):
    check_resume(make, dataset, tmp_path, {}, at=2, reward_funcs=by_completion, gate=gate, rloo=rloo)


def test_resume_at_the_end_of_a_reused_generation(make, dataset, tmp_path):
    settings = {"per_device_train_batch_size": 8, "steps_per_generation": 2, "gradient_accumulation_steps": 1}
    check_resume(make, dataset, tmp_path, settings, at=4, reward_funcs=by_completion)


@pytest.mark.parametrize("gate", [False, True])
def test_resume_inside_a_generation_rolls_its_prompts_out_again_without_counting_them_twice(
    make, dataset, tmp_path, gate
):
    seen = []

    def reward(name, rate, **_):
        seen.append(list(dict.fromkeys(name)))
        return by_place(rate)

    # Generated every 3 steps: the checkpoint after step 2 cuts the first generation.
    settings = {"num_iterations": 3, "max_steps": 8}
    _, resumed = check_resume(make, dataset, tmp_path, settings, at=2, reward_funcs=reward, gate=gate)
    again = seen[len(seen) - len(resumed.curriculum.batches) - 1]
    assert len(again) == 4
    assert again not in resumed.curriculum.picks()
    assert set(again) <= set(np.concatenate(seen[:-1]))
    assert resumed.curriculum.metrics()["steps"] == 3


def test_a_checkpoint_without_a_curriculum_is_no_fresh_start(make, dataset, tmp_path):
    make(SAVE).train()
    (tmp_path / "run" / "checkpoint-4" / "curriculum.npz").unlink()
    with pytest.raises(CheckpointError, match=r"checkpoint-4 holds no curriculum\.npz"):
        make(SAVE).train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-4"))


def test_a_checkpoint_of_another_selector_or_dataset(make, dataset, tmp_path):
    make({**SAVE, "max_steps": 2}, curriculum="mopps").train()
    checkpoint = str(tmp_path / "run" / "checkpoint-2")
    with pytest.raises(CheckpointError, match="saved with the selector mopps, this run has edge"):
        make(SAVE).train(resume_from_checkpoint=checkpoint)
    other = dataset.map(lambda row: {"name": "other " + row["name"]})
    with pytest.raises(PoolError, match="another dataset"):
        make(SAVE, curriculum="mopps", train_dataset=other).train(resume_from_checkpoint=checkpoint)


def test_other_batch_settings_inside_a_generation(make, dataset, tmp_path):
    settings = {**SAVE, "num_iterations": 3}
    make({**settings, "max_steps": 2}).train()
    with pytest.raises(CheckpointError, match="inside a generation of 4 prompts, this run generates 2"):
        make({**settings, "per_device_train_batch_size": 8}).train(
            resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2")
        )


def test_the_saved_curriculum_can_be_read_alone(make, dataset, tmp_path):
    trainer = make({**SAVE, "max_steps": 2}, category_column="kind")
    trainer.train()
    pool = PromptPool(dataset["name"][:], dataset["kind"][:])
    loaded = Curriculum.load(Path(tmp_path / "run" / "checkpoint-2" / "curriculum.npz"), pool)
    assert np.array_equal(loaded.selector.predict(), trainer.curriculum.selector.predict())
    assert not np.array_equal(loaded.selector.predict(), make_selector("edge", pool).predict())
