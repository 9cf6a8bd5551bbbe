"""The numbers of a comparison, worked out by hand on runs written by hand."""

import json
import math
from pathlib import Path

import pytest
import yaml
from scipy import stats

from edgewise.errors import ConfigError
from edgewise.experiments.summary import interval, ratio, summarise


def write_run(folder: Path, accuracy: list[float], rollouts_per_step: int, finished: bool = True) -> None:
    folder.mkdir(parents=True)
    evals = []
    for i, value in enumerate(accuracy):
        probe = {"predicted": [0.1, 0.5, 0.9], "successes": [0, 2, 4], "trials": [4, 4, 4]}
        evals.append({"step": 10 * i, "rollouts": 10 * i * rollouts_per_step, "accuracy": value, "probe": probe})
    fixed = {"effective_ratio": 0.5, "groups": 2, "select_seconds": 0.01}
    scored = {"predicted": [0.2, 0.8], "successes": [3, 1], "trials": [4, 4]}
    metrics = [
        {"step": step, "rollouts": step * rollouts_per_step, "seconds": step * 0.5, **fixed, **scored}
        for step in range(1, 10 * (len(accuracy) - 1) + 1)
    ]
    (folder / "evals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in evals))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    if finished:
        (folder / "summary.json").write_text(json.dumps({"pool": {"1": 3}}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = {
        "base": "x",
        "pool": {"size": 40, "difficulty": {}, "labels": "task"},
        "prompts": 2,
        "rollouts": 4,
        "steps": 50,
        "learning_rate": 1e-3,
        "evaluation": {"problems": 5, "samples": 1},
    }
    config = {"methods": ["uniform", "ds", "edge"], "seeds": [0, 1], "run": run}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def test_the_target_is_uniforms_last_three_evaluations(folder: Path) -> None:
    for seed in (0, 1):
        write_run(folder / f"uniform/seed_{seed}", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], 8)
        # Smoothed: 0.1 (step 20), 0.3 (30), 0.5 (40), ...; uniform's target is 0.4, halfway between 30 and 40.
        write_run(folder / f"edge/seed_{seed}", [0.0, 0.1, 0.2, 0.6, 0.7, 0.7], 8)
        write_run(folder / f"ds/seed_{seed}", [0.0, 0.4, 0.8, 0.8, 0.8, 0.8], 32)
    summary = summarise(folder)
    uniform, edge, ds = (summary["methods"][name] for name in ("uniform", "edge", "ds"))
    assert uniform["steps_to_target"]["values"] == pytest.approx([50, 50])
    assert edge["steps_to_target"]["values"] == pytest.approx([35, 35])
    assert edge["rollouts_to_target"]["mean"] == pytest.approx(35 * 8)
    assert ds["steps_to_target"]["values"] == pytest.approx([20, 20])
    assert summary["speedup_vs_uniform"]["edge"]["median"] == pytest.approx(50 / 35)
    assert summary["speedup_vs_uniform"]["uniform"]["values"] == [1, 1]
    assert summary["rollouts_vs_ds"]["edge"]["mean"] == pytest.approx(35 * 8 / (20 * 32))
    assert summary["recovered_gain"]["edge"] == pytest.approx((50 / 35 - 1) / (2.5 - 1))
    assert edge["effective_ratio"]["mean"] == pytest.approx(0.5)
    assert edge["spearman"]["mean"] == pytest.approx(1.0)
    assert edge["spearman_selected"]["mean"] == pytest.approx(-1.0)
    assert edge["wall_seconds"]["mean"] == pytest.approx(25.0)
    assert summary["setting"]["visits_per_prompt"] == pytest.approx(2.5)
    assert summary["setting"]["pool_mix"] == {"1": 3}


def test_a_run_that_misses_the_target_is_null_and_counted(folder: Path) -> None:
    for seed in (0, 1):
        write_run(folder / f"uniform/seed_{seed}", [0.0, 0.2, 0.4, 0.4, 0.4], 8)
    write_run(folder / "edge/seed_0", [0.0, 0.5, 0.5, 0.5, 0.5], 8)
    write_run(folder / "edge/seed_1", [0.0, 0.1, 0.1, 0.1, 0.1], 8)
    edge = summarise(folder)["methods"]["edge"]["steps_to_target"]
    assert edge["values"][1] is None
    assert edge["reached"] == 1
    assert edge["mean"] is None
    assert edge["values"][0] is not None


def test_missing_and_unfinished_runs_are_null(folder: Path) -> None:
    write_run(folder / "uniform/seed_0", [0.0, 0.2, 0.4, 0.4], 8)
    write_run(folder / "uniform/seed_1", [0.0, 0.2, 0.4, 0.4], 8, finished=False)
    summary = summarise(folder)
    assert summary["methods"]["uniform"]["final_accuracy"]["reached"] == 1
    assert summary["methods"]["ds"]["effective_ratio"]["values"] == [None, None]
    assert summary["recovered_gain"]["edge"] is None


def test_intervals_are_students(folder: Path) -> None:
    values = [1.0, 2.0, 4.0]
    low, high = stats.t.interval(0.95, 2, loc=7 / 3, scale=stats.sem(values))
    result = interval(values)
    assert (result["low"], result["high"]) == pytest.approx((low, high))
    assert interval([3.0])["low"] is None
    # A missing value is worse than all others, so the median of three needs two.
    assert interval([1.0, None, 2.0])["median"] == 2.0
    assert interval([1.0, None, None])["median"] is None


def test_ratios_are_paired_and_averaged_on_the_logarithm() -> None:
    table = {"a": {"n": {"values": [10.0, 40.0]}}, "b": {"n": {"values": [5.0, 10.0]}}}
    result = ratio(table, "a", "b", "n")
    assert result["values"] == [2.0, 4.0]
    assert result["mean"] == pytest.approx(math.sqrt(8))
    assert result["median"] == pytest.approx(3.0)


def test_the_median_of_ratios_takes_a_missed_target_for_infinitely_far() -> None:
    table = {"a": {"n": {"values": [60.0, 80.0, 90.0]}}, "b": {"n": {"values": [30.0, None, 45.0]}}}
    missed = ratio(table, "a", "b", "n")
    assert (missed["mean"], missed["median"], missed["reached"]) == (None, 2.0, 2)
    assert ratio(table, "b", "a", "n")["median"] == 0.5
    table["b"]["n"]["values"] = [30.0, None, None]
    assert ratio(table, "a", "b", "n")["median"] is None
    assert ratio(table, "b", "a", "n")["median"] is None


def test_a_folder_without_a_comparison_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("steps: 3\n")
    with pytest.raises(ConfigError, match="does not hold a comparison"):
        summarise(tmp_path)
