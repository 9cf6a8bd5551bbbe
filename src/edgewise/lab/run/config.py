"""Configurations as dataclasses, read from and written to YAML; unknown keys are errors that name the nearest known one."""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from edgewise.checkpoint import write_atomic
from edgewise.errors import ConfigError, unknown_name

T = TypeVar("T")


def from_dict(kind: type[T], values: Any, where: str = "") -> T:
    """Build a dataclass, nested ones included, from plain values."""
    if not isinstance(values, dict):
        raise ConfigError(f"{where or kind.__name__} must be a mapping, got {type(values).__name__}")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    arguments = {}
    for name, value in values.items():
        if name not in fields:
            raise unknown_name(f"setting in {where or kind.__name__}", name, fields)
        path = f"{where}.{name}" if where else name
        arguments[name] = _convert(hints[name], value, path)
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ConfigError(f"{where or kind.__name__}: {error}") from error


def _convert(hint: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, path)  # type: ignore[arg-type]
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        return _convert(next(option for option in options if option is not type(None)), value, path)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, str, bool) and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise ConfigError(f"{path} must be {hint.__name__}, got {value!r}")
    return value


def to_dict(config: Any) -> dict[str, Any]:
    """Plain values only: what YAML and JSON hold."""
    return _plain(dataclasses.asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of settings")
    return values


def write_yaml(path: Path, config: Any) -> None:
    write_atomic(path, yaml.safe_dump(to_dict(config), sort_keys=False).encode())


def claim(folder: Path, config: Any) -> bool:
    """Make `folder` the place of a run of `config`; True if such a run has begun there before (it will be resumed).

    Raises:
        ConfigError: the folder cannot be written, or holds a run of another configuration.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        existing = folder / "config.yaml"
        if not existing.exists():
            write_yaml(existing, config)
            return False
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}; choose another --out") from error
    old, new = read_yaml(existing), to_dict(config)
    if old != new:
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        detail = ", ".join(f"{key} {old.get(key)!r} there, {new.get(key)!r} asked" for key in changed[:3])
        raise ConfigError(
            f"{folder} holds a run of another configuration ({detail}); choose another --out or delete it"
        )
    return True
