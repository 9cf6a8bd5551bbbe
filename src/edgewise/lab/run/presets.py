"""Settings that go with a size of model, by name: from 0.1M parameters, seconds on a CPU, to the paper's 103M.

A stage's YAML file may begin from one with `preset: NAME`; what it says itself wins, and `model` is merged name by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from edgewise.errors import ConfigError, unknown_name
from edgewise.lab.run.config import from_dict, read_yaml

FOLDER = Path(__file__).parent / "presets"
T = TypeVar("T")


def names() -> list[str]:
    """All presets, the smallest first."""
    return sorted((path.stem for path in FOLDER.glob("*.yaml")), key=lambda name: float(name.rstrip("M")))


def preset(name: str) -> dict[str, Any]:
    """The settings of a preset."""
    if name not in names():
        raise unknown_name("preset", name, names())
    return read_yaml(FOLDER / f"{name}.yaml")


def read_stage(kind: type[T], path: Path) -> T:
    """The settings of a stage from its YAML file, which may name a preset to begin from."""
    values = read_yaml(path)
    name = values.pop("preset", None)
    if name is not None:
        if not isinstance(name, str):
            raise ConfigError(f"preset must be one of {', '.join(names())}, got {name!r}")
        before = preset(name)
        sizes = before.pop("model")
        # A base has its own sizes.
        if not values.get("base"):
            own = values.pop("model", {})
            if not isinstance(own, dict):
                raise ConfigError(f"model must be a mapping of sizes, got {own!r}")
            before["model"] = {**sizes, **own}
        values = {**before, **values}
    return from_dict(kind, values)
