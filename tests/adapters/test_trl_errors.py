"""Input that does not fit is named before anything is generated, or stops the run; nothing falls back to uniform."""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("trl")
from datasets import Dataset, IterableDataset
from tests.adapters.known_rates import by_completion, spy

from edgewise import Curriculum, PromptPool, allocation, gates
from edgewise.adapters import make_pool
from edgewise.errors import ConfigError, RewardError

pytestmark = pytest.mark.filterwarnings("default")


def test_an_iterable_dataset(make, dataset):
    with pytest.raises(ConfigError, match=r"iterable dataset.*from_list"):
        make(train_dataset=IterableDataset.from_generator(lambda: iter(dataset)))


def test_no_ids_takes_a_hash_of_the_prompt_and_says_so(dataset, caplog):
    with caplog.at_level(logging.WARNING, "edgewise"):
        ids = make_pool(dataset).ids.tolist()
    assert "hash of its content" in caplog.text
    assert len(set(ids)) == len(dataset)
    assert make_pool(dataset.select(range(9, -1, -1))).ids.tolist() == ids[9::-1]


def test_the_hash_is_of_what_the_prompt_says():
    chats = [[{"role": "user", "content": text}] for text in ("a", "b")]
    filled = [[{"role": "user", "content": text, "name": None}] for text in ("a", "b")]
    assert make_pool(Dataset.from_dict({"prompt": chats})).ids.tolist() == (
        make_pool(Dataset.from_dict({"prompt": filled})).ids.tolist()
    )
    # Fixed for ever: saved curricula and traces hold these ids.
    assert make_pool(Dataset.from_dict({"prompt": ["2 + 2 ="]})).ids.tolist() == ["856b85162d64cb98"]


def test_repeated_prompts_and_ids():
    repeated = Dataset.from_dict({"prompt": ["a", "b", "a"], "name": [7, 8, 9], "group": [1, 1, 2]})
    with pytest.raises(ConfigError, match=r"rows 0 and 2 .* hash of the prompt.* id_column="):
        make_pool(repeated)
    with pytest.raises(ConfigError, match="rows 0 and 1 have the same id 1"):
        make_pool(repeated, "group")
    assert make_pool(repeated, "name").ids.tolist() == [7, 8, 9]


def test_environment_rows_without_ids_that_cannot_be_told_apart():
    message = [{"role": "user", "content": ""}]
    rows = Dataset.from_dict({"prompt": [message] * 3, "seed": [0, 1, 1]})
    with pytest.raises(ConfigError, match=r"rows 1 and 2 have the same id .*hash of the row.*id_column="):
        make_pool(rows, whole_row=True)
    assert len(make_pool(rows.select([0, 1]), whole_row=True)) == 2


def test_columns_that_are_not_there_or_do_not_fit(dataset):
    with pytest.raises(ConfigError, match=r"no column 'nam' .*name, prompt, rate"):
        make_pool(dataset, "nam")
    with pytest.raises(ConfigError, match="no column 'topic'"):
        make_pool(dataset, "name", "topic")
    with pytest.raises(ConfigError, match=r"row 0 has the float 0.5 as its id \(column .name.\): ids are int or str"):
        make_pool(Dataset.from_dict({"prompt": ["a", "b"], "name": [0.5, 1.5]}), "name")
    with pytest.raises(ConfigError, match="empty"):
        make_pool(dataset.select([]), "name")
    missing = Dataset.from_dict({"prompt": ["a", "b"], "kind": ["x", None]})
    assert make_pool(missing, None, "kind").categories.tolist() == [1, 0]


def test_a_pool_that_grew_beyond_the_dataset(make):
    trainer = make()
    trainer.curriculum.grow(["new"])
    with pytest.raises(
        ConfigError, match=r"has grown by 1 prompts, such as 'new', which the trainer's dataset does not hold"
    ):
        trainer.train()


@pytest.mark.parametrize("curriculum", [None, 3, "edgy"])
def test_what_is_no_curriculum(make, curriculum):
    with pytest.raises(ConfigError, match=r"curriculum is a Curriculum|unknown method 'edgy'"):
        make(curriculum=curriculum)


