"""The laboratory on a GPU: the same mathematics as on a CPU, and runs of every kind from beginning to end.

Skipped, and said so, where torch finds no GPU.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.lab.model.pretrained import make
from tests.lab.rl.test_pretrained_rl import config as pretrained_config
from tests.lab.rl.test_pretrained_rl import rewards
from tests.lab.rl.test_update import VARIANTS, rolled, small
from tests.small import PRETRAINING, VISION, rl_config

from edgewise.lab.evaluation.evaluation import ExamConfig, examine
from edgewise.lab.model.ending import Ending
from edgewise.lab.model.generate import generate, sequence_logprobs
from edgewise.lab.model.policy import Policy
from edgewise.lab.rl.algorithms import ALGORITHMS, Algorithm
from edgewise.lab.rl.record import RecordConfig, record
from edgewise.lab.rl.trainer import EvalConfig, PoolConfig, RLConfig, train
from edgewise.lab.rl.update import Learner, UpdateSettings
from edgewise.lab.run.pretrain import MidtrainConfig, midtrain, pretrain

GPU = torch.device("cuda")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


class Killed(Exception):
    pass


def kill_at(step: int) -> Callable[[dict[str, Any]], None]:
    def progress(line: dict[str, Any]) -> None:
        if line["step"] >= step:
            raise Killed

    return progress


@pytest.fixture
def paid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewards that differ inside groups, whatever a model without training writes."""
    monkeypatch.setattr("edgewise.lab.evaluation.rollouts.Rolled.rewards", rewards)


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "llama3"])
def test_logits_and_greedy_completions_are_those_of_the_cpu(family: str, tmp_path: Path) -> None:
    make(tmp_path, family)
    here = Policy.load(tmp_path, {"name": "school"})
    there = copy.deepcopy(here.model).to(GPU)
    tokens = torch.randint(0, 300, (3, 90), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(there(tokens.to(GPU)).cpu(), here.model(tokens), atol=1e-3, rtol=1e-3)
    prompts = [[5, 6, 7], [9] * 12, [5, 6, 7], [20, 21]]
    # Below and above the length from which steps are recorded as graphs.
    for new in (10, 60):
        greedy = [generate(model, prompts, new, 2, 0, temperature=0) for model in (here.model, there)]
        assert torch.equal(greedy[0].tokens, greedy[1].tokens.cpu())
        assert torch.equal(greedy[0].lengths, greedy[1].lengths.cpu())


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize("new", [12, 120])
def test_log_probabilities_of_what_is_sampled_are_those_of_the_forward_pass(
    family: str, new: int, tmp_path: Path
) -> None:
    make(tmp_path, family)
    model = Policy.load(tmp_path, {"name": "school"}).model.to(GPU)
    prompts = [[5, 6, 7, 8]] * 16 + [[9, 10]] * 16
    ends = Ending(list(range(2, 40)))  # Rows end at every time, and the graph is recorded anew for those that are left.
    out = generate(model, prompts, new, ends, 0, torch.Generator(GPU).manual_seed(0), 0.8)
    assert len(set(out.lengths.tolist())) > 5
    for rows, width in ((slice(0, 16), 4), (slice(16, 32), 2)):
        sequences = torch.cat([torch.tensor(prompts[rows], device=GPU), out.tokens[rows]], 1)
        with torch.no_grad():
            again = sequence_logprobs(model, sequences, 0.8)[:, width - 1 :]
        written = torch.arange(new, device=GPU) < out.lengths[rows, None]
        torch.testing.assert_close(out.logprobs[rows][written], again[written], atol=1e-3, rtol=1e-3)
    with torch.autocast("cuda", torch.bfloat16):
        half = generate(model, prompts, new, ends, 0, torch.Generator(GPU).manual_seed(0), 0.8)
    assert bool(torch.isfinite(half.logprobs).all())


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_an_update_is_that_of_the_cpu(name: str, grouped: bool) -> None:
    model = small()
    batch = rolled(model, [1.0, 0.0, 0.5, 0.0, 0.0, 1.0], [0, 0, 0, 1, 1, 1])
    found = []
    for device in ("cpu", "cuda"):
        policy = copy.deepcopy(model).to(device)
        learner = Learner(policy, Algorithm.parse(VARIANTS[name]), UpdateSettings(3e-3, 4, epochs=2, grouped=grouped))
        stats = learner.update(batch.to(torch.device(device)))
        found.append((stats, {key: value.cpu() for key, value in policy.state_dict().items()}))
    (here, weights), (there, others) = found
    assert there == pytest.approx(here, rel=2e-3, abs=1e-5)
    # Adam's first steps have the size of the learning rate whatever the gradient: where that is all but 0, its sign is chance.
    off = torch.cat([(weights[key] - others[key]).abs().flatten() for key in weights])
    assert float((off > 3e-4).float().mean()) < 0.01


@pytest.mark.parametrize(
    "changes",
    [
        {"selector": "edge"},
        {"selector": "mopps"},
        {"selector": "ds"},
        {"selector": "edge+ds"},
        {"selector": "uniform", "algorithm": Algorithm.parse("mapp")},
        {"selector": "edge", "algorithm": ALGORITHMS["ppo"]},
        {"selector": "edge", "algorithm": ALGORITHMS["grpo"], "mini_batches": 2, "epochs": 2},
        {"selector": "edge", "micro_batch_tokens": 64, "recompute": True, "precision": "bfloat16"},
    ],
    ids=lambda changes: " ".join(str(getattr(value, "like", value)) for value in changes.values()),
)
def test_a_run_goes_on_after_a_kill(changes: dict[str, Any], base: Path, tmp_path: Path, paid: None) -> None:
    config = rl_config(base, device="cuda", learning_rate=1e-3, **changes)
    with pytest.raises(Killed):
        train(config, tmp_path / "run", kill_at(4))
    before = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[:3]
    summary = train(config, tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert lines[:3] == before
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 8))
    assert summary["steps"] == 7
    last = load_file(tmp_path / "run" / "checkpoints" / "step_000007" / "model.safetensors")
    start = load_file(base / "model.safetensors")
    assert any(not torch.equal(last[name], start[name]) for name in start)


