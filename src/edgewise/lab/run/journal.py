"""Journals of a run (metrics.jsonl and its kin): one JSON object a line, cut back to the checkpoint on resume."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from edgewise.checkpoint import sync_folder, write_atomic
from edgewise.errors import CheckpointError, EdgewiseError


class Journal:
    """Lines appended to a file; each carries the `step` it belongs to."""

    def __init__(self, path: Path):
        self.path = path

    def append(self, values: dict[str, Any]) -> None:
        """Add one line.

        Raises:
            EdgewiseError: the file cannot be written, or a value is not a finite number.
        """
        try:
            line = json.dumps(values, allow_nan=False) + "\n"
        except ValueError as error:
            bad = sorted(name for name, value in values.items() if not _is_json(value))
            raise EdgewiseError(
                f"a line of {self.path.name} at step {values.get('step')} has values that are no finite numbers:"
                f" {', '.join(bad)}; the run has diverged, and checkpoints before this step are kept"
            ) from error
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise EdgewiseError(
                f"cannot write to {self.path}: {error.strerror}; make room, and the same command goes on"
                " from the last checkpoint"
            ) from error

    def sync(self) -> None:
        """Flush to disk: what a checkpoint relies on must not be lost where the checkpoint is not."""
        if self.path.exists():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
            sync_folder(self.path.parent)

    def rewind(self, step: int, every: int = 0) -> None:
        """Cut lines after `step`, and a last line that a kill left half-written.

        Args:
            step: of the checkpoint that the run goes on from.
            every: steps between lines; 0: unknown. The lines up to `step` must then be there.

        Raises:
            CheckpointError: a line before the last is damaged, or lines are missing.
        """
        lines = read(self.path) if self.path.exists() else []
        if not all(isinstance(line.get("step"), int) for line in lines):
            raise CheckpointError(
                f"{self.path} has lines without a step; restore the file, or start anew in another folder"
            )
        kept = [line for line in lines if line["step"] <= step]
        last = kept[-1]["step"] if kept else 0
        if every and step - last >= every:
            raise CheckpointError(
                f"{self.path} ends at step {last}, the newest checkpoint is of step {step}; restore the file, or start anew in"
                " another folder"
            )
        if len(kept) < len(lines) or (self.path.exists() and not _whole(self.path)):
            write_atomic(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def clear(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal, JSON objects; a last line that a kill left half-written is dropped.

    Raises:
        CheckpointError: an earlier line is damaged; the message names the file and the line.
    """
    lines = []
    try:
        *whole, last = path.read_bytes().split(b"\n")
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
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


def _whole(path: Path) -> bool:
    """Whether the file ends with a line's end."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(-1, os.SEEK_END)
        return not size or file.read(1) == b"\n"


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
