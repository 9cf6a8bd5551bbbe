"""TRL's environments: ids from whole rows, categories from their column, rewards that environments own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl", minversion="1.15", reason="environments own their reward since TRL 1.15")
from datasets import Dataset
from tests.adapters.known_rates import spy

from edgewise import PromptPool, gates
from edgewise.adapters import make_pool
from edgewise.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("default")


class Coin:
    """Solved by every other rollout of an odd seed, never of an even one."""

    rollouts = 0

    def reset(self, seed: int, **_: Any) -> str:
        self.seed = seed
        return f"{1 + seed % 9}"

    def get_reward(self) -> float:
        Coin.rollouts += 1
        return float(self.seed % 2 and Coin.rollouts % 2)


class Maze(Coin):
    def get_reward(self) -> float:
        return 1.0


def rows(names: bool = False) -> Dataset:
    columns: dict[str, list[Any]] = {"prompt": [[{"role": "user", "content": ""}]] * 24, "seed": list(range(24))}
    if names:
        columns["environment"] = ["maze" if seed % 3 == 0 else "coin" for seed in range(24)]
    return Dataset.from_dict(columns)


@pytest.fixture
def make_with(make: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    import trl.trainer.grpo_trainer as module

    monkeypatch.setattr(module, "supports_tool_calling", lambda *_: True)
    return lambda **options: make(id_column=None, reward_funcs=[], **options)


def test_prompts_that_differ_only_in_other_columns_are_told_apart(make_with):
    trainer = make_with(train_dataset=rows(), environment_factory=Coin, settings={"max_steps": 8})
    trainer.train()
    curriculum = trainer.curriculum
    assert len(set(curriculum.pool.ids.tolist())) == 24
    assert curriculum.metrics()["rollouts"] == 8 * 16
    rates = curriculum.predict()
    assert rates[1::2].mean() > rates[0::2].mean()


def test_the_environment_is_the_category_by_default(make_with):
    trainer = make_with(train_dataset=rows(names=True), environment_factory={"coin": Coin, "maze": Maze}, success=0.5)
    trainer.train()
    assert trainer.curriculum.pool.category_names == ["coin", "maze"]
    assert trainer.curriculum.metrics()["rollouts"] == 48


def test_refill_with_environments(make_with):
    data = rows()
    curriculum = spy({"name": make_pool(data, whole_row=True).ids}, "uniform", gates=gates.Informative(max_rounds=20))
    make_with(train_dataset=data, environment_factory=Coin, curriculum=curriculum).train()
    assert len(curriculum.batches) > 3
    admitted = sum((rewards.reshape(-1, 4).sum(axis=1) > 0).sum() for _, rewards in curriculum.observed)
    assert admitted >= 3 * 4
    assert np.isin(np.concatenate(curriculum.selected()), curriculum.pool.ids).all()
    assert isinstance(curriculum.pool, PromptPool)


def test_an_environment_that_owns_the_data_leaves_nothing_to_select(make_with):
    with pytest.raises(ConfigError, match=r"the environment itself owns the data.*such as a seed"):
        make_with(train_dataset=None, environment_factory=Coin)
