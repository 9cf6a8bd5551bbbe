"""Problems of the original generator, where they are at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

DATA = Path(os.environ.get("EDGEWISE_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.fixture(scope="session")
def samples_path() -> Path:
    path = DATA / "gsm_infinite" / "samples.jsonl"
    if not path.exists():
        pytest.skip(f"the original generator's samples are not at {path}; EDGEWISE_DATA names their folder")
    return path


@pytest.fixture(scope="session")
def samples(samples_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in samples_path.read_text(encoding="utf-8").splitlines()]
