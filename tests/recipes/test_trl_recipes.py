"""Recipes for TRL with a tiny random model: every method trains for two steps on what the data script's command writes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.lab.model.pretrained import make

from edgewise.lab.data import Export, export
from edgewise.lab.data.features_command import features_command

# transformers renames settings that TRL 1.16 has under their old names.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
SCRIPT = Path(__file__).parents[2] / "recipes" / "trl" / "grpo.py"


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("grpo_recipe", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make(folder, "qwen2")
    return folder


def train(recipe: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    recipe.main()


@pytest.mark.parametrize("method", ["uniform", "ds", "mopps", "edge"])
def test_every_method_trains_for_two_steps(
    recipe: ModuleType,
    model: Path,
    method: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    task = {"mopps": "math"}.get(method, "countdown")
    if task == "math":
        for side, numbers in (("train", range(40)), ("test", range(100, 105))):
            rows = [{"problem": f"{a} + {a}?", "answer": str(2 * a)} for a in numbers]
            (tmp_path / f"{side}.json").write_text(json.dumps(rows))
        options = {"train": str(tmp_path / "train.json"), "eval": str(tmp_path / "test.json"), "grader": "plain"}
        export(Export("math", options, {}, format="trl", chat=True), tmp_path / "data")
    else:
        export(Export("countdown", {}, {"count": [3, 4]}, 40, 5, format="trl", chat=True), tmp_path / "data")
    features_command(tmp_path / "data" / "train.jsonl", str(model), tmp_path / "data" / "features.json")
    made = []

    class Kept(recipe.EdgewiseGRPOTrainer):  # type: ignore[name-defined]
        def __init__(self, **given: Any):
            super().__init__(**given)
            made.append(self)

    monkeypatch.setattr(recipe, "EdgewiseGRPOTrainer", Kept)
    # Two mini-batches a step, as in the published settings.
    small = ["--steps", "2", "--prompts", "4", "--mini-batch", "2", "--completion", "6", "--on-device", "8", "--cpu"]
    out = tmp_path / "out"
    train(recipe, monkeypatch, task, method, str(tmp_path / "data"), str(out), "--model", str(model), *small)
    assert "effective ratio of the last steps" in capsys.readouterr().out
    assert (out / "model.safetensors").exists()
    assert (made[0].curriculum.pool.features is not None) == (method == "edge")


def test_the_published_settings_of_each_task(recipe: ModuleType, tmp_path: Path) -> None:
    wanted = {"math": (256, 128, 300), "countdown": (256, 64, 200), "geometry3k": (512, 256, 150)}
    for task, (prompts, mini_batch, steps) in wanted.items():
        given = {"seed": 0, "on_device": 16, "cpu": True, "out": tmp_path}
        arguments: Any = type("Given", (), {**dict.fromkeys(("prompts", "mini_batch", "completion", "steps")), **given})
        settings = recipe.settings(recipe.RECIPES[task], arguments)
        updates = prompts // mini_batch
        assert settings.generation_batch_size == prompts * 8
        assert settings.per_device_train_batch_size * settings.gradient_accumulation_steps == mini_batch * 8
        assert settings.max_steps == steps * updates
        assert (settings.learning_rate, settings.epsilon, settings.epsilon_high, settings.beta) == (
            1e-6,
            0.2,
            0.28,
            0.0,
        )
    with pytest.raises(SystemExit, match="does not handle pictures"):
        recipe.method_of(recipe.RECIPES["geometry3k"], "ds", True)


def test_pictures_of_geometry3k_are_read_from_their_files(
    recipe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    for index in range(20):
        place = tmp_path / "pictures" / str(index)
        place.mkdir(parents=True)
        Image.new("L", (30, 20 + index), 99).save(place / "img_diagram.png")
        item = {"problem_text": f"Find x {index}", "choices": [str(index)] * 4, "answer": "A"}
        (place / "data.json").write_text(json.dumps(item))
    settings = Export("geometry", {}, {}, format="trl", chat=True, files=(tmp_path / "pictures",))
    export(settings, tmp_path / "data")
    rows = recipe.problems(tmp_path / "data", "train")
    assert rows[0]["images"][0].width == 30
    assert "<image>" not in rows[0]["prompt"][0]["content"]


def test_the_data_script_writes_what_the_recipes_read(tmp_path: Path) -> None:
    script = SCRIPT.parents[1] / "data.sh"
    binaries = Path(sys.executable).parent
    if not (binaries / "edgewise").exists():
        pytest.skip("the command edgewise is not beside this Python")
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
    command = ["bash", str(script), "trl", "countdown", str(tmp_path / "data")]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=240)
    rows = [json.loads(line) for line in (tmp_path / "data" / "train.jsonl").read_text().splitlines()]
    assert len(rows) == 2000
    assert rows[0]["prompt"][0]["content"].endswith("</answer>.")
    refused = subprocess.run([*command[:3], "chess", str(tmp_path)], env=environment, capture_output=True, check=False)
    assert refused.returncode == 2
