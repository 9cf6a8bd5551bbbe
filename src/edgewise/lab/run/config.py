"""Configurations as dataclasses: read from and written to YAML, every field checked by type and range under its own name.

A field's range stands in its annotation (`steps: Count`, `learning_rate: Rate`); `validate(self)` in `__post_init__` applies it,
whether the values came from YAML or from Python. A dataclass with `from_plain` and `to_plain` has a short form of its own.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from edgewise.checkpoint import make_folder, no_empty_folder, write_atomic
from edgewise.errors import ConfigError, unknown_name
from edgewise.lab.run.yaml import dump, parse

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """Numbers between `low` and `high`; both ends are allowed unless `above`: then `low` is not."""

    low: float
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        # An integer is finite, but may be too large for a float.
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.low < value if self.above else self.low <= value)
            and value <= self.high
        )

    def words(self, value: float) -> str:
        """What the number must be, given one that is not in the range."""
        if self.low == -math.inf == -self.high:
            return "that is finite"
        if math.isfinite(self.high) and self.high < 2**31 - 1:
            return (
                f"above {self.low:g} and at most {self.high:g}"
                if self.above
                else f"between {self.low:g} and {self.high:g}"
            )
        if value > self.high:
            # An integer of this size is not a float: 2**63 - 1 would be shown as 2**63.
            return f"of at most {self.high if isinstance(self.high, int) else format(self.high, 'g')}"
        return f"above {self.low:g}" if self.above else f"of at least {self.low:g}"


Count = Annotated[int, Range(1, 2**31 - 1)]
"""A number of things that must exist."""
Size = Annotated[int, Range(0, 2**31 - 1)]
"""A number of things that may be none."""
Seed = Annotated[int, Range(0, 2**63 - 1)]
Fraction = Annotated[float, Range(0, 1)]
NotNegative = Annotated[float, Range(0)]
Finite = Annotated[float, Range(-math.inf)]
Above = Annotated[float, Range(0, above=True)]
"""A finite number above 0."""
GREEDY = 1e-3
Temperature = Annotated[float, Range(GREEDY, 1e3)]
"""Of sampling: below it samples are greedy up to rounding, above it uniform."""

_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def from_dict(kind: type[T], values: Any, where: str = "") -> T:
    """Build a dataclass, nested ones included, from plain values.

    Raises:
        ConfigError: an unknown, missing or ill-typed field, or a value out of range; the message names the field.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where or kind.__name__} must be a mapping of settings, got {_shown(values)}")
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind, include_extras=True)
    arguments = {}
    for name, value in values.items():
        if name in (moved := getattr(kind, "MOVED", {})):
            raise ConfigError(f"the setting {name} of {where or kind.__name__} is now {moved[name]}")
        if name not in fields:
            raise unknown_name(f"setting in {where or kind.__name__}", name, fields)
        arguments[name] = _convert(hints[name], value, f"{where}.{name}" if where else name)
    empty = dataclasses.MISSING
    missing = [n for n, f in fields.items() if n not in arguments and f.default is empty and f.default_factory is empty]
    if missing:
        raise ConfigError(f"{where or kind.__name__} lacks the setting{'s' * (len(missing) > 1)} {', '.join(missing)}")
    return kind(**arguments)


def validate(config: Any) -> None:
    """Check every field of a dataclass against its annotation, and convert lists to tuples, integers to floats and so on.

    Raises:
        ConfigError: the message names the field, what it must be and what was given.
    """
    hints = typing.get_type_hints(type(config), include_extras=True)
    for field in dataclasses.fields(config):
        object.__setattr__(config, field.name, _convert(hints[field.name], getattr(config, field.name), field.name))


def _convert(hint: Any, value: Any, path: str) -> Any:
    if hint is Any:
        return value
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        value = _convert(options[0], value, path)
        for allowed in options[1:]:
            if isinstance(allowed, Range) and value not in allowed:
                raise ConfigError(f"{path} must be {_KINDS[options[0]]} {allowed.words(value)}, got {value!r}")
        return value
    if dataclasses.is_dataclass(hint):
        if isinstance(value, typing.cast(type, hint)):
            return value
        reader = getattr(hint, "from_plain", None)
        return reader(value, path) if reader is not None else from_dict(typing.cast(type, hint), value, path)
    if origin in (typing.Union, types.UnionType):
        return _one_of(options, value, path)
    if value is None:
        raise ConfigError(f"{path} is empty; give it a value or leave the line out")
    if origin is Literal:
        if value in options and isinstance(value, type(options[options.index(value)])):
            return value
        error = unknown_name(path, str(value), map(str, options))
        raise ConfigError(f"{path} must be one of {', '.join(map(str, options))}, got {value!r}") from error
    if origin is tuple or hint is tuple:
        return _sequence(options, value, path)
    if origin is list:
        return list(_sequence((*options, ...), value, path))
    if origin is dict or hint is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{path} must be a mapping such as {{name: value}}, got {_shown(value)}")
        inner = options[1] if options else Any
        return {str(key): _convert(inner, item, f"{path}.{key}") for key, item in value.items()}
    if hint is Path:
        return Path(_scalar(str, str(value) if isinstance(value, Path) else value, path))
    return _scalar(hint, value, path) if hint in _KINDS else value


