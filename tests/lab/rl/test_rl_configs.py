"""The configurations in configs/rl: all are read, and those of shipped bases begin."""

import dataclasses
from pathlib import Path

import pytest

from edgewise.errors import ConfigError
from edgewise.lab.model.checkpoints import SHIPPED
from edgewise.lab.rl.algorithms import ALGORITHMS
from edgewise.lab.rl.trainer import RLConfig, Trainer
from edgewise.lab.run.config import from_dict, read_yaml
from edgewise.tasks import list_tasks

CONFIGS = {path.stem: path for path in sorted((Path(__file__).parents[3] / "configs/rl").glob("*.yaml"))}


def test_there_is_one_for_every_task_and_every_algorithm() -> None:
    assert set(list_tasks()) <= set(CONFIGS)
    written = {from_dict(RLConfig, read_yaml(path)).algorithm for path in CONFIGS.values()}
    assert set(ALGORITHMS.values()) <= written


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_is_read_and_says_its_own_command(name: str) -> None:
    config = from_dict(RLConfig, read_yaml(CONFIGS[name]))
    assert f"edgewise rl configs/rl/{name}.yaml" in CONFIGS[name].read_text()
    assert config.base in (*(path.name for path in SHIPPED.iterdir()), "smollm2") or config.base.startswith("runs/")


@pytest.mark.parametrize("name", ["opgraph_ppo", "countdown_single", "geometry", "opgraph_knapsack"])
def test_a_configuration_of_a_shipped_base_makes_a_step(name: str, tmp_path: Path) -> None:
    config = from_dict(RLConfig, read_yaml(CONFIGS[name]))
    small = {"steps": 1, "prompts": 3, "rollouts": min(config.rollouts, 3)}
    evaluation = dataclasses.replace(config.evaluation, problems=4, samples=1, probe=4, probe_samples=1)
    pool = dataclasses.replace(config.pool, size=12)
    summary = Trainer(dataclasses.replace(config, **small, pool=pool, evaluation=evaluation), tmp_path).run()
    assert summary["steps"] == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"mini_batches": 50},
            "mini_batches must be at most prompts, got 50 optimiser steps on the groups of 16 prompts",
        ),
        ({"temperature": 1e-320}, "temperature must be a number between 0.001 and 1000"),
        ({"temperature": 0.0}, "temperature must be a number between 0.001 and 1000"),
    ],
)
def test_settings_that_would_do_nothing_or_ruin_are_refused_by_name(values: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        from_dict(RLConfig, values)
