"""Evaluations in TRL's log of completions: TRL writes them over the file of the training step that they follow."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.replay.logs.values import is_missing

BEFORE_TRAINING = 0
"""TRL logs training from step 1 on: what is logged before is an evaluation."""


class Evaluations:
    """Which rollouts are of evaluations: by the newest state that the trainer has saved, or by the ids of our adapter.

    Args:
        folder: the run's `output_dir`, with the checkpoints; None: no file holds evaluations.

    Attributes:
        steps: after which the run was evaluated.
        left_out: rollouts of evaluations by file.
    """

    def __init__(self, folder: Path | None = None):
        self._folder = folder
        self._newest: tuple[Path, int] | None = None
        self.steps: set[int] = set()
        self.left_out: Counter[Path] = Counter()

    def trained(self, path: Path, marks: Sequence[Any] | None, n: int) -> np.ndarray:
        """Flags of the rollouts of a file that are not of an evaluation, (n,); the others are counted.

        Args:
            path: the file.
            marks: our adapter's ids, which it gives to the prompts of training alone; None: it did not log them.
            n: number of rollouts.
        """
        if self._folder is None:
            return np.ones(n, bool)
        if marks is not None:
            flags = np.array([not is_missing(mark) for mark in marks], bool)
        else:
            flags = np.full(n, step_of(path) not in self.steps)
        self.left_out[path] += n - int(flags.sum())
        return flags

    def poll(self) -> set[int]:
        """Read what is new; the steps that were not known before."""
        if self._folder is None:
            return set()
        before = self.steps
        self.steps = before | {BEFORE_TRAINING} | self._read(self._folder)
        return self.steps - before

    def _read(self, folder: Path) -> set[int]:
        try:
            states = [*folder.glob("trainer_state.json"), *folder.glob("checkpoint-*/trainer_state.json")]
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
