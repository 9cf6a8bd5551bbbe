"""Files of Geometry3K (arXiv 2105.04165) in both published layouts: folders, and parquet with images, problem and answer."""

from __future__ import annotations

from pathlib import Path

from edgewise.errors import TaskError
from edgewise.tasks.base import Problem


def load_geometry3k(path: str | Path) -> list[Problem]:
    raise TaskError(f"{path}")
