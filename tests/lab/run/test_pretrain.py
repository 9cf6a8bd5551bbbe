"""Stages of language modelling: killed anywhere they resume to the same result, and two processes make the same steps."""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.lab.model.pretrained import make
from tests.small import PRETRAINING

from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.lab.model import ModelConfig
from edgewise.lab.model.policy import Policy, PromptFormat
from edgewise.lab.run.config import from_dict, to_dict, write_yaml
from edgewise.lab.run.corpus import Corpus
from edgewise.lab.run.pretrain import MidtrainConfig, PretrainConfig, midtrain, pretrain, starting_policy
from edgewise.tasks import make_task

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
SHORT = dataclasses.replace(PRETRAINING, steps=6, save_every=3, tokens=200)


class Killed(Exception):
    pass


def kill_at(step: int):
    def progress(line: dict) -> None:
        if line["step"] >= step:
            raise Killed

    return progress


def lines(run: Path) -> list[dict]:
    clocks = ("seconds", "tokens_per_second")
    journal = (run / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name not in clocks} for line in journal]


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint / "model.safetensors")


def assert_equal_weights(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_pretraining_learns_and_resumes_exactly(base: Path, tmp_path: Path) -> None:
    whole = lines(base.parent.parent)
    assert whole[-1]["loss"] < 0.7 * whole[0]["loss"]
    assert whole[-1]["tokens"] == PRETRAINING.planned_tokens == 60 * 512
    with pytest.raises(Killed):
        pretrain(PRETRAINING, tmp_path, kill_at(40))
    resumed = pretrain(PRETRAINING, tmp_path)
    assert_equal_weights(base, resumed)
    assert lines(tmp_path) == whole
    # The clock is that of the whole run.
    seconds = [json.loads(line)["seconds"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert seconds == sorted(seconds)
    # Finished: the same command does nothing.
    assert pretrain(PRETRAINING, tmp_path, kill_at(0)) == resumed


def test_a_pretrained_model_is_trained_on_worked_solutions(tmp_path: Path) -> None:
    make(tmp_path / "model", "llama")
    rows = [{"question": f"What is {a} + {a}?", "answer": f"{a} and {a} are {2 * a}.\n#### {2 * a}"} for a in range(40)]
    write = tmp_path / "rows.jsonl"
    write.write_text("\n".join(map(json.dumps, rows)))
    settings = {
        "base": str(tmp_path / "model"),
        "task": "math",
        "task_options": {"train": str(write), "grader": "plain", "prompt": "{problem}"},
        "prompts_format": {"chat": True},
        "steps": 30,
        "tokens": 400,
        "learning_rate": 1e-2,
        "save_every": 15,
    }
    config = from_dict(MidtrainConfig, settings)
    corpus = Corpus(make_task("math", **config.task_options), *stage_parts(config), form=PromptFormat(chat=True))
    pack = corpus[0]
    policy = starting_policy(config)
    text = policy.tokenizer.core.decode(pack.tokens.tolist(), skip_special_tokens=False)
    # The pack's longest document stands first: a rendered chat, the solution, the end token.
    asked, _, shown = text.partition("<|im_start|>assistant\n")
    assert asked.startswith("<|im_start|>user\nWhat is ")
    assert shown.partition("<|im_end|>")[0].partition("#### ")[2].isdigit()
    assert policy.tokenizer.end in pack.targets
    with pytest.raises(Killed):
        midtrain(config, tmp_path / "run", kill_at(20))
    last = midtrain(config, tmp_path / "run")
    whole = midtrain(config, tmp_path / "whole")
    assert_equal_weights(whole, last)
    journal = lines(tmp_path / "run")
    assert journal[-1]["loss"] < 0.7 * journal[0]["loss"]
    # The checkpoint names its task and the form of its prompts itself.
    assert Policy.load(last).prompts == PromptFormat(chat=True)
    assert Policy.load(last).task_spec["name"] == "math"


def stage_parts(config: MidtrainConfig) -> tuple[Any, dict[str, Any], int]:
    return starting_policy(config).tokenizer, config.difficulty, config.tokens


def test_midtraining_goes_on_from_a_checkpoint(base: Path, tmp_path: Path) -> None:
    config = MidtrainConfig(
        base=str(base), difficulty={"op": [1, 3]}, steps=20, tokens=512, learning_rate=1e-3, save_every=20
    )
    after = midtrain(config, tmp_path)
    # It starts where the base ended, not from nothing.
    assert lines(tmp_path)[0]["loss"] < 1.1 * lines(base.parent.parent)[-1]["loss"]
    assert Policy.load(after).task_spec == Policy.load(base).task_spec
    changed = [name for name, value in weights(after).items() if not torch.equal(value, weights(base)[name])]
    # Where the file's family has a bias that the model lacks, it is a constant 0.
    assert set(weights(base)) - set(changed) <= {f"model.layers.{i}.self_attn.o_proj.bias" for i in range(2)}


def test_accumulated_packs_make_one_large_step(tmp_path: Path) -> None:
    config = dataclasses.replace(SHORT, steps=1, accumulate=4, tokens=100, clip=1e9)
    one = pretrain(config, tmp_path / "four")
    stepped = weights(one)
    # By hand: the mean over all counted tokens of the four packs.
    from edgewise.lab.model.packed import Objective
    from edgewise.lab.run.corpus import Corpus
    from edgewise.lab.run.pretrain import starting_policy

    policy = starting_policy(config)
    corpus = Corpus(policy.task, policy.tokenizer, config.difficulty, 100, seed=config.seed)
    packs = [corpus[number] for number in range(4)]
    objective = Objective(policy.model)
    (sum(objective(pack) for pack in packs) / sum(len(pack.targets) for pack in packs)).backward()
    optimizer = torch.optim.AdamW(
        policy.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.98)
    )
    optimizer.step()
    for name, value in policy.model.state_dict().items():
        torch.testing.assert_close(stepped[name], value, atol=2e-5, rtol=1e-4, msg=name)


def torchrun(config: PretrainConfig, out: Path, processes: int) -> Path:
    write_yaml(out.parent / f"{out.name}.yaml", config)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--standalone"]
    command += ["-m", "edgewise.cli", "pretrain", str(out.parent / f"{out.name}.yaml"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return sorted((out / "checkpoints").iterdir())[-1]


def test_two_processes_make_the_steps_of_one(tmp_path: Path) -> None:
    config = dataclasses.replace(SHORT, accumulate=4)
    alone = pretrain(config, tmp_path / "one")
    together = torchrun(config, tmp_path / "two", 2)
    first, second = weights(alone), weights(together)
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=1e-4, rtol=1e-3, msg=name)
    one, two = lines(tmp_path / "one")[-1], lines(tmp_path / "two")[-1]
    assert two["step"] == 6
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
    assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-3)


RANKS = """
import sys, torch
from pathlib import Path
from edgewise.lab.run import pretrain as stage
from edgewise.lab.run.config import from_dict, read_yaml
from edgewise.lab.run.parallel import world

config = from_dict(stage.PretrainConfig, read_yaml(Path(sys.argv[1])))
with world(config.device) as here:
    run = stage._Stage(config, Path(sys.argv[2]), here)
    run.run(None)
    torch.save({k: v for k, v in run.model.state_dict().items()}, Path(sys.argv[3]) / f"rank_{here.rank}.pt")
"""


def test_both_processes_hold_the_same_weights(tmp_path: Path) -> None:
    (tmp_path / "ranks.py").write_text(RANKS)
    write_yaml(tmp_path / "config.yaml", dataclasses.replace(SHORT, accumulate=2))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command += [str(tmp_path / "ranks.py"), str(tmp_path / "config.yaml"), str(tmp_path / "run"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [torch.load(tmp_path / f"rank_{rank}.pt", weights_only=True) for rank in range(2)]
    assert all(torch.equal(ranks[0][name], ranks[1][name]) for name in ranks[0])
    saved = weights(tmp_path / "run/checkpoints/step_000006")
    assert all(torch.equal(ranks[0][name], saved[name]) for name in ranks[0])


def test_packs_that_processes_cannot_share_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgewise.lab.run import pretrain as stage
    from edgewise.lab.run.parallel import World

    with pytest.raises(ConfigError, match="2 processes cannot share 3 packs"):
        stage._Stage(dataclasses.replace(SHORT, accumulate=3), tmp_path / "run", World(0, 2, torch.device("cpu")))
    assert not (tmp_path / "run").exists()


LONG = dataclasses.replace(PRETRAINING, steps=250, save_every=50)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of LONG that nothing stopped."""
    return pretrain(LONG, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_command_resumes_to_the_same_weights(whole: Path, tmp_path: Path, number: int) -> None:
    write_yaml(tmp_path / "config.yaml", LONG)
    out = tmp_path / "run"
    command = [sys.executable, "-m", "edgewise.cli", "pretrain", str(tmp_path / "config.yaml"), str(out)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not (out / "metrics.jsonl").exists() or len(lines_so_far(out)) < 6:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=100)
    kept = sorted((out / "checkpoints").glob("step_*"))
    if number != signal.SIGKILL:
        assert process.returncode == 130, errors
        assert "the same command goes on" in errors
        # Nothing is lost: the step in hand was saved.
        assert int(kept[-1].name[5:]) >= max(line["step"] for line in lines_so_far(out))
    else:
        assert process.returncode == -signal.SIGKILL
        assert int(kept[-1].name[5:]) % 50 == 0
    assert int(kept[-1].name[5:]) < 250
    assert_equal_weights(whole, pretrain(LONG, out))
    assert lines(out) == lines(whole.parent.parent)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_lets_the_step_in_hand_finish(tmp_path: Path, number: int) -> None:
    config = dataclasses.replace(LONG, data_workers=1, steps=100_000)
    write_yaml(tmp_path / "config.yaml", config)
    out = tmp_path / "run"
    command = [sys.executable, "-m", "edgewise.cli", "pretrain", str(tmp_path / "config.yaml"), str(out)]
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 100
    while not (out / "metrics.jsonl").exists() or len(lines_so_far(out)) < 6:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)  # twice, as `timeout` does it
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130, errors
    assert errors.count("the same command goes on") == 1
    assert "Traceback" not in errors
    kept = sorted((out / "checkpoints").glob("step_*"))
    assert int(kept[-1].name[5:]) >= max(line["step"] for line in lines_so_far(out))


def lines_so_far(run: Path) -> list[dict]:
    text = (run / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def test_a_loss_that_is_not_finite_stops_before_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgewise.lab.run.pretrain import Objective

    forward, calls = Objective.forward, []

    def poisoned(self, pack):
        calls.append(pack)
        return forward(self, pack) * (float("nan") if len(calls) == 5 else 1.0)

    monkeypatch.setattr(Objective, "forward", poisoned)
    with pytest.raises(EdgewiseError, match=r"loss became nan.*at step 5; the last good checkpoint is .*step_000003"):
        pretrain(SHORT, tmp_path)
    monkeypatch.setattr(Objective, "forward", forward)
    for value in weights(tmp_path / "checkpoints/step_000003").values():
        assert torch.isfinite(value).all()
    assert_equal_weights(pretrain(SHORT, tmp_path), pretrain(SHORT, tmp_path.parent / f"{tmp_path.name}_whole"))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files cannot grow beyond `size` bytes: what a full disk looks like to who writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_costs_no_checkpoint(tmp_path: Path) -> None:
    config = dataclasses.replace(SHORT, steps=20)
    with pytest.raises(Killed):
        pretrain(config, tmp_path, kill_at(10))
    with largest_file(20_000), pytest.raises(CheckpointError, match=r"cannot write.*step 12 .*step_000009 is whole"):
        pretrain(config, tmp_path)
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == ["step_000006", "step_000009"]
    with largest_file(100), pytest.raises(EdgewiseError, match=r"cannot write to .*metrics\.jsonl"):
        pretrain(config, tmp_path)
    assert_equal_weights(pretrain(config, tmp_path), pretrain(config, tmp_path.parent / f"{tmp_path.name}_whole"))


def test_checkpoints_of_another_kind_are_refused(base: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(ConfigError, match=r"another architecture \(hidden_size 32 there, 64 asked"):
        pretrain(dataclasses.replace(SHORT, base=str(base), model=ModelConfig(num_hidden_layers=2)), run)
    with pytest.raises(ConfigError, match=r"made for opgraph.*not that of countdown"):
        pretrain(dataclasses.replace(SHORT, base=str(base), task="countdown", model=ModelConfig()), run)
    with pytest.raises(ConfigError, match=r"not that of opgraph with \d+, first at '\+10'"):
        pretrain(dataclasses.replace(SHORT, base=str(base), task_options={"modulus": 11}), run)
    with pytest.raises(ConfigError, match="mid-training starts from a checkpoint"):
        MidtrainConfig()
    with pytest.raises(CheckpointError, match="no shipped checkpoint 'nowhere'"):
        midtrain(MidtrainConfig(base="nowhere"), run)
    with pytest.raises(ConfigError, match="longer than the model's 48 positions"):
        pretrain(dataclasses.replace(SHORT, difficulty={"op": [25, 30]}), run)
    assert not run.exists()


def test_settings_are_checked(tmp_path: Path) -> None:
    config = from_dict(PretrainConfig, {"difficulty": {"op": {"1-2": 0.2, "3": 0.8}}, "learning_rate": 1})
    assert from_dict(PretrainConfig, yaml.safe_load(yaml.safe_dump(to_dict(config)))) == config
    run = tmp_path / "run"
    with pytest.raises(ConfigError, match="sum to 1"):
        pretrain(PretrainConfig(difficulty={"op": {"1-2": 0.2, "3": 0.7}}), run)
    with pytest.raises(ConfigError, match="precision must be one of"):
        PretrainConfig(precision="fp8")
    with pytest.raises(ConfigError, match="tokens must be a whole number of at least 1, got 0"):
        PretrainConfig(tokens=0)
    for kind in (PretrainConfig, MidtrainConfig):
        for name, value in {"learning_rate": -1.0, "final_learning_rate": -1.0, "warmup": 2.0}.items():
            with pytest.raises(ConfigError, match=f"^{name} must be a number"):
                from_dict(kind, {"base": "opgraph", name: value})
    with pytest.raises(ConfigError, match="device must be"):
        pretrain(PretrainConfig(device="gpu"), run)
    assert not run.exists()
