"""RL runs: killed anywhere, they resume to the same result."""

import dataclasses
import json
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.small import rl_config

from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.lab.evaluation.rollouts import Roller, evaluate
from edgewise.lab.model.policy import Policy
from edgewise.lab.rl.algorithms import Algorithm
from edgewise.lab.rl.monitor import Monitor
from edgewise.lab.rl.priors import PriorsConfig
from edgewise.lab.rl.trainer import PoolConfig, RLConfig, Trainer, train
from edgewise.lab.run.config import from_dict


class Killed(Exception):
    pass


def kill_at(step: int):
    def progress(line: dict) -> None:
        if line["step"] >= step:
            raise Killed

    return progress


def lines(path: Path, *clocks: str) -> list[dict]:
    return [{k: v for k, v in json.loads(line).items() if k not in clocks} for line in path.read_text().splitlines()]


def test_a_quota_by_category_is_kept_and_a_foreign_one_refused(base: Path, tmp_path: Path) -> None:
    config = rl_config(base, selector="edge", quota={"1": 0.5, "3": 0.25}, steps=4)
    with pytest.raises(Killed):
        train(config, tmp_path / "run", kill_at(2))
    train(config, tmp_path / "run")
    for line in lines(tmp_path / "run" / "metrics.jsonl"):
        assert sorted(line["categories"]) == ["1", "1", "2", "3"]
    with pytest.raises(ConfigError, match="quota for 'algebra'"):
        Trainer(dataclasses.replace(config, quota={"algebra": 1.0}), tmp_path / "other")
    few = dataclasses.replace(config, quota={"1": 1.0}, pool=dataclasses.replace(config.pool, size=6), prompts=6)
    with pytest.raises(
        ConfigError, match=r"prompts must be at most \d, the prompts of the pool in categories that have a share"
    ):
        train(few, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("selector", "gate", "algorithm"),
    [
        ("edge", None, "dapo"),
        ("mopps", None, "dapo"),
        ("uniform", "informative", "dapo"),
        ("uniform", None, "dapo"),
        ("mapp", "informative", "mapp"),
    ],
)
def test_rl_resumes_exactly_after_a_kill(
    base: Path, tmp_path: Path, selector: str, gate: str | None, algorithm: str
) -> None:
    config = rl_config(base, selector=selector, gate=gate, algorithm=Algorithm.parse(algorithm))
    train(config, tmp_path / "whole")
    with pytest.raises(Killed):
        train(config, tmp_path / "killed", kill_at(5))
    train(config, tmp_path / "killed")
    for name in ("metrics.jsonl", "evals.jsonl", "samples.jsonl"):
        clocks = ("seconds", "select_seconds")
        assert lines(tmp_path / "killed" / name, *clocks) == lines(tmp_path / "whole" / name, *clocks), name
    final = [load_file(tmp_path / run / "checkpoints/step_000007/model.safetensors") for run in ("whole", "killed")]
    assert all(torch.equal(final[0][name], final[1][name]) for name in final[0])


def test_a_stop_at_any_step_keeps_the_evaluation_of_that_step(base: Path, tmp_path: Path) -> None:
    config = rl_config(base, steps=4)
    train(config, tmp_path / "whole")
    for step in range(1, 5):
        trainer = Trainer(config, tmp_path / f"stopped_{step}")
        with pytest.raises(Killed):
            trainer.run(kill_at(step))
        trainer.save()
        train(config, tmp_path / f"stopped_{step}")
        evals = [lines(tmp_path / run / "evals.jsonl") for run in ("whole", f"stopped_{step}")]
        assert evals[0] == evals[1], step


@pytest.mark.parametrize("work", ["the first evaluation", "pass rates"])
def test_a_stop_before_the_first_step_does_not_wait_for_the_work_in_hand(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    def endless(*_: Any) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.01)

    if work == "pass rates":
        monkeypatch.setattr("edgewise.lab.rl.trainer.measured_rates", endless)
    else:
        monkeypatch.setattr(Monitor, "evaluate", endless)
    pool = PoolConfig(size=20, difficulty={"op": [1, 3]}, priors=PriorsConfig("rollouts"))

    def leave(number: int, frame: Any) -> None:
        """As Ray has it in its processes."""
        raise SystemExit(number)

    before, began = signal.signal(signal.SIGTERM, leave), time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            train(rl_config(base, pool=pool), tmp_path / "run", stopped=lambda: time.monotonic() > began + 0.2)
        assert time.monotonic() < began + 50
        assert not (tmp_path / "run").exists()
        assert signal.getsignal(signal.SIGTERM) == leave
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_finished_run_is_not_repeated(base: Path, tmp_path: Path) -> None:
    config = rl_config(base, steps=3)
    train(config, tmp_path)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    train(config, tmp_path, kill_at(0))
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_a_pool_that_the_policy_cannot_solve_is_named_at_the_end(base: Path, tmp_path: Path) -> None:
    # One token is too short for any answer.
    summary = train(rl_config(base, steps=1, prompts=16, rollouts=8, max_new_tokens=1), tmp_path)
    assert any("no success in any of 128 rollouts" in line for line in summary["advice"])


def test_the_newest_whole_checkpoint_is_used(base: Path, tmp_path: Path) -> None:
    config = rl_config(base)
    train(config, tmp_path)
    (tmp_path / "checkpoints/step_000007/curriculum.npz").write_bytes(b"cut short")
    trainer = Trainer(config, tmp_path)
    trainer.resume()
    assert trainer.step == 6
    for folder in (tmp_path / "checkpoints").iterdir():
        (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="no checkpoint under"):
        Trainer(config, tmp_path).run()


