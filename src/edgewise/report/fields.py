"""Fields of the folder's JSON, checked: a message names the file, the line and the key."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.errors import ConfigError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """One line of a journal, with the place it came from for messages."""

    values: dict[str, Any]
    place: str

    @property
    def step(self) -> float:
        return self.number("step")

    def number(self, key: str) -> float:
        """A number; NaN where it is null or absent."""
        return number(self.values.get(key), f"{self.place}: {key}")

    def array(self, key: str) -> Floats:
        """(n,); empty where it is null or absent, NaN for null elements."""
        return array(self.values.get(key), f"{self.place}: {key}")

    def mapping(self, key: str) -> dict[str, float]:
        """Numbers by category; empty where absent."""
        return numbers(self.values.get(key), f"{self.place}: {key}")

    def strings(self, key: str) -> list[str]:
        return strings(self.values.get(key), f"{self.place}: {key}")

    def forecast(self, key: str | None = None) -> tuple[Floats, Floats, Floats]:
        """Predicted success rates, successes and trials, each (groups,): of the line, or of its mapping `key`.

        Groups without a prediction are left out.
        """
        source = self
        if key is not None:
            source = Line(mapping(self.values.get(key), f"{self.place}: {key}"), f"{self.place}: {key}")
        parts = [source.array(name) for name in ("predicted", "successes", "trials")]
        if len({len(part) for part in parts}) > 1:
            if not len(parts[0]):
                return parts[0], parts[0], parts[0]
            raise ConfigError(f"{source.place}: predicted, successes and trials differ in length: {[*map(len, parts)]}")
        whole = np.isfinite(parts).all(axis=0) & (parts[2] > 0)
        predicted, successes, trials = (part[whole] for part in parts)
        if ((predicted < 0) | (predicted > 1)).any():
            raise ConfigError(f"{source.place}: predicted success rates must lie in [0, 1]")
        return predicted, successes, trials


def journal(path: Path) -> list[Line]:
    """The lines of a jsonl file; none if it does not exist. A last line that a kill left half-written is dropped."""
    if not path.exists():
        return []
    # Not splitlines: a completion may hold U+2028, which JSON leaves as it is.
    *whole, last = path.read_text(encoding="utf-8", errors="replace").split("\n")
    lines = [Line(parse(text, f"{path}, line {n}"), f"{path}, line {n}") for n, text in enumerate(whole, start=1)]
    with contextlib.suppress(ConfigError):
        lines.append(Line(parse(last, str(path)), f"{path}, line {len(whole) + 1}"))
    return lines


def parse(text: str, place: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{place} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{place} must be a JSON object, got {type(found).__name__}")
    return found


def mapping(value: Any, place: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{place} must be a JSON object, got {type(value).__name__}")
    return value


def numbers(value: Any, place: str) -> dict[str, float]:
    return {name: number(item, f"{place}: {name}") for name, item in mapping(value, place).items()}


def strings(value: Any, place: str) -> list[str]:
    if not isinstance(value or [], list):
        raise ConfigError(f"{place} must be a list, got {type(value).__name__}")
    return [str(item) for item in value or []]


def number(value: Any, place: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, (int, float)):
        return float(value)
    raise ConfigError(f"{place} must be a number, got {value!r:.80}")


def array(value: Any, place: str) -> Floats:
    if value is None:
        return np.empty(0)
    if not isinstance(value, list):
        raise ConfigError(f"{place} must be a list of numbers, got {type(value).__name__}")
    try:
        return np.array(value, np.float64).reshape(len(value))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{place} must be a list of numbers: {error}") from error


def pooled(forecasts: Iterable[tuple[Floats, Floats, Floats]]) -> tuple[Floats, Floats, Floats]:
    """Forecasts of many lines as one."""
    parts = list(forecasts)
    if not parts:
        return np.empty(0), np.empty(0), np.empty(0)
    predicted, successes, trials = (np.concatenate(column) for column in zip(*parts, strict=True))
    return predicted, successes, trials