@pytest.mark.parametrize("changes", [{}, {"lora": {"rank": 2, "alpha": 4.0}}, {"precision": "bfloat16"}], ids=str)
def test_a_pretrained_model_is_trained(changes: dict[str, Any], tmp_path: Path, paid: None) -> None:
    if "lora" in changes:
        pytest.importorskip("peft")
    make(tmp_path / "model", "llama")
    config = pretrained_config(tmp_path / "model", device="cuda", learning_rate=1e-3, **changes)
    train(config, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(line["grad_norm"] > 0 for line in lines)


@pytest.mark.parametrize("algorithm", ["dapo", "ppo"])
def test_pictures_are_read(algorithm: str, tmp_path: Path, paid: None) -> None:
    base = tmp_path / "base"
    base.mkdir()
    Policy.fresh({"name": "geometry", "options": {}}, {**VISION, "max_position_embeddings": 160}, 0).save(base)
    config = RLConfig(
        base=str(base),
        pool=PoolConfig(size=12),
        evaluation=EvalConfig(problems=4, samples=1, every=2, probe=2, probe_samples=2),
        steps=2,
        prompts=4,
        rollouts=4,
        max_new_tokens=12,
        algorithm=ALGORITHMS[algorithm],
        device="cuda",
    )
    assert train(config, tmp_path / "run")["steps"] == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("compile", ["off", "on"])
def test_language_modelling_learns_and_resumes(compile: Any, tmp_path: Path) -> None:
    config = dataclasses.replace(PRETRAINING, device="cuda", compile=compile)
    with pytest.raises(Killed):
        pretrain(config, tmp_path, kill_at(40))
    pretrain(config, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 30, 40, 50, 60]
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]


def test_a_pretrained_model_is_mid_trained(tmp_path: Path) -> None:
    make(tmp_path / "model", "llama")
    easy = {"family": "addition", "level": [1, 1]}
    config = MidtrainConfig(
        base=str(tmp_path / "model"), task="school", difficulty=easy, steps=10, tokens=300, device="cuda", compile="off"
    )
    midtrain(config, tmp_path / "run")


def test_traces_and_evaluations(base: Path, tmp_path: Path) -> None:
    run = rl_config(base, selector="uniform", gate="informative", learning_rate=1e-3, device="cuda")
    trace = record(RecordConfig(run, checkpoints=3, samples=4, features=6, chunk=64), tmp_path / "trace.npz")
    assert trace.complete
    settings = ExamConfig(base=str(base), problems=20, samples=4, k=(1, 4), device="cuda")
    found = examine(settings, tmp_path)
    assert found["slices"]
