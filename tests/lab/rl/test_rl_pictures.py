"""RL on problems with pictures: rollouts, updates, evaluations and exact resume."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from tests.small import VISION as MODEL

from edgewise.lab.model.policy import Policy
from edgewise.lab.rl.algorithms import ALGORITHMS
from edgewise.lab.rl.config import EvalConfig, PoolConfig, RLConfig
from edgewise.lab.rl.trainer import Trainer


@pytest.fixture
def config(tmp_path: Path) -> RLConfig:
    base = tmp_path / "base"
    base.mkdir()
    Policy.fresh({"name": "geometry", "options": {}}, MODEL, 0).save(base)
    return RLConfig(
        base=str(base),
        pool=PoolConfig(size=30, difficulty={"op": [1, 2]}),
        evaluation=EvalConfig(problems=8, samples=1, every=2, probe=4, probe_samples=1),
        steps=4,
        prompts=4,
        rollouts=4,
        max_new_tokens=6,
        save_every=2,
        reward="score",
    )


def _rewarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward that an untrained policy earns half of the time, so that there is a gradient."""
    from edgewise.tasks import Geometry, Verdict

    def verdict(task: Geometry, problem: object, completion: str) -> Verdict:
        right = sum(map(ord, completion)) % 2 == 0
        return Verdict(right, float(right))

    monkeypatch.setattr(Geometry, "verify", verdict)


def test_a_run_resumes_to_the_same_weights(config: RLConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _rewarded(monkeypatch)
    whole = Trainer(config, tmp_path / "whole")
    before = {name: value.clone() for name, value in whole.policy.model.state_dict().items()}
    whole.run()
    stopped = Trainer(config, tmp_path / "stopped")

    class Stop:
        asked = True

    with pytest.raises(KeyboardInterrupt):
        stopped.run(stop=Stop())  # type: ignore[arg-type]
    assert stopped.step == 1
    again = Trainer(config, tmp_path / "stopped")
    again.run()
    for name, value in whole.policy.model.state_dict().items():
        torch.testing.assert_close(value, again.policy.model.state_dict()[name], rtol=0, atol=0)
    for name in ("vision.patch.weight", "vision.position"):
        assert not torch.equal(before[name], whole.policy.model.state_dict()[name])


def test_evaluations_say_what_is_left_without_pictures(
    config: RLConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _rewarded(monkeypatch)
    Trainer(dataclasses.replace(config, steps=2), tmp_path / "run").run()
    evals = [json.loads(line) for line in (tmp_path / "run" / "evals.jsonl").read_text().splitlines()]
    assert [line["step"] for line in evals] == [0, 2]
    assert all(0 <= line["accuracy_without_pictures"] <= 1 for line in evals)
    samples = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    assert all(sample["images"][0].startswith("data:image/png;base64,") for sample in samples)


@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
def test_a_reference_and_a_critic_see_the_same_pictures(
    config: RLConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    _rewarded(monkeypatch)
    run = Trainer(dataclasses.replace(config, algorithm=ALGORITHMS[algorithm], steps=2), tmp_path / "run")
    run.run()
    assert run.step == 2
