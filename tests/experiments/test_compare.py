"""Comparisons end to end: real processes, a stop in the middle, the same result as without it."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import pytest
from tests.small import rl_config

from edgewise.errors import CheckpointError, ConfigError
from edgewise.experiments.comparison import ComparisonConfig, compare, preset
from edgewise.experiments.runs import Event, Interrupted


@pytest.fixture
def config(base: Path) -> ComparisonConfig:
    return ComparisonConfig(methods=("uniform", "ds", "edge"), seeds=(3, 4), run=rl_config(base, steps=6))


def without_clocks(summary: dict) -> dict:
    for numbers in summary["methods"].values():
        numbers.pop("wall_seconds"), numbers.pop("selection_share")
    return summary


def test_a_stopped_comparison_goes_on_to_the_same_result(config: ComparisonConfig, tmp_path: Path) -> None:
    whole = compare(config, tmp_path / "whole", workers=2)
    assert json.loads((tmp_path / "whole/summary.json").read_text()) == whole
    assert all(whole["methods"][m]["final_accuracy"]["reached"] == 2 for m in config.methods)

    seen: list[Event] = []

    def interrupt(event: Event) -> None:
        seen.append(event)
        if len(seen) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        compare(config, tmp_path / "stopped", 2, interrupt)
    done = sum((tmp_path / "stopped" / name / "summary.json").exists() for name in config.runs())
    assert done < 6
    again = compare(config, tmp_path / "stopped", workers=2)
    assert without_clocks(again) == without_clocks(whole)


def test_methods_of_a_seed_share_pool_and_evaluation(config: ComparisonConfig) -> None:
    runs = config.runs()
    assert list(runs)[:3] == ["ds/seed_3", "uniform/seed_3", "edge/seed_3"]
    first, second = runs["ds/seed_3"], runs["edge/seed_3"]
    assert first.pool == second.pool
    assert first.evaluation == second.evaluation
    assert runs["edge/seed_4"].pool.seed != second.pool.seed
    assert (first.selector, first.gate) == ("uniform", "informative")
    tuned = dataclasses.replace(config, methods=("edge", "edge:curiosity=0+ds")).runs()
    assert list(tuned)[:2] == ["edge:curiosity=0+ds/seed_3", "edge/seed_3"]
    arm = tuned["edge:curiosity=0+ds/seed_3"]
    assert (arm.selector, arm.selector_options, arm.gate) == ("edge", {"curiosity": 0}, "informative")
    assert (second.selector_options, second.gate) == ({}, None)


def test_bad_settings_are_one_clear_error(config: ComparisonConfig, tmp_path: Path) -> None:
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
    from edgewise.lab.model.checkpoints import Policy, find

    for task in ("opgraph", "countdown"):
        settings = preset(task)
        policy = Policy.load(find(settings.run.base))
        assert policy.task.name == task
        size = sum(path.stat().st_size for path in find(settings.run.base).iterdir())
        assert size < 2_000_000
