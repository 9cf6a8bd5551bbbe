"""Recipes for verl 0.9, as far as a machine without a GPU goes: configuration, data, rewards and selection."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl", reason="verl is not installed here: make test-verl")
from tests.adapters.real_verl.entrances import IS_07

if IS_07:
    pytest.skip("the recipes are for verl 0.9", allow_module_level=True)

import numpy as np
import pyarrow.parquet
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.utils.import_utils import load_extern_object

from edgewise.adapters.verl.selection import Selection
from edgewise.lab.data import Export, export

RECIPES = Path(__file__).parents[3] / "recipes" / "verl"
TASKS = ("math", "countdown", "geometry3k")
METHODS = ("uniform", "ds", "mopps", "edge")
ROWS = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What `edgewise data` writes for each task, small."""
    folder = tmp_path_factory.mktemp("data")
    return {task: written(task, folder) for task in TASKS}


def written(task: str, folder: Path) -> Path:
    out = folder / task
    if task == "countdown":
        export(Export("countdown", {}, {"count": [3, 4]}, ROWS, 4, format="verl"), out)
    elif task == "math":
        for side, numbers in (("train", range(ROWS)), ("test", range(100, 104))):
            rows = [{"problem": f"What is {a} + {a}?", "answer": str(2 * a), "level": a % 3} for a in numbers]
            (folder / f"{side}.json").write_text(json.dumps(rows))
        options = {"train": str(folder / "train.json"), "eval": str(folder / "test.json"), "grader": "plain"}
        export(Export("math", options, {}, format="verl"), out)
    else:
        from PIL import Image

        for side, count in (("train", ROWS), ("test", 4)):
            for index in range(count):
                place = folder / "pictures" / side / str(index)
                place.mkdir(parents=True)
                Image.new("L", (40, 40 + index), 99 if side == "train" else 9).save(place / "img_diagram.png")
                item = {"problem_text": f"Find x {index}", "choices": [str(index)] * 4, "answer": "A"}
                (place / "data.json").write_text(json.dumps({**item, "problem_type_graph": [f"kind {index % 3}"]}))
        files = (folder / "pictures" / "train", folder / "pictures" / "test")
        export(Export("geometry", {}, {}, format="verl", files=files), out)
    return out


def arguments(task: str, method: str, folder: Path, scratch: Path) -> list[str]:
    """The command line that the script of a task calls verl with: a stand-in for python3 writes it down."""
    stand_in = scratch / "python3"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\0" "$@" > "$OUT"\n')
    stand_in.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{scratch}:{os.environ['PATH']}",
        "OUT": str(scratch / "out"),
        "METHOD": method,
    }
    subprocess.run(["bash", str(RECIPES / f"{task}.sh"), str(folder)], env=environment, check=True)
    given = (scratch / "out").read_text().split("\0")[:-1]
    assert given[:2] == ["-m", "verl.trainer.main_ppo"]
    return given[2:]


def composed(overrides: list[str]) -> Any:
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", METHODS)
def test_every_recipe_is_a_valid_configuration_whose_curriculum_selects_from_its_data(
    task: str, method: str, data: dict[str, Path], tmp_path: Path
) -> None:
    given = arguments(task, method, data[task], tmp_path)
    config = composed(given)
    validate_config(config, need_reference_policy(config), need_critic(config))
    assert config.algorithm.filter_groups.enable == (method == "ds")
    assert not need_reference_policy(config), "a penalty that the recipes do not have would cost memory"
    # No tokenizer without a network: nothing is filtered by length, and a step is as large as these few rows allow.
    small = composed([*given, "data.filter_overlong_prompts=False", "data.train_batch_size=8"])
    dataset = RLHFDataset(small.data.train_files, None, small.data)
    selection = Selection(dataset, small.data)
    rows = selection.select(8, 0)
    assert len(set(rows.tolist())) == 8
    reward = load_extern_object(config.reward.custom_reward_function.path, config.reward.custom_reward_function.name)
    frame = dataset.dataframe
    assert len(frame) == ROWS
    scores = []
    for row in np.repeat(rows, 8).tolist():
        item = frame[row]
        answer = item["reward_model"]["ground_truth"]
        text = (f"<answer>{answer}</answer>" if task != "math" else f"\\boxed{{{answer}}}") if row % 2 else "no idea"
        found = reward(item["data_source"], text, answer, item["extra_info"])
        assert found["score"] == float(row % 2)
        scores.append(found["score"])
    selection.observe_scores(np.repeat(rows, 8), np.array(scores), {})
    assert selection.curriculum.in_flight.size == 0
    assert len(set(selection.select(8, 1).tolist())) == 8
    if method == "edge":
        assert len(selection.pool.category_names) > 1
    if task == "geometry3k":
        assert frame[0]["images"][0]["bytes"].startswith(b"\x89PNG")
        assert frame[0]["prompt"][0]["content"].count("<image>") == 1


def test_measured_likelihoods_reach_the_curriculum_of_edge_alone(data: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data["countdown"], folder)
    ids = [row["extra_info"]["index"] for row in pyarrow.parquet.read_table(folder / "train.parquet").to_pylist()]
    (folder / "features.json").write_text(json.dumps({name: -float(place) for place, name in enumerate(ids)}))
    for method in ("edge", "mopps"):
        given = arguments("countdown", method, folder, tmp_path)
        small = composed([*given, "data.filter_overlong_prompts=False", "data.train_batch_size=8"])
        pool = Selection(RLHFDataset(small.data.train_files, None, small.data), small.data).pool
        if method == "mopps":
            assert pool.features is None
        else:
            assert pool.features[:, 0].tolist() == [-float(place) for place in range(len(ids))]


@pytest.mark.timeout(1800)
def test_the_entry_point_itself_takes_a_recipe(data: dict[str, Path], tmp_path: Path) -> None:
    given = arguments("math", "edge", data["math"], tmp_path)
    command = [sys.executable, "-m", "verl.trainer.main_ppo", *given, "--cfg", "job"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    printed = OmegaConf.create(done.stdout[done.stdout.index("actor_rollout_ref:") :])
    assert printed.data.edgewise.selector == "edge"
    assert printed.actor_rollout_ref.rollout.n == 8


def test_an_unknown_method_is_refused(data: dict[str, Path]) -> None:
    environment = {**os.environ, "METHOD": "best"}
    done = subprocess.run(
        ["bash", str(RECIPES / "math.sh"), str(data["math"])],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "uniform, ds, mopps or edge" in done.stderr
