"""Evaluations in TRL's log of completions: TRL writes them over the file of the training step that they follow."""

from __future__ import annotations

import json
from pathlib import Path

BEFORE_TRAINING = 0
"""TRL logs training from step 1 on: what is logged before is an evaluation."""


class Evaluations:
    """Steps of a run of TRL after which it was evaluated, by the newest state that its trainer has saved.

    Args:
        folder: the run's `output_dir`, with the checkpoints.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._newest: tuple[Path, int] | None = None
        self.steps: set[int] = set()

    def poll(self) -> set[int]:
        """Read what is new; the steps that were not known before."""
        before = self.steps
        self.steps = before | {BEFORE_TRAINING} | self._read()
        return self.steps - before

    def _read(self) -> set[int]:
        try:
            states = [*self._folder.glob("trainer_state.json"), *self._folder.glob("checkpoint-*/trainer_state.json")]
            time, path = max((state.stat().st_mtime_ns, state) for state in states)
            if (path, time) == self._newest:
                return set()
            history = json.loads(path.read_text("utf-8", "replace"))["log_history"]
            found = {int(line["step"]) for line in history if any(name.startswith("eval_") for name in line)}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return set()
        self._newest = path, time
        return found


def step_of(path: Path) -> int | None:
    """Step in the name of a file, such as `completions_00010.parquet`; None where there is none."""
    step = path.stem.rpartition("_")[2]
    return int(step) if step.isdecimal() else None
