"""Dynamic sampling: a batch put together from several generations is what TRL would have made of those groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl")
import torch
from tests.adapters.known_rates import by_completion, by_place, scored, spy, table

from edgewise import gates
from edgewise.adapters.trl import EdgewiseGRPOTrainer, EdgewiseRLOOTrainer

pytestmark = pytest.mark.filterwarnings("default")


class Outputs:
    """Keeps the output of every generation."""

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        self.__dict__.setdefault("outputs", []).append(output)
        return output


class GRPO(Outputs, EdgewiseGRPOTrainer):
    pass


class RLOO(Outputs, EdgewiseRLOOTrainer):
    pass


def refilled(data: Any, selector: str = "uniform", **options: Any) -> Any:
    return spy(data, selector, gates=gates.make_gate("informative", **options))


@pytest.mark.parametrize("cls", [GRPO, RLOO])
def test_every_group_of_a_refilled_batch_is_whole_and_informative(make, dataset, cls):
    # trl#3708, trl#3973, trl#4764: groups without a gradient are trained on.
    rolled_out = []

    def reward(completions, rate, **_):
        rolled_out.append(len(completions))
        return by_completion(completions, rate)

    curriculum = refilled(dataset, max_rounds=30)
    settings = {"max_completion_length": 6, "beta": 0.0}  # RLOO mixes the divergence into the reward
    trainer = make(settings, rloo=cls is RLOO, cls=cls, curriculum=curriculum, reward_funcs=reward)
    trainer.train()
    assert len(rolled_out) > 3  # there were refills
    assert curriculum.metrics()["rollouts"] == sum(rolled_out)
    rate_of = dict(zip(dataset["prompt"], dataset["rate"], strict=True))
    decode = trainer.processing_class.batch_decode
    for output in trainer.outputs:
        prompts = decode(output["prompt_ids"], skip_special_tokens=True)
        completions = decode(output["completion_ids"], skip_special_tokens=True)
        assert len(set(prompts)) == 4
        assert prompts == np.repeat(prompts[::4], 4).tolist()
        rewards = np.array([scored(c, rate_of[p]) for p, c in zip(prompts, completions, strict=True)]).reshape(4, 4)
        assert ((rewards.mean(axis=1) > 0) & (rewards.mean(axis=1) < 1)).all()
        centred = rewards - rewards.mean(axis=1, keepdims=True)
        expected = centred * 4 / 3 if cls is RLOO else centred / (rewards.std(axis=1, ddof=1, keepdims=True) + 1e-4)
        assert output["advantages"].tolist() == pytest.approx(expected.ravel().tolist(), abs=1e-5)
        # Left-padded prompts, right-padded completions, masks that fit.
        assert (output["prompt_mask"].diff(dim=1) >= 0).all()
        assert (output["completion_mask"].diff(dim=1) <= 0).all()
        assert (output["prompt_ids"][output["prompt_mask"] == 0] == trainer.processing_class.pad_token_id).all()
        if cls is GRPO:
            assert output["num_items_in_batch"] == output["completion_mask"].sum()
    assert sum(line.get("edgewise/padded_groups", 0) for line in trainer.state.log_history) == 0
    assert max(line.get("edgewise/rounds", 0) for line in trainer.state.log_history) > 1


def test_log_probabilities_follow_their_sequences(make, dataset):
    """Generations reused over two steps carry old log-probabilities: those of the merged batch are its own."""
    settings = {"num_iterations": 2, "max_steps": 2, "max_completion_length": 6}
    trainer = make(settings, cls=GRPO, curriculum=refilled(dataset))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    (output,) = trainer.outputs
    assert len(trainer.curriculum.batches) > 1
    trainer.model.load_state_dict(before)
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    mask = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    with torch.no_grad():
        logps, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, output["completion_ids"].shape[1]
        )
    counted = output["completion_mask"].bool()
    torch.testing.assert_close(output["old_per_token_logps"][counted], logps[counted], atol=1e-4, rtol=1e-4)


def test_an_exhausted_step_is_padded_with_groups_that_do_not_train(make):
    # DAPO#22: the run aborts at the cap on generation batches.
    data = table((0.0, 1.0))
    trainer = make(train_dataset=data, cls=GRPO, curriculum=refilled(data, max_rounds=2))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    assert [len(batch) for batch in trainer.curriculum.batches] == [4] * 6
    last = trainer.state.log_history[-2]
    assert last["edgewise/padded_groups"] == 4
    assert last["edgewise/exhausted_steps"] == 3
    assert last["edgewise/rollouts"] == 6 * 16
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("max_rounds", [1, 2])
def test_a_rejected_group_does_not_train_though_its_rewards_differ(make, dataset, max_rounds):
    """The gate wants groups that are always right; those half right are padding and stay silent."""
    gate = gates.make_gate("band", low=0.9, high=1.0, max_rounds=max_rounds)
    curriculum = spy(dataset, "uniform", gates=gate)
    trainer = make(cls=GRPO, curriculum=curriculum, reward_funcs=by_place)
    trainer.train()
    rate_of = dict(zip(dataset["name"], dataset["rate"], strict=True))
    assert any(rate_of[name] == 0.5 for names in curriculum.selected() for name in names)
    for output in trainer.outputs:
        assert (output["advantages"] == 0).all()


def test_only_what_is_missing_is_rolled_out_again(make, dataset):
    curriculum = refilled(dataset, max_rounds=30)
    make(curriculum=curriculum, reward_funcs=by_place).train()
    rate_of = dict(zip(dataset["name"], dataset["rate"], strict=True))
    missing = 0
    for names in curriculum.selected():
        missing = missing or 4
        assert len(names) == missing
        missing -= sum(rate_of[name] == 0.5 for name in names)
    assert missing == 0


def test_a_group_without_rewards_is_refilled(make, dataset):
    def reward(rate, **_):
        return [None if r == 0 else value for r, value in zip(rate, by_place(rate), strict=True)]

    trainer = make(cls=GRPO, curriculum=refilled(dataset, max_rounds=30), reward_funcs=reward)
    trainer.train()
    for output in trainer.outputs:
        assert (output["advantages"] != 0).all()
    assert trainer.curriculum.metrics()["in_flight"] == 0