def test_a_curriculum_for_another_dataset(make, dataset):
    with pytest.raises(ConfigError, match="another dataset: 40 of its 40 prompts, such as 0"):
        make(curriculum=Curriculum(PromptPool(range(40)), "edge", rollouts=4))
    more = PromptPool([*dataset["name"][:], "extra"])
    with pytest.raises(ConfigError, match="1 of its 41 prompts, such as 'extra'"):
        make(curriculum=Curriculum(more, "edge", rollouts=4))


def test_rollouts_that_trl_cannot_do(make, dataset):
    with pytest.raises(ConfigError, match="rollouts=4"):
        make(curriculum=spy(dataset, rollouts=8))
    with pytest.raises(ConfigError, match="rollouts=4"):
        make(curriculum=spy(dataset, rollouts=allocation.make_allocation("knapsack", rollouts=4)))


def test_a_pool_smaller_than_a_generation(make, dataset):
    with pytest.raises(ConfigError, match="takes 4 prompts, but the pool has 3"):
        make(curriculum=spy(dataset.select(range(3))))


def test_categories_of_a_curriculum_that_has_its_own(make, dataset):
    with pytest.raises(ConfigError, match="make_pool"):
        make(curriculum=spy(dataset), category_column="kind")


@pytest.mark.parametrize(
    ("rloo", "name", "value"),
    [
        (False, "scale_rewards", "batch"),
        (False, "multi_objective_aggregation", "normalize_then_sum"),
        (True, "normalize_advantages", True),
    ],
)
def test_refill_with_normalisation_over_the_batch(make, dataset, rloo, name, value):
    with pytest.raises(ConfigError, match=name):
        make({name: value}, rloo, curriculum=spy(dataset, gates=gates.make_gate("informative")))
    make({name: value}, rloo, curriculum=spy(dataset, gates=gates.make_gate("informative", max_rounds=1)))


def test_several_rewards_without_success(make):
    with pytest.raises(ConfigError, match=r"2 reward functions.*success="):
        make(reward_funcs=[by_completion, by_completion])


def test_a_reward_outside_the_unit_interval(make, dataset):
    curriculum = spy(dataset)
    trainer = make(curriculum=curriculum, reward_funcs=lambda rate, **_: [-1.0] * len(rate))
    with pytest.raises(RewardError, match=r"prompt 'p\d+' has reward -1.0, outside \[0, 1\].*success="):
        trainer.train()
    assert curriculum.metrics()["rollouts"] == 0


def test_a_reward_function_of_the_wrong_length_leaves_the_curriculum_usable(make, dataset):
    lengths = iter([15, 16, 16, 16])
    curriculum = spy(dataset)
    trainer = make(curriculum=curriculum, reward_funcs=lambda **_: [1.0] * next(lengths))
    with pytest.raises(ValueError, match="returned 15 rewards, but 16 were expected"):
        trainer.train()
    assert curriculum.metrics()["rollouts"] == 0
    trainer.train()
    assert curriculum.metrics()["rollouts"] == 48
    assert curriculum.metrics()["in_flight"] == 0


def test_a_reward_function_that_returns_none_for_all_is_no_evidence(make, dataset):
    curriculum = spy(dataset, gates=gates.make_gate("informative", max_rounds=2))
    trainer = make(curriculum=curriculum, reward_funcs=lambda rate, **_: [None] * len(rate))
    trainer.train()
    metrics = curriculum.metrics()
    assert (metrics["rollouts"], metrics["in_flight"], metrics["forgotten"]) == (0, 0, 3 * 2 * 4)
    unscored = [line["edgewise/unscored_rollouts"] for line in trainer.state.log_history if "reward" in line]
    assert unscored == [2 * 16] * 3


@pytest.mark.parametrize("success", [lambda rewards: rewards[:3, 0] > 0, lambda rewards: rewards[:, 0] / 2])
def test_a_success_function_that_does_not_judge_every_rollout(make, success):
    with pytest.raises(RewardError, match="must return 16 bools"):
        make(success=success).train()
