"""The evaluation of a checkpoint: counts, slices, likelihood, the same after a stop."""

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.small import rl_config

from edgewise.errors import ConfigError
from edgewise.lab.evaluation.evaluation import Counts, ExamConfig, _write_problems, examine
from edgewise.lab.evaluation.likelihood import Likelihood
from edgewise.lab.evaluation.rollouts import sorted_labels
from edgewise.lab.rl.priors import PriorsConfig
from edgewise.lab.rl.trainer import train
from edgewise.statistics import pass_curve
from edgewise.tasks import Problem


class Killed(Exception):
    pass


@pytest.fixture
def config(base: Path) -> ExamConfig:
    return ExamConfig(
        base=str(base),
        difficulty={"op": [1, 3]},
        problems=60,
        samples=8,
        k=(1, 8),
        ranges={"easy": (1, 2), "hard": (3, 3)},
        max_new_tokens=6,
        chunk=128,
        readable=5,
    )


def test_slices_agree_with_the_counts_of_each_problem(config: ExamConfig, tmp_path: Path) -> None:
    result = examine(config, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "problems.jsonl").read_text().splitlines()]
    assert len(lines) == len({line["id"] for line in lines}) == 60
    slices = result["slices"]
    assert list(slices) == ["all", "range", "op"]
    assert list(slices["op"]) == ["1", "2", "3"]
    for kind in ("strict", "outcome"):
        for op, part in slices["op"].items():
            own = np.array([line[kind] for line in lines if line["op"] == int(op)])
            assert part["problems"] == len(own)
            curve = pass_curve(own, 8, range(1, 9))
            np.testing.assert_allclose(part[kind]["mean"], curve.mean, atol=1e-5)
            np.testing.assert_allclose(part[kind]["low"], curve.low, atol=1e-5)
    overall = slices["all"]["all"]
    # An answer may be right by wrong steps, never the other way round.
    assert all(line["strict"] <= line["outcome"] <= 8 for line in lines)
    assert overall["outcome"]["mean"][0] > overall["strict"]["mean"][0] > 0
    assert sum(overall["reasons"].values()) == 60 * 8
    assert overall["reasons"]["correct"] == sum(line["strict"] for line in lines)
    easy, hard = slices["range"]["easy"], slices["range"]["hard"]
    assert easy["problems"] + hard["problems"] == 60
    assert (
        hard["nll"]
        == slices["op"]["3"]["nll"]
        == pytest.approx(
            sum(line["nats"] for line in lines if line["op"] == 3)
            / sum(line["tokens"] for line in lines if line["op"] == 3),
            abs=1e-4,
        )
    )
    assert 0.1 <= overall["guessing_floor"] < 0.5
    assert json.loads((tmp_path / "evaluation.json").read_text()) == json.loads(json.dumps(result))
    assert len(result["texts"]) == 5
    assert all(text["gold"].endswith(".") and text["completion"] for text in result["texts"])


def test_no_more_rollouts_are_kept_as_text_than_wanted(config: ExamConfig) -> None:
    few = replace(config, problems=9, samples=1, k=(1,))
    assert [text["row"] for text in examine(few)["texts"]] == [0, 2, 4, 6, 8]
    assert examine(replace(few, readable=0))["texts"] == []


def test_metadata_of_a_problem_take_the_place_of_no_count(tmp_path: Path) -> None:
    problem = Problem("1 + 1", "", "2", "sum", {"id": 7, "category": "x", "strict": 9, "hall": "y", "steps": [1]})
    successes = {"strict": np.array([3]), "outcome": np.array([4])}
    likelihood = Likelihood(np.array([1.5]), np.array([2]))
    _write_problems(tmp_path / "problems.jsonl", Counts([problem], 4, successes, [{}], likelihood))
    line = json.loads((tmp_path / "problems.jsonl").read_text())
    counts = {"trials": 4, "strict": 3, "outcome": 4, "nats": 1.5, "tokens": 2}
    assert line == {"id": problem.id, "category": "sum", "hall": "y", **counts}


def test_a_stopped_evaluation_goes_on_to_the_same_result(config: ExamConfig, tmp_path: Path) -> None:
    whole = examine(config)

    def kill(done: int, _: int) -> None:
        if done >= 32:
            raise Killed

    with pytest.raises(Killed):
        examine(config, tmp_path, kill)
    assert len((tmp_path / "rollouts.jsonl").read_text().splitlines()) == 2
    with (tmp_path / "rollouts.jsonl").open("a") as file:
        file.write('{"step": 2, "rows": [1,')
    told: list[int] = []
    assert examine(config, tmp_path, lambda done, _: told.append(done)) == whole
    assert told[-1] == 60
    with pytest.raises(ConfigError, match="another configuration"):
        examine(dataclasses.replace(config, samples=9), tmp_path)


def test_tasks_without_op_are_sliced_by_category() -> None:
    config = ExamConfig(
        base="countdown", difficulty={"count": [2, 3]}, problems=12, samples=2, k=(1,), max_new_tokens=24
    )
    result = examine(config)
    assert list(result["slices"]) == ["all", "category"]
    assert list(result["slices"]["category"]) == ["2 numbers", "3 numbers"]
    with pytest.raises(ConfigError, match="ranges of op"):
        examine(dataclasses.replace(config, ranges={"ID": (2, 3)}))


def test_categories_come_in_the_order_of_their_numbers_and_then_of_their_letters() -> None:
    assert sorted_labels([10, 9, 1, 10]) == ["1", "9", "10"]
    assert sorted_labels(["²", "b", "1.5", "-1", "1.25", "10", "-", "a"]) == [
        *("-1", "1.25", "1.5", "10"),
        *("-", "a", "b", "²"),
    ]


def test_the_largest_seed_is_one(base: Path, tmp_path: Path) -> None:
    largest = 2**63 - 1
    result = examine(ExamConfig(base=str(base), difficulty={"op": [1, 3]}, problems=2, samples=1, k=(1,), seed=largest))
    assert result["problems"] == 2
    config = rl_config(base, steps=1, seed=largest)
    pool = replace(config.pool, seed=largest, priors=PriorsConfig("rollouts", samples=1))
    train(replace(config, pool=pool, evaluation=replace(config.evaluation, seed=largest)), tmp_path)
    assert (tmp_path / "summary.json").exists()


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"between 1 and samples \(4\), got 1, 8"):
        ExamConfig(samples=4, k=(1, 8))
    with pytest.raises(ConfigError, match="range ID must be"):
        ExamConfig(ranges={"ID": (5, 2)})
    with pytest.raises(ConfigError, match="problems must be a whole number of at least 1, got 0"):
        ExamConfig(problems=0)
    with pytest.raises(ConfigError, match="samples must be 1 at temperature 0, got 8: greedy rollouts"):
        ExamConfig(temperature=0, samples=8, k=(1, 8))
    with pytest.raises(ConfigError, match=r"temperature must be 0 or at least 0\.001, got 1e-09"):
        ExamConfig(temperature=1e-9, samples=8, k=(1, 8))
    ExamConfig(temperature=0, samples=1, k=(1,))
