"""The curriculum inside the real TRL: what is generated, when it is observed, how steps are counted and logged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl")
from tests.adapters.known_rates import by_completion, by_place, spy, table

from edgewise import gates
from edgewise.adapters.trl import EdgewiseMixin
from edgewise.replay.trace import Trace

# Warnings of the trainer's packages are not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")


def test_selected_prompts_are_generated_and_observed_before_the_next_selection(make, dataset):
    seen = []

    def reward(prompts, completions, name, rate, **_):
        seen.append((prompts, name))
        curriculum.events.append("reward")
        return by_completion(completions, rate)

    curriculum = spy(dataset)
    make(curriculum=curriculum, reward_funcs=reward).train()
    assert curriculum.events == ["select", "reward", "observe"] * 3
    prompt_of = dict(zip(dataset["name"], dataset["prompt"], strict=True))
    for (prompts, names), batch in zip(seen, curriculum.batches, strict=True):
        assert names == np.repeat(batch.ids, 4).tolist()
        assert prompts == [prompt_of[name] for name in names]


@pytest.mark.parametrize("rloo", [False, True])
def test_selection_pays(make, dataset, rloo):
    """A third never solved, a third always: after a while only the prompts in between are selected."""
    trainer = make({"max_steps": 24}, rloo, curriculum="edge", category_column="kind")
    trainer.train()
    ratios = [line["edgewise/effective_ratio"] for line in trainer.state.log_history if "edgewise/rounds" in line]
    assert len(ratios) == 24
    assert (
        np.mean(ratios[12:]) > 0.5
    )  # a third of the prompts, informative in 7 of 8 groups, are worth it: 0.29 for uniform


@pytest.mark.parametrize(
    ("per_device", "steps_per_generation", "accumulation", "iterations", "generations"),
    [
        (16, 1, 1, 1, 8),
        (8, 2, 2, 1, 8),  # one generation a step
        (8, 2, 1, 1, 4),  # two steps on each
        (16, 1, 1, 2, 4),
        (8, 2, 1, 2, 2),
        (16, 1, 2, 1, 16),  # two generations a step
    ],
)
def test_one_selection_a_generation(
    make, dataset, per_device, steps_per_generation, accumulation, iterations, generations
):
    settings = {
        "per_device_train_batch_size": per_device,
        "steps_per_generation": steps_per_generation,
        "gradient_accumulation_steps": accumulation,
        "num_iterations": iterations,
        "max_steps": 8,
    }
    curriculum = spy(dataset)
    make(settings, curriculum=curriculum).train()
    assert [len(batch) for batch in curriculum.batches] == [4] * generations
    assert curriculum.metrics()["rollouts"] == 16 * generations
    assert curriculum.metrics()["in_flight"] == 0


def test_what_is_logged(make, dataset):
    trainer = make({"logging_steps": 2, "max_steps": 6}, curriculum=spy(dataset, random_share=0.5))
    trainer.train()
    lines = [line for line in trainer.state.log_history if "edgewise/rounds" in line]
    assert [line["edgewise/rollouts"] for line in lines] == [32, 64, 96]
    names = "effective_ratio success_rate spearman calibration_error random_calibration_error unscored_rollouts"
    assert {f"edgewise/{name}" for name in names.split()} <= lines[-1].keys()
    # Averaged over the two steps between two lines, as TRL's own metrics are.
    mean = np.mean([line["edgewise/success_rate"] for line in lines])
    assert mean == pytest.approx(trainer.curriculum.metrics()["mean_success_rate"])
    assert mean == pytest.approx(np.mean([line["reward"] for line in lines]))


def test_evaluation_is_neither_selected_nor_observed(make, dataset):
    seen = []

    def reward(name, **_):
        seen.append(name)
        return [0.0] * len(name)

    trainer = make(eval_dataset=dataset.select(range(8)), reward_funcs=reward, curriculum="uniform")
    trainer.evaluate()
    assert {name for names in seen for name in names} == {f"p{row}" for row in range(8)}
    assert trainer.curriculum.metrics()["rollouts"] == 0


def test_conversations(make, dataset):
    chats = dataset.map(lambda row: {"prompt": [{"role": "user", "content": row["prompt"]}]})

    def reward(prompts, completions, name, **_):
        assert [prompt[0]["content"] for prompt in prompts] == [text_of[n] for n in name]
        return [float(len(completion[0]["content"]) % 2) for completion in completions]

    text_of = dict(zip(dataset["name"], dataset["prompt"], strict=True))
    trainer = make(train_dataset=chats, id_column=None, reward_funcs=reward)
    trainer.train()
    assert trainer.curriculum.metrics()["rollouts"] == 48
    assert len(trainer.curriculum.pool.ids[0]) == 16


def test_correct_is_what_success_says(make, dataset):
    def length(completions, **_):
        return [10.0 + len(text) for text in completions]

    def success(rewards):
        assert rewards.shape == (16, 2)
        assert (rewards[:, 1] >= 10).all()
        return rewards[:, 0] > 0.5

    curriculum = spy(dataset)
    make(
        {"reward_weights": [1.0, 0.1]}, curriculum=curriculum, reward_funcs=[by_place, length], success=success
    ).train()
    rate_of = dict(zip(dataset["name"], dataset["rate"], strict=True))
    for (batch, rewards), correct in zip(curriculum.observed, curriculum.correct, strict=True):
        assert correct.reshape(-1, 4).mean(axis=1).tolist() == [rate_of[name] for name in batch.ids]
        assert (rewards >= 1.0).all()  # gates see the reward itself


def test_threshold_on_the_weighted_reward(make, dataset):
    curriculum = spy(dataset)
    settings = {"reward_weights": [4.0, 1.0]}
    make(
        settings, curriculum=curriculum, reward_funcs=[by_place, lambda rate, **_: [-3.0] * len(rate)], success=1
    ).train()
    rate_of = dict(zip(dataset["name"], dataset["rate"], strict=True))
    for (batch, rewards), correct in zip(curriculum.observed, curriculum.correct, strict=True):
        # 4 - 3 reaches 1, 0 - 3 does not
        assert correct.reshape(-1, 4).mean(axis=1).tolist() == [rate_of[name] for name in batch.ids]
        assert set(rewards.tolist()) <= {1.0, -3.0}


def test_unscored_rollouts_are_no_failures(make, dataset):
    """The first rollout of each group has no reward, and prompts of rate 0 have none at all."""

    def reward(rate, **_):
        return [None if r == 0 or place % 4 == 0 else 1.0 for place, r in enumerate(rate)]

    curriculum = spy(dataset, "uniform")
    trainer = make({"max_steps": 5}, curriculum=curriculum, reward_funcs=reward)
    trainer.train()
    observed = np.concatenate([batch.rollouts for batch, _ in curriculum.observed])
    assert set(observed.tolist()) == {3}
    metrics = curriculum.metrics()
    assert metrics["mean_success_rate"] == 1
    assert metrics["in_flight"] == 0
    unscored = [line["edgewise/unscored_rollouts"] for line in trainer.state.log_history if "reward" in line]
    assert metrics["rollouts"] + sum(unscored) == 5 * 16
    assert max(unscored) > 4


def test_a_trainer_of_the_users_own(make, dataset):
    from trl import GRPOTrainer

    class Doubled(GRPOTrainer):
        def _calculate_rewards(self, *args: Any) -> Any:
            return 0.5 * super()._calculate_rewards(*args)

    class Mine(EdgewiseMixin, Doubled):
        pass

    curriculum = spy(dataset, success_threshold=0.4)
    trainer = make(cls=Mine, curriculum=curriculum)
    trainer.train()
    assert set(np.concatenate([rewards for _, rewards in curriculum.observed]).tolist()) == {0.0, 0.5}
    assert 0 < curriculum.metrics()["mean_success_rate"] < 1


def test_trace(make, dataset, tmp_path):
    curriculum = spy(dataset, "uniform", gates=gates.make_gate("informative", max_rounds=3))
    make(curriculum=curriculum, trace=tmp_path / "trace.npz").train()
    trace = Trace.load(tmp_path / "trace.npz")
    assert trace.steps.tolist() == [1, 2, 3]
    assert trace.trials.sum() == curriculum.metrics()["rollouts"]
    rewards = np.concatenate([rewards for _, rewards in curriculum.observed])
    assert trace.successes.sum() == rewards.sum()


def test_the_trace_of_a_run_that_ends_early_holds_what_was_observed(make, dataset, tmp_path):
    calls = []

    def reward(completions, rate, **_):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return by_completion(completions, rate)

    with pytest.raises(KeyboardInterrupt):
        make(reward_funcs=reward, trace=tmp_path / "trace.npz").train()
    assert Trace.load(tmp_path / "trace.npz").steps.tolist() == [1, 2]


def test_ids_decide_which_row_is_generated(make, dataset):
    """The pool is smaller than the dataset and in another order."""
    curriculum = spy(dataset.select(range(19, -1, -1)))
    seen = []

    def reward(name, rate, **_):
        seen.append(name)
        return by_place(rate)

    make(curriculum=curriculum, reward_funcs=reward).train()
    assert seen == [np.repeat(batch.ids, 4).tolist() for batch in curriculum.batches]


def test_columns_the_trainer_removes(make, dataset):
    def reward(**columns):
        assert "rate" not in columns
        return [1.0] * len(columns["prompts"])

    make({"remove_unused_columns": True}, reward_funcs=reward).train()


def test_a_lone_reward_in_the_unit_interval_is_observed_as_it_is(make):
    data = table((0.5,))
    curriculum = spy(data)
    make(train_dataset=data, curriculum=curriculum, reward_funcs=lambda rate, **_: [0.25] * len(rate)).train()
    assert set(np.concatenate([rewards for _, rewards in curriculum.observed]).tolist()) == {0.25}
