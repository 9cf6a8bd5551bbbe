"""Selection under several algorithms: a tiny version of C2."""

import dataclasses
from pathlib import Path

import pytest
from tests.small import rl_config

from edgewise.errors import ConfigError
from edgewise.experiments.algorithms import AlgorithmStudy, algorithm_study, changed, load, names
from edgewise.experiments.comparison import ComparisonConfig
from edgewise.lab.rl.algorithms import Algorithm


def test_c2_compares_the_algorithms_of_the_claim_in_the_demos_setting() -> None:
    study = load("C2")
    assert names() == ["C2"]
    assert {"ppo", "grpo", "reinforce++"} <= {algorithm.like for algorithm in study.algorithms}
    assert study.comparison.methods == ("uniform", "mopps", "edge")
    assert len(study.comparison.seeds) == 5
    assert changed(study, 2, 7).comparison.seeds == (7, 8)


def test_every_algorithm_has_a_row_for_each_method_and_finished_runs_are_kept(base: Path, tmp_path: Path) -> None:
    run = rl_config(base, steps=2)
    comparison = ComparisonConfig(methods=("uniform", "edge"), seeds=(0,), run=run, placebo=False)
    study = AlgorithmStudy((Algorithm.parse("ppo"), Algorithm.parse({"like": "grpo", "kl": 0.0})), comparison)
    events: list[str] = []
    table = algorithm_study(study, tmp_path, 1, lambda part, event: events.append(f"{part} {event.what}"))
    rows = [line.split(" | ")[:2] for line in table.splitlines()[2:]]
    assert rows == [["| ppo", "uniform"], ["| ppo", "edge"], ["| grpo kl=0.0", "uniform"], ["| grpo kl=0.0", "edge"]]
    assert (tmp_path / "algorithms.md").read_text() == table
    events.clear()
    assert algorithm_study(study, tmp_path, 1, lambda part, event: events.append(event.what)) == table
    assert set(events) == {"kept"}


def test_an_algorithm_twice_is_refused() -> None:
    ppo = Algorithm.parse("ppo")
    with pytest.raises(ConfigError, match="none twice"):
        AlgorithmStudy((ppo, dataclasses.replace(ppo)))
