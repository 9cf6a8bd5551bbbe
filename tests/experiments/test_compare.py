"""Comparisons end to end: real processes, a stop in the middle, the same result as without it."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from tests.small import rl_config

from edgewise.errors import CheckpointError, ConfigError
from edgewise.experiments.comparison import ComparisonConfig, compare, preset
from edgewise.experiments.folders import read_run
from edgewise.experiments.runs import Event, Interrupted
from edgewise.experiments.summary import Summary


@pytest.fixture
def config(base: Path) -> ComparisonConfig:
    return ComparisonConfig(methods=("uniform", "ds", "edge"), seeds=(3, 4), run=rl_config(base, steps=6))


def without_clocks(summary: Summary) -> dict:
    values = summary.to_json()
    for numbers in values["methods"].values():
        numbers.pop("wall_seconds"), numbers.pop("selection_share")
    return values


def test_a_stopped_comparison_goes_on_to_the_same_result(config: ComparisonConfig, tmp_path: Path) -> None:
    whole = compare(config, tmp_path / "whole", workers=2)
    assert json.loads((tmp_path / "whole/summary.json").read_text()) == whole.to_json()
    assert list(whole.methods) == ["uniform", "placebo", "ds", "edge"]
    assert all(whole.measure(m, "final_accuracy").reached == 2 for m in whole.methods)
    # Pool, held-out problems and policy are uniform's; other prompts are selected.
    first = [read_run(tmp_path / f"whole/{m}/seed_3") for m in ("uniform", "placebo")]
    assert first[0].evals[0].values["accuracy"] == first[1].evals[0].values["accuracy"]
    assert first[0].summary["pool"] == first[1].summary["pool"]
    assert first[0].metrics[0].values["categories"] != first[1].metrics[0].values["categories"]

    seen: list[Event] = []

    def interrupt(event: Event) -> None:
        seen.append(event)
        if len(seen) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        compare(config, tmp_path / "stopped", 2, interrupt)
    done = sum((tmp_path / "stopped" / name / "summary.json").exists() for name in config.runs())
    assert done < 8
    again = compare(config, tmp_path / "stopped", workers=2)
    assert without_clocks(again) == without_clocks(whole)


def test_methods_of_a_seed_share_pool_and_evaluation(config: ComparisonConfig) -> None:
    runs = config.runs()
    assert list(runs)[:4] == ["ds/seed_3", "uniform/seed_3", "placebo/seed_3", "edge/seed_3"]
    assert dataclasses.replace(runs["placebo/seed_3"], selector_options={}) == runs["uniform/seed_3"]
    assert runs["placebo/seed_3"].selector_options != runs["placebo/seed_4"].selector_options
    assert "placebo/seed_3" not in dataclasses.replace(config, placebo=False).runs()
    assert "placebo/seed_3" not in dataclasses.replace(config, methods=("ds", "edge")).runs()
    first, second = runs["ds/seed_3"], runs["edge/seed_3"]
    assert first.pool == second.pool
    assert first.evaluation == second.evaluation
    assert runs["edge/seed_4"].pool.seed != second.pool.seed
    assert (first.selector, first.gate) == ("uniform", "informative")
    tuned = dataclasses.replace(config, methods=("edge", "edge:exploration=0+ds")).runs()
    assert list(tuned)[:2] == ["edge:exploration=0+ds/seed_3", "edge/seed_3"]
    arm = tuned["edge:exploration=0+ds/seed_3"]
    assert (arm.selector, arm.selector_options, arm.gate) == ("edge", {"exploration": 0}, "informative")
    assert (second.selector_options, second.gate) == ({}, None)


def test_bad_settings_end_in_one_clear_error(config: ComparisonConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'mopps'"):
        dataclasses.replace(config, methods=("moops",))
    with pytest.raises(ConfigError, match="cannot hold '/'"):
        dataclasses.replace(config, methods=("mopps:prior=a/b",))
    with pytest.raises(ConfigError, match="at least one seed"):
        dataclasses.replace(config, seeds=())
    with pytest.raises(ConfigError, match="given twice"):
        dataclasses.replace(config, seeds=(1, 1))
    with pytest.raises(ConfigError, match="Did you mean 'opgraph'"):
        preset("opgrah")
    missing = dataclasses.replace(config, run=dataclasses.replace(config.run, base="nowhere"))
    with pytest.raises(CheckpointError, match="nowhere"):
        compare(missing, tmp_path / "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        compare(config, tmp_path / "file" / "below")


def test_presets_name_shipped_bases() -> None:
    from edgewise.lab.model.checkpoints import find
    from edgewise.lab.model.policy import Policy

    for task in ("opgraph", "countdown"):
        settings = preset(task)
        policy = Policy.load(find(settings.run.base))
        assert policy.task.name == task
        size = sum(path.stat().st_size for path in find(settings.run.base).iterdir())
        assert size < 2_000_000


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device that is asked for must be missing")
def test_a_comparison_none_of_whose_runs_begins_leaves_nothing(config: ComparisonConfig, tmp_path: Path) -> None:
    missing = dataclasses.replace(config, run=dataclasses.replace(config.run, device="cuda"))
    with pytest.raises(ConfigError, match="torch finds no GPU"):
        compare(missing, tmp_path / "runs/cmp", workers=2)
    assert not list(tmp_path.glob("runs"))
