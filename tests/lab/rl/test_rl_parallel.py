"""RL on two processes: one update, one batch, the same weights, and stops that lose nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.rl.rl_ranks import ALGORITHMS, ROLLS, STOP_AT, config, updates

from edgewise.lab.model.generate import sequence_logprobs
from edgewise.lab.model.policy import Policy
from edgewise.lab.rl.trainer import train
from edgewise.lab.run.config import write_yaml
from edgewise.lab.run.parallel import ALONE

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def torchrun(*arguments: str) -> None:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command = [sys.executable, *launcher, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=ENVIRONMENT, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-12000:]


@pytest.fixture(scope="module")
def folder(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes did what `rl_ranks` says."""
    out = tmp_path_factory.mktemp("ranks")
    torchrun("tests.lab.rl.rl_ranks", str(base), str(out))
    return out


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"rank_{rank}.pt", weights_only=True) for rank in range(2)]


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def final(run: Path) -> dict[str, torch.Tensor]:
    return Policy.load(run / "checkpoints/step_000006").model.state_dict()


def lines(path: Path) -> list[dict[str, Any]]:
    clocks = ("seconds", "select_seconds")
    return [{k: v for k, v in json.loads(line).items() if k not in clocks} for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", [*ALGORITHMS, "one group"])
def test_two_processes_make_the_update_of_one(base: Path, ranks: list[dict[str, Any]], name: str) -> None:
    alone = updates(Policy.load(base), ALONE)[name]
    first, second = (rank["updates"][name] for rank in ranks)
    assert_same(first["weights"], second["weights"])
    assert first["stats"] == second["stats"]
    assert alone["stats"]["grad_norm"] > 0.01
    assert first["stats"] == pytest.approx(alone["stats"], rel=1e-4, abs=1e-6)
    for key, value in alone["weights"].items():
        torch.testing.assert_close(first["weights"][key], value, atol=2e-6, rtol=1e-4, msg=key)


def test_a_loss_that_is_not_finite_is_seen_by_all_before_the_step(base: Path, ranks: list[dict[str, Any]]) -> None:
    before = Policy.load(base).model.state_dict()
    for rank in ranks:
        assert "the loss became nan" in rank["updates"]["nan"]["stats"]
        assert_same(rank["updates"]["nan"]["weights"], before)


@pytest.mark.parametrize("name", ROLLS)
def test_every_process_gets_all_rollouts_with_their_prompts(base: Path, ranks: list[dict[str, Any]], name: str) -> None:
    model = Policy.load(base).model
    first, second = (rank["rolls"][name] for rank in ranks)
    assert first["prompts"] == second["prompts"]
    assert first["texts"] == second["texts"]
    assert len(first["prompts"]) == len(first["tokens"]) == sum(ROLLS[name][1])
    for part in ("tokens", "lengths", "logprobs"):
        assert torch.equal(first[part], second[part])
    for prompt, tokens, length, logprobs in zip(
        first["prompts"], first["tokens"], first["lengths"], first["logprobs"], strict=True
    ):
        whole = torch.tensor([[*prompt, *tokens[:length].tolist()]])
        with torch.no_grad():
            expected = sequence_logprobs(model, whole)[0, len(prompt) - 1 :]
        torch.testing.assert_close(logprobs[:length], expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(ranks[0]["generator"], ranks[1]["generator"])


def test_processes_draw_different_rollouts(ranks: list[dict[str, Any]]) -> None:
    tokens = ranks[0]["rolls"]["one prompt in both"]["tokens"]
    assert not torch.equal(tokens[:6], tokens[6:])


def test_both_processes_end_with_the_same_weights(base: Path, folder: Path, ranks: list[dict[str, Any]]) -> None:
    assert_same(ranks[0]["weights"], ranks[1]["weights"])
    assert_same(ranks[0]["weights"], final(folder / "whole"))
    before = Policy.load(base).model.state_dict()
    assert not any(torch.equal(value, before[name]) for name, value in ranks[0]["weights"].items() if value.ndim > 1)
    whole = lines(folder / "whole/metrics.jsonl")
    assert [line["step"] for line in whole] == list(range(1, 7))
    assert max(line["rounds"] for line in whole) > 1
    assert [line["step"] for line in lines(folder / "whole/evals.jsonl")] == [0, 3, 6]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="names of threads are read from Linux's /proc")
def test_no_thread_of_a_group_outlives_it() -> None:
    """Left over, they abort the interpreter's exit now and then, and a finished run looks like one that failed."""
    torchrun("tests.lab.run.leaving_ranks")


def test_a_stop_of_one_process_stops_all_and_any_number_goes_on(
    base: Path, folder: Path, ranks: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert [rank["stopped"] for rank in ranks] == [STOP_AT, STOP_AT]
    kept = sorted(path.name for path in (folder / "stopped/checkpoints").iterdir())
    assert kept == [f"step_{STOP_AT:06d}"]
    for name in ("two", "one"):
        shutil.copytree(folder / "stopped", tmp_path / name)
    write_yaml(tmp_path / "rl.yaml", config(base))
    torchrun("edgewise.cli", "rl", str(tmp_path / "rl.yaml"), str(tmp_path / "two"))
    assert_same(final(tmp_path / "two"), final(folder / "whole"))
    for name in ("metrics.jsonl", "evals.jsonl", "samples.jsonl"):
        assert lines(tmp_path / "two" / name) == lines(folder / "whole" / name), name
    train(config(base), tmp_path / "one")
    assert [line["step"] for line in lines(tmp_path / "one/metrics.jsonl")] == list(range(1, 7))
    assert lines(tmp_path / "one/metrics.jsonl")[:STOP_AT] == lines(folder / "whole/metrics.jsonl")[:STOP_AT]


def test_processes_that_select_different_prompts_are_stopped(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert "selected different prompts at step 1: selector 'edge'" in rank["astray"]


def test_a_signal_lets_the_step_finish_and_saves_it(base: Path, tmp_path: Path) -> None:
    train(config(base), tmp_path / "whole")

    def stop(line: dict[str, Any]) -> None:
        if line["step"] == 2:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        train(config(base), tmp_path / "stopped", stop)
    assert [path.name for path in (tmp_path / "stopped/checkpoints").iterdir()] == ["step_000003"]
    train(config(base), tmp_path / "stopped")
    assert_same(final(tmp_path / "stopped"), final(tmp_path / "whole"))
