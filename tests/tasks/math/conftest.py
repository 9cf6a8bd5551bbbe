"""Data sets of mathematics, where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    folder = Path(os.environ.get("EDGEWISE_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not (folder / "math").is_dir():
        pytest.skip(f"no data sets at {folder}; EDGEWISE_DATA names their folder")
    return folder
