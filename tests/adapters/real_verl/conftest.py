"""Runs of verl on a CPU, and batches as its trainers hand them over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Any]:
    """verl's config for data with known success rates; arguments override it as on the command line."""
    from tests.adapters.real_verl.verl_data import configured

    def build(*overrides: str, **options: Any) -> Any:
        return configured(tmp_path, *overrides, **options)

    return build


@pytest.fixture
def selection(config: Callable[..., Any]) -> Callable[..., Any]:
    """A selection that observes `DataProto`s, over verl's own dataset."""
    from verl.utils.dataset.rl_dataset import RLHFDataset

    from edgewise.adapters.verl.dataproto import DataProtoSelection

    def build(*overrides: str, **options: Any) -> Any:
        data = config(*overrides, **options).data
        return DataProtoSelection(RLHFDataset(data.train_files, None, data), data)

    return build
