"""The example of TRL runs two steps with a tiny random model, on what `edgewise data` wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.lab.model.pretrained import make

from edgewise.lab.data import Export, export
from edgewise.lab.model import import_model, load_pretrained

EXAMPLE = Path(__file__).parents[3] / "examples" / "trl_smollm2.py"


def test_the_example_trains_and_its_model_is_imported_again(tmp_path: Path) -> None:
    make(tmp_path / "source", "llama")
    model = import_model(tmp_path / "source", tmp_path / "model").folder
    export(Export("school", {}, {"level": [1, 1]}, 40, 5, format="trl"), tmp_path / "data")
    arguments = [str(EXAMPLE), str(model), str(tmp_path / "data"), str(tmp_path / "out"), "--steps", "2"]
    environment = {**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=240, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "effective ratio of the last steps" in done.stdout
    before, after = load_pretrained(model)[1], load_pretrained(tmp_path / "out")[1]
    texts = ["Question: 7 + 5\nAnswer:", "héllo 你好"]
    assert after.encode(texts) == before.encode(texts)
