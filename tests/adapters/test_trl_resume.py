"""A run that is killed and resumed selects what the uninterrupted one would have."""

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
    """Run to the end; run again from the checkpoint `at` on. Selections from there on and all beliefs must be the same."""
    gate, same_texts = options.pop("gate", None), options.pop("same_texts", True)
    runs = []
    for name in ("whole", "resumed"):
        made = gates.make_gate("informative", max_rounds=4) if gate else None
        curriculum = spy(dataset, random_share=0.25, gates=made)
        trainer = make(
            {**SAVE, **settings, "output_dir": str(tmp_path / name)},
            curriculum=curriculum,
            trace=tmp_path / f"{name}.npz",
            **options,
        )
        runs.append(trainer)
    whole, resumed = runs
    whole.train()
    (tmp_path / "resumed.npz").write_bytes((tmp_path / "whole.npz").read_bytes())
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{at}"))
    selected, done = whole.curriculum.selected(), whole.curriculum.saved[f"checkpoint-{at}"]
    assert 0 < done < len(selected)
    assert resumed.curriculum.selected() == selected[done:]
    assert np.array_equal(resumed.curriculum.selector.predict(), whole.curriculum.selector.predict())
    metrics = [trainer.curriculum.metrics() for trainer in runs]
    compared = [name for name in metrics[0] if same_texts or "tokens" not in name]
    assert [metrics[0][name] for name in compared] == [metrics[1][name] for name in compared]
    assert metrics[0].keys() == metrics[1].keys()
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
    _, resumed = check_resume(make, dataset, tmp_path, settings, at=2, reward_funcs=reward, gate=gate, same_texts=False)
    again = seen[len(seen) - len(resumed.curriculum.batches) - 1]
    assert len(again) == 4
    assert again not in resumed.curriculum.selected()
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
    with pytest.raises(CheckpointError, match="saved with selector 'mopps', this curriculum has 'edge'"):
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


@pytest.mark.parametrize(("size", "steps", "iterations"), [(8, 2, 2), (16, 1, 2), (4, 4, 2)])
def test_the_other_half_of_a_generation_on_other_devices(make, dataset, tmp_path, size, steps, iterations):
    """Half of 4 backward passes are half of 2 and of 8, where a generation has as many prompts."""
    spread = {"gradient_accumulation_steps": 1}
    make({**SAVE, **spread, "num_iterations": 4, "max_steps": 2}).train()
    resumed, rolled_out = spy(dataset), []

    def reward(name, rate, **_):
        rolled_out.append(list(dict.fromkeys(name)))
        return by_place(rate)

    settings = {"per_device_train_batch_size": size, "steps_per_generation": steps, "num_iterations": iterations}
    passes = steps * iterations
    trainer = make({**settings, **spread, "max_steps": 2 + passes // 2 + 1}, curriculum=resumed, reward_funcs=reward)
    trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
    # The rest of the generation that was cut, without being counted again, and the next.
    assert rolled_out[1:] == resumed.selected()
    assert len(resumed.batches) == 1
    assert resumed.metrics()["rollouts"] == 2 * 16


def test_a_part_of_a_generation_that_other_settings_do_not_have(make, dataset, tmp_path):
    make({**SAVE, "num_iterations": 3, "max_steps": 2}).train()
    with pytest.raises(
        CheckpointError, match="after 2 of 3 backward passes on it, and this run makes 2: resume it with"
    ):
        make({"num_iterations": 2}).train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))


def test_a_trainer_resumes_its_own_checkpoint(make, dataset, tmp_path):
    """As in a notebook, where the same trainer has gone on before: its completions are not those of the checkpoint."""
    curriculum, rolled_out = spy(dataset), []

    def reward(name, rate, **_):
        rolled_out.append(list(dict.fromkeys(name)))
        return by_place(rate)

    trainer = make({**SAVE, "num_iterations": 3}, curriculum=curriculum, reward_funcs=reward)
    trainer.train()
    trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
    first, second, again, third = rolled_out
    assert again == first
    assert third == second
    assert curriculum.metrics()["rollouts"] == 2 * 16


@pytest.mark.parametrize("size", [8, 16])
def test_other_batch_settings_between_two_generations(make, dataset, tmp_path, size):
    # transformers#43708: smaller batches with more accumulation after a run that needed too much memory.
    make({**SAVE, "save_steps": 3, "max_steps": 3}).train()
    resumed, rolled_out = spy(dataset), []

    def reward(name, rate, **_):
        rolled_out.append(list(dict.fromkeys(name)))
        return by_place(rate)

    settings = {**SAVE, "max_steps": 5, "per_device_train_batch_size": size, "gradient_accumulation_steps": 2}
    trainer = make(settings, curriculum=resumed, reward_funcs=reward)
    trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-3"))
    # Nothing of what the first run has trained on is rolled out again.
    assert rolled_out == resumed.selected()
    assert [len(names) for names in rolled_out] == [size // 2] * 2
    assert resumed.metrics()["rollouts"] == 3 * 16 + 2 * 2 * size


def test_a_generation_that_was_cut_whose_prompts_have_left_the_dataset_is_selected_anew(make, dataset, tmp_path):
    settings = {**SAVE, "num_iterations": 3}
    first = spy(dataset)
    make({**settings, "max_steps": 2}, curriculum=first).train()
    left = dataset.filter(lambda row: row["name"] != first.batches[0].ids[1])
    resumed = spy(left)
    make(settings, curriculum=resumed, train_dataset=left).train(
        resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2")
    )
    # The rest of the first generation, and the second.
    assert [len(batch) for batch in resumed.batches] == [4, 4]
    assert resumed.metrics()["rollouts"] == 3 * 16


def test_the_saved_curriculum_can_be_read_alone(make, dataset, tmp_path):
    trainer = make({**SAVE, "max_steps": 2}, category_column="kind")
    trainer.train()
    pool = PromptPool(dataset["name"][:], dataset["kind"][:])
    loaded = Curriculum(pool, "edge", rollouts=4)
    loaded.load(Path(tmp_path / "run" / "checkpoint-2" / "curriculum.npz"))
    assert np.array_equal(loaded.selector.predict(), trainer.curriculum.selector.predict())
    assert not np.array_equal(loaded.selector.predict(), make_selector("edge", pool).predict())


def test_a_full_disk_leaves_the_last_checkpoint_to_resume_from(make, dataset, tmp_path):
    """The trainer deletes the old checkpoint after the new one is written: the curriculum has to be on disk by then."""
    settings = {**SAVE, "save_total_limit": 1}
    trainer = make(settings)
    save, calls = trainer.curriculum.save, []

    def full(path):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        save(path)

    trainer.curriculum.save = full
    with pytest.raises(OSError, match="No space left"):
        trainer.train()
    (left,) = (tmp_path / "run").glob("checkpoint-*")
    assert left.name == "checkpoint-2"
    make(settings).train(resume_from_checkpoint=str(left))
