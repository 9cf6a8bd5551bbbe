"""The TRL adapter on the class that `import unsloth` leaves in TRL (a stand-in of it, made from TRL's source)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl")
from tests.adapters.known_rates import by_completion, by_place, scored, spy

from edgewise import gates
from edgewise.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def unsloth() -> Iterator[Any]:
    """The adapter, imported after unsloth."""
    from tests.adapters.standins.unsloth_like import unsloth_imported

    import edgewise.adapters.trl as before

    with unsloth_imported() as patched:
        del sys.modules["edgewise.adapters.trl"]
        adapter = importlib.import_module("edgewise.adapters.trl")
        assert issubclass(adapter.EdgewiseGRPOTrainer, patched)
        try:
            yield adapter
        finally:
            sys.modules["edgewise.adapters.trl"] = before


def test_selected_prompts_are_generated_and_observed(unsloth, make, dataset):
    curriculum, seen = spy(dataset), []

    def reward(name, rate, completions, **_):
        seen.append(name)
        return by_completion(completions, rate)

    trainer = make(cls=unsloth.EdgewiseGRPOTrainer, curriculum=curriculum, reward_funcs=reward)
    trainer.train()
    assert curriculum.events == ["select", "observe"] * 3
    assert seen == [np.repeat(batch.ids, 4).tolist() for batch in curriculum.batches]


def test_refill_merges_what_unsloth_adds_to_the_output(unsloth, make, dataset):
    outputs = []

    class Mine(unsloth.EdgewiseGRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            outputs.append(super()._generate_and_score_completions(inputs))
            return outputs[-1]

    curriculum = spy(dataset, "uniform", gates=gates.Informative(max_rounds=30))
    trainer = make(cls=Mine, curriculum=curriculum)
    trainer.train()
    assert len(curriculum.batches) > 3
    decode, rate_of = trainer.processing_class.batch_decode, dict(zip(dataset["prompt"], dataset["rate"], strict=True))
    for output in outputs:
        prompts = decode(output["prompt_ids"], skip_special_tokens=True)
        completions = decode(output["completion_ids"], skip_special_tokens=True)
        rewards = np.array([scored(c, rate_of[p]) for p, c in zip(prompts, completions, strict=True)]).reshape(4, 4)
        assert ((rewards.mean(axis=1) > 0) & (rewards.mean(axis=1) < 1)).all()
        assert output["max_left_pad"].tolist() == [[int((output["prompt_mask"] == 0).sum(1).max())]] * 16


def test_a_resumed_run_selects_what_the_uninterrupted_one_does(unsloth, make, dataset, tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    whole, resumed = spy(dataset), spy(dataset)
    make(settings, cls=unsloth.EdgewiseGRPOTrainer, curriculum=whole, reward_funcs=by_place).train()
    make(settings, cls=unsloth.EdgewiseGRPOTrainer, curriculum=resumed, reward_funcs=by_place).train(
        resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2")
    )
    assert resumed.selected() == whole.selected()[2:]


def test_unsloth_imported_after_the_adapter_is_named(make):
    from tests.adapters.standins.unsloth_like import unsloth_imported

    from edgewise.adapters.trl import EdgewiseGRPOTrainer

    with unsloth_imported(), pytest.raises(ConfigError, match="import unsloth first"):
        make(cls=EdgewiseGRPOTrainer)
