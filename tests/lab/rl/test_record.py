"""Recording a trace: the whole pool at even checkpoints, the same after a stop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.small import rl_config

import edgewise.lab.rl.record
from edgewise.errors import ConfigError
from edgewise.lab.rl.record import RecordConfig, main, record
from edgewise.lab.rl.trainer import RLConfig, train
from edgewise.lab.run.config import from_dict, read_yaml
from edgewise.replay import Trace


class Killed(Exception):
    pass


def config(base: Path) -> RecordConfig:
    run = rl_config(base, selector="uniform", gate="informative", learning_rate=1e-3, steps=6, save_every=2)
    return RecordConfig(run, checkpoints=4, samples=8, features=6, chunk=64)


def test_a_recording_goes_on_where_it_was_stopped(base: Path, tmp_path: Path) -> None:
    told: list[int] = []
    whole = record(config(base), tmp_path / "whole.npz", lambda done, _: told.append(done))
    assert told == [1, 1, 2, 2, 3, 3, 4]
    assert whole.complete
    assert whole.steps.tolist() == [0, 2, 4, 6]
    assert (whole.trials == 8).all()
    assert whole.pool.category_names == ["1", "2", "3"]
    assert whole.pool.features is not None
    assert whole.pool.features.shape == (60, 6)
    assert 0 < whole.rates(0).mean() < 1
    assert not np.array_equal(whole.rates(0), whole.rates(6))
    assert whole.about["config"]["run"]["pool"]["size"] == 60

    def stop(done: int, words: str) -> None:
        if words == "step 3":
            raise Killed

    with pytest.raises(Killed):
        record(config(base), tmp_path / "stopped.npz", stop)
    assert not (tmp_path / "stopped.npz").exists()
    record(config(base), tmp_path / "stopped.npz")
    again = Trace.load(tmp_path / "stopped.npz")
    assert np.array_equal(again.successes, whole.successes)
    assert np.array_equal(again.pool.ids, whole.pool.ids)


def test_a_recording_stopped_while_it_evaluates_a_checkpoint_loses_none(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = edgewise.lab.rl.record.evaluate
    calls = []

    def dying(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise Killed
        return evaluate(*args)

    monkeypatch.setattr("edgewise.lab.rl.record.evaluate", dying)
    with pytest.raises(Killed):
        record(config(base), tmp_path / "trace.npz")
    trace = record(config(base), tmp_path / "trace.npz")
    assert len(calls) == 5
    assert trace.complete
    assert trace.steps.tolist() == [0, 2, 4, 6]


def test_a_recording_needs_its_arguments(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="usage"):
        main([])
    with pytest.raises(ConfigError, match="checkpoints"):
        RecordConfig(RLConfig(steps=3), checkpoints=5)
    with pytest.raises(ConfigError, match="samples"):
        RecordConfig(samples=0)


def test_given_checkpoints_are_recorded_without_training(base: Path, tmp_path: Path) -> None:
    run = rl_config(base, selector="uniform", learning_rate=1e-3, steps=2, save_every=1)
    train(run, tmp_path / "rl")
    later = tmp_path / "rl" / "checkpoints" / "step_000002"
    config = RecordConfig(run, bases=(str(base), str(later)), samples=4, features=6, chunk=64)
    trace = record(config, tmp_path / "trace.npz")
    assert trace.complete
    assert trace.steps.tolist() == [0, 1]
    kept = (tmp_path / "trace.run" / "successes_000000.txt").stat().st_mtime_ns
    again = record(config, tmp_path / "trace.npz")
    assert np.array_equal(again.successes, trace.successes)
    assert (tmp_path / "trace.run" / "successes_000000.txt").stat().st_mtime_ns == kept
    with pytest.raises(ConfigError, match="at least two checkpoints"):
        RecordConfig(run, bases=("one",))


@pytest.mark.parametrize("name", ["opgraph", "countdown", "school-smollm2", "gsm8k-smollm2"])
def test_the_configurations_of_recordings_are_valid(name: str) -> None:
    path = Path(__file__).parents[3] / "configs" / "record" / f"{name}.yaml"
    settings = from_dict(RecordConfig, read_yaml(path))
    assert settings.samples >= 16
