"""metrics.jsonl and its kin: one JSON object a line, cut back to the checkpoint on resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgewise.checkpoint import write_atomic
from edgewise.errors import EdgewiseError


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
    """All whole lines of a journal."""
    lines = []
    for line in path.read_text().split("\n"):
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
