"""Correctness apart from the reward in TRL: named reward functions, unknown rollouts, gates that see rewards."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("trl")
from tests.adapters.known_rates import by_place, spy

from edgewise import gates
from edgewise.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("default")


def style(completions, **_):
    return [0.2] * len(completions)


def verifier_is_down(completions, **_):
    return [None] * len(completions)


@pytest.mark.parametrize("success", ["0.9", float("nan"), float("inf"), True, [0.5], {"a": 1}])
def test_what_is_no_success_rule_is_refused_when_the_trainer_is_made(make, success):
    with pytest.raises(ConfigError, match="success"):
        make(success=success)


def test_a_threshold_in_quotes_is_explained(make):
    with pytest.raises(
        ConfigError, match=r"success='0.9' names no score: the scores are by_completion\. A threshold is a"
    ):
        make(success="0.9")


def test_a_reward_that_equals_the_threshold_in_float32_is_correct(make):
    """TRL computes rewards in float32, where 0.9 is a little less than 0.9."""
    trainer = make(success=0.9, reward_funcs=lambda completions, **_: [0.9] * len(completions))
    trainer.train()
    assert trainer.curriculum.metrics()["mean_success_rate"] == 1


@pytest.mark.parametrize(
    "success",
    [
        "verifier_is_down",
        lambda rewards: np.where(np.isnan(rewards[:, 0]), np.nan, rewards[:, 0] == 1),
        lambda rewards: [None if np.isnan(value) else value == 1 for value in rewards[:, 0]],
    ],
)
def test_a_verifier_that_is_down_makes_no_prompt_hopeless(make, dataset, success):
    curriculum = spy(dataset, "uniform")
    trainer = make(curriculum=curriculum, reward_funcs=[verifier_is_down, style], success=success)
    trainer.train()
    metrics = curriculum.metrics()
    assert (metrics["rollouts"], metrics["in_flight"]) == (0, 0)
    lines = [line for line in trainer.state.log_history if "reward" in line]
    assert [line["edgewise/unscored_rollouts"] for line in lines] == [16] * 3
    assert np.isfinite([line["loss"] for line in trainer.state.log_history if "loss" in line]).all()


def test_a_named_reward_function_decides(make, dataset):
    curriculum = spy(dataset)
    trainer = make(
        {"reward_weights": [0.1, 5.0]}, curriculum=curriculum, reward_funcs=[by_place, style], success="by_place"
    )
    trainer.train()
    rate_of = dict(zip(dataset["name"], dataset["rate"], strict=True))
    for (batch, rewards), correct in zip(curriculum.observed, curriculum.correct, strict=True):
        assert correct.reshape(-1, 4).mean(axis=1).tolist() == [rate_of[name] for name in batch.ids]
        assert rewards == pytest.approx(0.1 * correct + 1.0)


@pytest.mark.parametrize("weight", [0.25, 3.0])
def test_without_a_rule_the_only_functions_own_reward_counts_whatever_its_weight(make, dataset, weight):
    curriculum = spy(dataset)
    make({"reward_weights": [weight], "max_steps": 1}, curriculum=curriculum, reward_funcs=by_place).train()
    rate_of = dict(zip(dataset["name"], dataset["rate"], strict=True))
    ((batch, rewards),) = curriculum.observed
    assert rewards.reshape(-1, 4).mean(axis=1).tolist() == [rate_of[name] for name in batch.ids]
    assert curriculum.metrics()["mean_success_rate"] == np.mean([rate_of[name] for name in batch.ids])


def test_a_name_that_two_reward_functions_share_decides_nothing(make):
    both = [lambda completions, **_: [1.0] * len(completions), lambda completions, **_: [0.0] * len(completions)]
    with pytest.raises(ConfigError, match=r"success='<lambda>' names 2 reward functions"):
        make(reward_funcs=both, success="<lambda>")


def test_a_gate_by_reward_sees_the_weighted_reward(make, dataset):
    """All rollouts are correct, their rewards differ: by success no group would be admitted."""

    def ranked(completions, **_):
        return [1.0 + 0.1 * (place % 4) for place in range(len(completions))]

    gate = gates.Informative(by="reward", max_rounds=2)
    trainer = make(curriculum=spy(dataset, gates=gate), reward_funcs=ranked, success=1.0)
    trainer.train()
    assert trainer.curriculum.metrics()["mean_success_rate"] == 1
    assert trainer.curriculum.metrics()["rounds"] == 1
    assert trainer.curriculum.metrics()["exhausted_steps"] == 0


def test_wasted_tokens_are_counted(make, dataset):
    curriculum = spy(dataset)
    trainer = make(curriculum=curriculum, reward_funcs=by_place)
    trainer.train()
    metrics = curriculum.metrics()
    lengths = np.concatenate(curriculum.lengths)
    assert metrics["tokens"] == lengths.sum()
    assert 0 < metrics["wasted_tokens"] <= metrics["tokens"] <= 4 * metrics["rollouts"]
    mean = np.mean([line["completions/mean_length"] for line in trainer.state.log_history if "reward" in line])
    assert lengths.mean() == pytest.approx(mean)
