"""Run folders: journals and JSON files as checked values. The one reader of what a run wrote.

A message about a damaged or incomplete file names the file, the line and the key.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.lab.run.config import read_yaml
from edgewise.lab.run.journal import read

Floats = npt.NDArray[np.float64]
BURN_IN = 0.25
"""Share of a run, from its start, that scores of predictions leave out: beliefs have to form first."""


@dataclass(frozen=True)
class Line:
    """One line of a journal, with its place (file and line) for messages."""

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

    def predictions(self, key: str | None = None) -> tuple[Floats, Floats, Floats]:
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


@dataclass(frozen=True)
class Run:
    """One RL run, finished or not: the journals of its folder.

    Attributes:
        folder: where it is.
        metrics: a line for each step.
        evals: a line for each evaluation.
        samples: completions as they were recorded.
        summary: the content of summary.json, written at the end; empty before.
        finished: whether summary.json is there.
        method, seed: names of the parent folder and of the folder, as in `edge/seed_0`.
    """

    folder: Path
    metrics: list[Line] = field(default_factory=list)
    evals: list[Line] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    finished: bool = False

    @property
    def method(self) -> str:
        return self.folder.parent.name

    @property
    def seed(self) -> str:
        return self.folder.name.removeprefix("seed_")

    @property
    def last(self) -> float | None:
        """The last step with a record; None if there is none."""
        return max((line.step for line in [*self.metrics[-1:], *self.evals[-1:]]), default=None)

    def late(self, evals: bool = False) -> list[Line]:
        """The lines after the burn-in."""
        return [line for line in (self.evals if evals else self.metrics) if line.step > (self.last or 0) * BURN_IN]

    def column(self, key: str, evals: bool = False) -> tuple[Floats, Floats]:
        """(steps, values) of one number a line, each (lines,)."""
        lines = self.evals if evals else self.metrics
        return np.array([line.step for line in lines]), np.array([line.number(key) for line in lines])

    def check_complete(self) -> None:
        """Refuse a finished run whose journals are not whole.

        Raises:
            CheckpointError: a journal is missing, empty or ends before the run did; the message names it.
        """
        again = (
            f"restore it, or delete {self.folder} and start the same command: this run is done again, others are kept"
        )
        summary = self.folder / "summary.json"
        steps = number(self.summary.get("steps"), f"{summary}: steps")
        if math.isnan(steps):
            raise CheckpointError(f"the run is finished, but {summary} names no steps; {again}")
        for name, lines in (("metrics.jsonl", self.metrics), ("evals.jsonl", self.evals)):
            if not lines:
                raise CheckpointError(f"the run is finished, but {self.folder / name} is missing or empty; {again}")
            if lines[-1].step < steps:
                raise CheckpointError(
                    f"{self.folder / name} ends at step {lines[-1].step:g}, but the run is finished at step {steps:g}; {again}"
                )


def read_run(folder: Path) -> Run:
    """The run of a folder; what is not there yet is empty.

    Raises:
        CheckpointError: a journal has a damaged line that is not its last.
        ConfigError: summary.json is damaged, or a line has no step.
    """
    summary = folder / "summary.json"
    metrics, evals = (_lines(folder / name) for name in ("metrics.jsonl", "evals.jsonl"))
    for line in [*metrics, *evals]:
        if not math.isfinite(line.step):
            raise ConfigError(f"{line.place} has no step")
    return Run(
        folder,
        metrics,
        evals,
        [line.values for line in _lines(folder / "samples.jsonl")],
        read_json(summary) if summary.exists() else {},
        summary.exists(),
    )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Files are written inside: a full disk or a folder without write access is an `EdgewiseError` that names the folder."""
    try:
        yield
    except OSError as error:
        raise EdgewiseError(
            f"cannot write to {folder}: {error.strerror}; make room or give write access, and the same command goes on"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a file; `ConfigError` names it if it is damaged."""
    try:
        return parse(path.read_bytes().decode(), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error


def read_config(folder: Path) -> dict[str, Any]:
    """The settings in config.yaml; empty without the file."""
    path = folder / "config.yaml"
    return read_yaml(path) if path.exists() else {}


def _lines(path: Path) -> list[Line]:
    if not path.exists():
        return []
    return [Line(values, f"{path}, line {number}") for number, values in enumerate(read(path), start=1)]


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
    """A number; NaN for null, infinity for "inf"."""
    if value is None:
        return math.nan
    if isinstance(value, (int, float)) or value == "inf":
        with suppress(OverflowError):
            return float(value)
    raise ConfigError(f"{place} must be a number, got {value!r:.80}")


def array(value: Any, place: str) -> Floats:
    if value is None:
        return np.empty(0)
    if not isinstance(value, list):
        raise ConfigError(f"{place} must be a list of numbers, got {type(value).__name__}")
    try:
        return np.array(value, np.float64).reshape(len(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{place} must be a list of numbers: {error}") from error


def pooled(predictions: Iterable[tuple[Floats, Floats, Floats]]) -> tuple[Floats, Floats, Floats]:
    """Predictions, successes and trials of many lines, concatenated."""
    parts = list(predictions)
    if not parts:
        return np.empty(0), np.empty(0), np.empty(0)
    predicted, successes, trials = (np.concatenate(column) for column in zip(*parts, strict=True))
    return predicted, successes, trials
