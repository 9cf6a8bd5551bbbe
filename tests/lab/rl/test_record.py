"""Recording a trace: the whole pool at even checkpoints, the same after a stop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.small import rl_config

from edgewise.errors import ConfigError
from edgewise.lab.evaluation.rollouts import Roller
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
    told: list[tuple[int, str]] = []
    whole = record(config(base), tmp_path / "whole.npz", lambda *words: told.append(words))
    assert [done for done, words in told if "," not in words] == [1, 1, 2, 2, 3, 3, 4]
    assert told[:2] == [(0, "step 0, 1 of 8 chunks"), (0, "step 0, 2 of 8 chunks")]
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


def test_a_recording_stopped_within_a_checkpoint_keeps_what_it_has_evaluated(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = record(config(base), tmp_path / "whole.npz")
    roll = Roller.roll
    calls = []

    def dying(roller: Roller, rows: Any, counts: Any, generator: Any) -> Any:
        if len(counts) == 8:  # a chunk of 64 completions; training has four prompts
            calls.append(rows)
            if len(calls) == 12:
                raise Killed
        return roll(roller, rows, counts, generator)

    monkeypatch.setattr(Roller, "roll", dying)
    with pytest.raises(Killed):
        record(config(base), tmp_path / "trace.npz")
    trace = record(config(base), tmp_path / "trace.npz")
    # Seven chunks of eight prompts, the last of four, at four checkpoints; none of them twice but the one that died.
    assert len(calls) == 4 * 7 + 1
    assert np.array_equal(trace.successes, whole.successes)
    assert sorted(path.suffix for path in (tmp_path / "trace.run").iterdir() if path.is_dir()) == [""]
    assert not list((tmp_path / "trace.run").glob("*.jsonl"))


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
