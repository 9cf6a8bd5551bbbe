"""Selection under several algorithms: a tiny version of C2."""

import dataclasses
import json
from pathlib import Path

import pytest
from tests.small import rl_config

from edgewise.errors import ConfigError
from edgewise.experiments import algorithms
from edgewise.experiments.algorithms import AlgorithmStudy, algorithm_study, changed, load, names, plan
from edgewise.experiments.comparison import ComparisonConfig
from edgewise.lab.rl.algorithms import Algorithm


def test_c2_compares_the_algorithms_of_the_claim_in_the_demos_setting() -> None:
    study = load("C2")
    assert names() == ["C2", "C2-single"]
    assert {"ppo", "grpo", "reinforce++"} <= {algorithm.like for algorithm in study.algorithms}
    assert study.comparison.methods == ("uniform", "mopps", "edge")
    assert len(study.comparison.seeds) == 5
    assert changed(study, 2, 7).comparison.seeds == (7, 8)


def test_every_algorithm_has_a_row_for_each_method_and_finished_runs_are_kept(base: Path, tmp_path: Path) -> None:
    run = rl_config(base, steps=2)
    comparison = ComparisonConfig(methods=("uniform", "edge"), seeds=(0,), run=run, placebo=False)
    study = AlgorithmStudy((Algorithm.parse("ppo"), Algorithm.parse({"like": "grpo", "kl": 0.0})), comparison)
    events: list[str] = []
    assert plan(study, tmp_path) == "4 runs of 2 steps, 0 finished"
    table = algorithm_study(study, tmp_path, 1, lambda part, event: events.append(f"{part} {event.what}"))
    rows = [line.split(" | ")[:2] for line in table.splitlines()[2:]]
    assert sorted(map(tuple, rows)) == sorted(
        (f"| {name}", method) for name in ("ppo", "grpo kl=0.0") for method in ("uniform", "edge")
    )
    numbers = json.loads((tmp_path / "summary.json").read_text())
    gains = {name: row["gain_vs_uniform"]["edge"]["mean"] for name, row in numbers.items()}
    assert [row[0] for row in rows[::2]] == [f"| {name}" for name in sorted(gains, key=lambda name: gains[name])]
    assert plan(study, tmp_path).startswith("4 runs of 2 steps, 4 finished; the others take 0.0 hours")
    assert (tmp_path / "algorithms.md").read_text() == table
    events.clear()
    assert algorithm_study(study, tmp_path, 1, lambda part, event: events.append(event.what)) == table
    assert set(events) == {"kept"}


def test_an_algorithm_twice_is_refused() -> None:
    ppo = Algorithm.parse("ppo")
    with pytest.raises(ConfigError, match="none twice"):
        AlgorithmStudy((ppo, dataclasses.replace(ppo)))


@pytest.mark.parametrize("name", names())
def test_every_study_that_comes_with_the_package_loads_and_gives_each_algorithm_its_runs(name: str) -> None:
    study = load(name)
    comparisons = algorithms._comparisons(study)
    assert [own.run.algorithm for own in comparisons.values()] == list(study.algorithms)
    assert all(own.runs() for own in comparisons.values())