def test_dynamic_sampling_trains_on_informative_groups_only_and_counts_every_rollout(
    base: Path, tmp_path: Path
) -> None:
    train(rl_config(base, selector="uniform", gate="informative", steps=4), tmp_path)
    total = 0
    for line in lines(tmp_path / "metrics.jsonl"):
        total += sum(line["trials"])
        assert line["rollouts"] == total
        informative = sum(0 < s < k for s, k in zip(line["successes"], line["trials"], strict=True))
        assert line["effective_ratio"] == pytest.approx(informative / line["groups"])
        assert line["trained_groups"] == 4 or line["rounds"] == 10


def test_another_configuration_does_not_overwrite_a_run(base: Path, tmp_path: Path) -> None:
    train(rl_config(base, steps=2), tmp_path)
    with pytest.raises(ConfigError, match=r"another configuration.*steps 2 there, 3 asked"):
        train(rl_config(base, steps=3), tmp_path)


def test_shuffled_labels_keep_the_mix_but_not_the_meaning(base: Path) -> None:
    task = Policy.load(base).task
    from edgewise.lab.rl.trainer import make_problems

    plain = PoolConfig(size=80, difficulty={"op": [1, 3]})
    problems, pool = make_problems(task, plain)
    _, shuffled = make_problems(task, dataclasses.replace(plain, labels="shuffled"))
    _, bare = make_problems(task, dataclasses.replace(plain, labels="none"))
    assert bare.categories is None
    assert sorted(shuffled.categories) == sorted(pool.categories)
    assert (shuffled.categories != pool.categories).mean() > 0.3
    names = [None, *pool.category_names]
    assert [names[c] for c in pool.categories] == [p.category for p in problems]


def test_evaluation_counts_each_problem_once(base: Path) -> None:
    policy = Policy.load(base)
    roller = Roller(policy, policy.task.problems(30, 5, op=(1, 3), split="eval"), 6)
    result = evaluate(roller, 8, torch.Generator().manual_seed(0), chunk=64)
    again = evaluate(roller, 8, torch.Generator().manual_seed(0), chunk=64)
    assert (result.successes == again.successes).all()
    assert sum(result.reasons.values()) == 240
    assert result.reasons.get("correct", 0) == result.successes.sum()
    sizes = np.array([(result.categories == name).mean() for name in result.by_category()])
    assert sizes @ np.array(list(result.by_category().values())) == pytest.approx(result.accuracy())
    assert result.pass_at(8)["all"] >= result.pass_at(1)["all"] == pytest.approx(result.accuracy())


def test_predictions_are_judged_at_the_temperature_of_the_rollouts(base: Path, tmp_path: Path) -> None:
    trainer = Trainer(rl_config(base, temperature=1e-3), tmp_path / "run")
    trainer.out.mkdir()
    trainer.monitor.evaluate(0, trainer.curriculum)
    assert trainer.monitor.held_out.temperature == 1
    # So cold that the rollouts of a prompt are all the same.
    probe = json.loads((trainer.out / "evals.jsonl").read_text())["probe"]
    assert all(successes in (0, trials) for successes, trials in zip(probe["successes"], probe["trials"], strict=True))
    assert trainer.monitor.calibration.temperature == trainer.roller.temperature == 1e-3


def test_settings_are_checked_by_name_and_type() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'selector'"):
        from_dict(RLConfig, {"selctor": "edge"})
    with pytest.raises(ConfigError, match="steps must be a whole number, got 'many'"):
        from_dict(RLConfig, {"steps": "many"})
    with pytest.raises(ConfigError, match=r"setting in pool 'siz'"):
        from_dict(RLConfig, {"pool": {"siz": 3}})
    with pytest.raises(ConfigError, match="algorithm"):
        from_dict(RLConfig, {"algorithm": "gprpo"})
    with pytest.raises(ConfigError, match="setting clip of RLConfig is now the algorithm's"):
        from_dict(RLConfig, {"clip": [0.1, 0.3]})
    assert from_dict(RLConfig, {"learning_rate": 1}).learning_rate == 1.0


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoints(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgewise.lab.rl.advantages import OUTCOME

    config = rl_config(base, selector="uniform", save_every=1, steps=6)
    trainer = Trainer(config, tmp_path)
    grpo, calls = OUTCOME["grpo"], []

    def broken(batch):
        calls.append(1)
        return grpo(batch) * (float("nan") if len(calls) > 2 else 1.0)

    monkeypatch.setitem(OUTCOME, "grpo", broken)
    with pytest.raises(EdgewiseError, match="the loss became nan"):
        trainer.run()
    kept = sorted((tmp_path / "checkpoints").iterdir())
    assert [path.name for path in kept] == ["step_000001", "step_000002"]
    assert all(torch.isfinite(value).all() for path in kept for value in load_file(path / "model.safetensors").values())


def test_the_folder_of_a_run_is_no_checkpoint_but_names_its_newest(base: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"folder of a run.*step_000060"):
        train(rl_config(base.parents[1]), tmp_path / "run")
    assert not (tmp_path / "run").exists(), "nothing is in the way of the next try"


def test_the_posterior_of_an_advantage_counts_as_the_selector_of_the_same_paper_does(
    base: Path, tmp_path: Path
) -> None:
    trainer = Trainer(rl_config(base, selector="mapp", algorithm=Algorithm.parse("mapp"), steps=5), tmp_path)
    trainer.run()
    assert trainer.posterior is not None
    mine = trainer.posterior.belief.distribution(np.arange(len(trainer.pool)))
    theirs = trainer.curriculum.selector.belief.distribution(np.arange(len(trainer.pool)))
    np.testing.assert_allclose(mine.alpha, theirs.alpha)
    np.testing.assert_allclose(mine.beta, theirs.beta)
    assert mine.alpha.max() > 1
