"""metrics.jsonl and its kin: one JSON object a line, cut back to the checkpoint on resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgewise.checkpoint import write_atomic
from edgewise.errors import CheckpointError, EdgewiseError


class Journal:
    """Appends lines; each line carries the `step` it belongs to."""

    def __init__(self, path: Path):
        self.path = path

    def append(self, values: dict[str, Any]) -> None:
        line = json.dumps(values, allow_nan=False) + "\n"
        try:
            with self.path.open("a") as file:
                file.write(line)
        except OSError as error:
            raise EdgewiseError(
                f"cannot write to {self.path}: {error.strerror}; make room, and the same command goes on"
                " from the last checkpoint"
            ) from error

    def rewind(self, step: int) -> None:
        """Forget lines after `step`, and a last line that a kill left half-written."""
        if self.path.exists():
            kept = [json.dumps(line) for line in read(self.path) if line["step"] <= step]
            write_atomic(self.path, "".join(line + "\n" for line in kept).encode())


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal, JSON objects; a last line that a kill left half-written is dropped.

    Raises:
        CheckpointError: an earlier line is damaged; the message names the file and the line.
    """
    lines = []
    *whole, last = path.read_bytes().split(b"\n")
    for number, line in enumerate(whole, start=1):
        value = _object(line)
        if value is None:
            raise CheckpointError(
                f"{path}, line {number} is damaged: not a JSON object; restore the file, or delete the run's folder and start"
                " it again"
            )
        lines.append(value)
    value = _object(last)
    return lines if value is None else [*lines, value]


def _object(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line; None where there is none."""
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
