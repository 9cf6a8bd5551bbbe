"""Problems of the original generator, where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).parents[4] / "shared" / "data" / "gsm_infinite" / "samples.jsonl"


@pytest.fixture(scope="session")
def samples_path() -> Path:
    if not SAMPLES.exists():
        pytest.skip(f"the original generator's samples are not at {SAMPLES}")
    return SAMPLES


@pytest.fixture(scope="session")
def samples(samples_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in samples_path.read_text(encoding="utf-8").splitlines()]