def _one_of(options: tuple[Any, ...], value: Any, path: str) -> Any:
    """The value as the first of several types that it fits."""
    if value is None and type(None) in options:
        return None
    kinds = [option for option in options if option is not type(None)]
    errors = []
    for kind in kinds:
        try:
            return _convert(kind, value, path)
        except ConfigError as error:
            errors.append(error)
    # Of several mismatches, the one of the kind that was meant: a mapping for a mapping, the first otherwise.
    meant = [e for k, e in zip(kinds, errors, strict=True) if isinstance(value, dict) and dataclasses.is_dataclass(k)]
    raise (meant or errors)[0]


def _sequence(options: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{path} must be a list such as [{_shown(value, bare=True)}], got {_shown(value)}")
    if not options:
        return tuple(value)
    if options[-1] is ...:
        kinds = [options[0]] * len(value)
    elif len(options) != len(value):
        raise ConfigError(f"{path} must be a list of {len(options)} values, got {list(value)}")
    else:
        kinds = list(options)
    return tuple(_convert(kind, item, f"{path}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def _scalar(hint: Any, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise ConfigError(f"{path} must be a number below 1.8e308, got one of {len(str(value))} digits") from error
    # NumPy's integers and floats, which Python code may pass.
    if hint in (int, float) and not isinstance(value, (str, bool)) and type(value).__module__ == "numpy":
        value = value.item()
    fits = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    if not fits:
        raise ConfigError(f"{path} must be {_KINDS[hint]}, got {_shown(value)}{_way_out(hint, value)}")
    if hint is float and math.isnan(value):
        raise ConfigError(f"{path} must be a number, got nan")
    return value


def _way_out(hint: Any, value: Any) -> str:
    if hint is str:
        return "; put it in quotes if text is meant" if not isinstance(value, (dict, list)) else ""
    if isinstance(value, str) and hint in (int, float):
        try:
            number = float(value)
        except ValueError:
            return ""
        return f"; write {number!r} without quotes" if hint is float else f"; write {number:g} without quotes"
    if hint is int and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    return ""


def _shown(value: Any, bare: bool = False) -> str:
    if isinstance(value, dict):
        return "..." if bare else "a mapping"
    text = str(value) if bare else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def to_dict(config: Any) -> Any:
    """Plain values only: what YAML and JSON hold."""
    if hasattr(config, "to_plain"):
        return _plain(config.to_plain())
    return _plain(config)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if hasattr(value, "to_plain"):
            return _plain(value.to_plain())
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; {} for an empty file.

    Raises:
        ConfigError: the file cannot be read, is not UTF-8 or not valid YAML, names a key twice, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    values = parse(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of settings, got {_shown(values)}")
    return values


def write_yaml(path: Path, config: Any) -> None:
    write_atomic(path, dump(to_dict(config)).encode())


def claim(folder: Path, config: Any) -> bool:
    """Make `folder` the place of a run of `config`; True if such a run has begun there before (it will be resumed).

    Raises:
        ConfigError: the folder cannot be written, or holds a run of another configuration.
    """
    existing = folder / "config.yaml"
    try:
        with no_empty_folder(folder):
            make_folder(folder)
            if not existing.exists():
                write_yaml(existing, config)
                return False
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}; choose another --out") from error
    old, new = read_yaml(existing), to_dict(config)
    if old != new and not _same(config, old):
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        detail = ", ".join(f"{key} {old.get(key)!r} there, {new.get(key)!r} asked" for key in changed[:3])
        raise ConfigError(
            f"{folder} holds a run of another configuration ({detail}); choose another --out or delete it"
        )
    return True


@contextmanager
def claimed(folder: Path, config: Any, begun: Callable[[], bool]) -> Iterator[None]:
    """`claim`, which is given up where what happens inside fails before anything has `begun`: the config may be corrected."""
    with no_empty_folder(folder):
        resumed = claim(folder, config)
        try:
            yield
        except BaseException:
            if not resumed and not begun():
                with suppress(OSError):
                    (folder / "config.yaml").unlink()
            raise


def _same(config: Any, old: dict[str, Any]) -> bool:
    """Whether settings in a file, written by an earlier version perhaps, are those of `config`."""
    try:
        return bool(from_dict(type(config), old) == config)
    except ConfigError:
        return False
