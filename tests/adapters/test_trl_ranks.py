"""Two processes, as under torchrun: the same selections and beliefs on both, and batches that are whole across them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl")
from tests.adapters.known_rates import OFTEN, scored, table

from edgewise.replay.trace import Trace

# Three programs that import torch: seconds on two idle cores, minutes on busy ones.
pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).parents[2]


def run(model: Path, out: Path, generations: int, seeds: str = "same") -> list[dict[str, Any]]:
    """Two ranks in the environment that torchrun makes, without the time its agent takes to start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
    }
    command = [sys.executable, str(Path(__file__).with_name("ranks_script.py"))]
    command += [str(model), str(out), str(generations), seeds]
    ranks = []
    try:
        for rank in ("0", "1"):
            with open(out / f"{rank}.log", "w") as log:
                environment = {**common, "RANK": rank, "LOCAL_RANK": rank}
                ranks.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        codes = [process.wait() for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert codes == [0, 0], "".join((out / f"{rank}.log").read_text()[-3000:] for rank in range(2))
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize(
    "generations", [3, pytest.param(2, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
def test_ranks_select_and_predict_the_same(model_folder, tmp_path, generations):
    """12 rollouts on 2 ranks: groups of 4 lie across the ranks, and groups of 3 are refilled in pairs."""
    first, second = run(model_folder, tmp_path, generations)
    for part in ("selected", "observed", "beliefs", "metrics"):
        assert first[part] == second[part]
    assert len(first["selected"]) > 8  # there were refills
    groups = 12 // generations
    if generations == 3:
        assert all(len(names) % 2 == 0 for names in first["selected"])
    data = table(OFTEN)
    rate_of = dict(zip(data["prompt"], data["rate"], strict=True))
    for left, right in zip(first["trained"], second["trained"], strict=True):
        assert len(left["prompts"]) == len(right["prompts"]) == 6
        prompts = np.array(left["prompts"] + right["prompts"]).reshape(groups, generations)
        assert (prompts == prompts[:, :1]).all()
        assert len(set(prompts[:, 0])) == groups
        completions = left["completions"] + right["completions"]
        rewards = [scored(c, rate_of[p]) for p, c in zip(prompts.ravel().tolist(), completions, strict=True)]
        rewards = np.array(rewards).reshape(groups, generations)
        expected = (rewards - rewards.mean(axis=1, keepdims=True)) / (rewards.std(axis=1, ddof=1, keepdims=True) + 1e-4)
        assert left["advantages"] + right["advantages"] == pytest.approx(expected.ravel().tolist(), abs=1e-4)
        assert (expected != 0).any(axis=1).all()
        assert left["items"] == right["items"] == left["tokens"] + right["tokens"]
    # One rank keeps the files.
    assert Trace.load(tmp_path / "trace.npz").trials.sum() == first["metrics"]["rollouts"]
    assert (tmp_path / "run" / "checkpoint-8" / "curriculum.npz").exists()


@pytest.mark.slow
def test_ranks_that_select_differently_stop(model_folder, tmp_path):
    for result in run(model_folder, tmp_path, 4, "different"):
        assert "the processes selected different prompts" in result["error"]
