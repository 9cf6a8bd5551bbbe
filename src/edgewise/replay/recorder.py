"""Recorder of a trace during a run."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.arrays import Rows, whole_number
from edgewise.checkpoint import require_place
from edgewise.curriculum import Curriculum
from edgewise.errors import ConfigError, EdgewiseError, PoolError, RewardError
from edgewise.pool import PromptPool
from edgewise.replay.trace import Counts, Trace

log = logging.getLogger("edgewise")


class Recorder:
    """Collects what a run observes: all that a curriculum observes (`attach`), or what a loop hands over (`record`).

    Args:
        pool: the prompts.
        path: where to save while recording; None saves only when asked. Call `save` at the end of the run as well.
        every: training steps between two such saves, >= 1. A save is atomic: a crash leaves the last one whole. One that fails
            is logged, and tried again after as many steps.
        about: where the trace comes from, JSON values.

    Raises:
        ConfigError: a path that cannot be written, such as a folder, or `every` that is no whole number >= 1.
    """

    def __init__(
        self,
        pool: PromptPool,
        path: str | os.PathLike[str] | None = None,
        every: int = 50,
        about: dict[str, Any] | None = None,
    ):
        require_place(path)
        self.pool, self.path, self.every, self.about = (
            pool,
            path,
            whole_number("every", every, 1, ConfigError),
            dict(about or {}),
        )
        self._curriculum: Curriculum | None = None
        # One (4, n) array a call: step, row, successes, trials.
        self._parts: list[np.ndarray] = []
        self._saved_at: int | None = None

    def attach(self, curriculum: Curriculum) -> Recorder:
        """Record all that this curriculum observes from now on, in any trainer; returns the recorder.

        Steps are the curriculum's policy steps. When the curriculum goes back to a checkpoint, in a resumed run for instance,
        so does the trace: what was recorded after it is dropped, and what `path` holds from before it is kept, but for prompts
        that are gone from the pool.
        """
        if curriculum.pool is not self.pool:
            raise ConfigError("the recorder was made for another pool: Recorder(curriculum.pool, path)")
        if self in curriculum.listeners:
            raise ConfigError("the recorder is attached already: it would record every group twice")
        curriculum.listeners.append(self)
        self._curriculum = curriculum
        if curriculum.steps:
            self.restored(curriculum.steps)
        return self

    def observed(self, step: int, rows: Rows, successes: Counts, trials: Counts) -> None:
        self.record(step, rows, successes, trials)

    def restored(self, step: int) -> None:
        if not self._parts and self.path is not None and Path(self.path).exists():
            old = Trace.load(self.path)
            part = self._entries(old, self.pool.find(old.pool.ids))
            gone = part[1] < 0
            if gone.any():
                log.warning(
                    "%d entries of %s are of prompts that the pool does not have: left out", gone.sum(), self.path
                )
            self._parts.append(part[:, ~gone])
        # A checkpoint within a step holds a part of the step.
        tried = np.empty(0, np.int64) if self._curriculum is None else self._curriculum.tried
        kept = [part[:, (part[0] < step) | ((part[0] == step) & np.isin(part[1], tried))] for part in self._parts]
        self._parts = [part for part in kept if part.shape[1]]
        self._saved_at = step if self._parts else None

    def record(self, step: int, rows: Any, successes: Any, trials: Any) -> None:
        """Append what rollouts showed at a training step.

        Args:
            step: training step, >= 0; late results of an earlier step may come in any order.
            rows: (n,). successes: (n,), 0 <= successes <= trials. trials: (n,) or one int, >= 1.

        Raises:
            PoolError, RewardError: nothing has been recorded.
        """
        step = whole_number("the training step", step, 0, PoolError)
        rows = self.pool.check_rows(rows, distinct=False)
        correct, total = np.asarray(successes), np.asarray(trials)
        if correct.shape != rows.shape or total.shape not in ((), rows.shape):
            raise RewardError(
                f"{len(rows)} prompts need as many successes and trials, got {correct.shape} and {total.shape}"
            )
        total = np.broadcast_to(total, rows.shape)
        if rows.size and (correct.dtype.kind not in "iub" or total.dtype.kind not in "iu"):
            raise RewardError("successes and trials must be whole numbers of rollouts")
        bad = np.flatnonzero((total < 1) | (total >= 2**53) | (correct < 0) | (correct > total))
        if bad.size:
            i = bad[0]
            raise RewardError(
                f"prompt {self.pool.ids[rows[i]].item()!r}: {correct[i]} successes of {total[i]} rollouts;"
                " expected 0 <= successes <= trials and trials >= 1"
            )
        if not rows.size:
            return
        self._parts.append(np.stack([np.full(len(rows), int(step)), rows, correct, total]).astype(np.int64))
        if self.path is None:
            return
        if self._saved_at is None:
            self._saved_at = int(step)
        elif step - self._saved_at >= self.every:
            self.save_at_checkpoint()
            self._saved_at = int(step)

    def trace(self) -> Trace:
        """Everything so far; several records of one prompt in one step are added up."""
        if not self._parts:
            raise PoolError("nothing has been recorded yet")
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts, axis=1)]
        step, rows, successes, trials = self._parts[0]
        steps, index = np.unique(step, return_inverse=True)
        keys, place = np.unique(index * len(self.pool) + rows, return_inverse=True)
        correct, total = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int64)
        np.add.at(correct, place, successes)
        np.add.at(total, place, trials)
        return Trace(self.pool, steps, keys // len(self.pool), keys % len(self.pool), correct, total, self.about)

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write everything so far to `path`, or to the recorder's own; atomic."""
        target = path if path is not None else self.path
        if target is None:
            raise ConfigError("give a path: the recorder was made without one")
        self.trace().save(target)

    def save_at_checkpoint(self) -> None:
        """`save` while a run goes on: a trace is an extra, so a failure is logged and does not end the run."""
        if not self._parts:
            return
        try:
            self.save()
        except EdgewiseError as error:
            log.warning("the trace is not saved: %s", error)

    @classmethod
    def resume(
        cls, path: str | os.PathLike[str], pool: PromptPool, before: int | None = None, every: int = 50
    ) -> Recorder:
        """Go on recording into a saved trace. Prompt ids decide which row an entry belongs to.

        Args:
            path: a saved trace, and where to save from now on.
            pool: the prompts; an id of the trace that is not among them raises `PoolError`.
            before: drop entries of this step and later, which the resumed run will do again.
            every: training steps between two saves.
        """
        old = Trace.load(path)
        recorder = cls(pool, path, every, old.about)
        part = recorder._entries(old, pool.rows(old.pool.ids))
        if before is not None:
            part = part[:, part[0] < before]
        if part.shape[1]:
            recorder._parts.append(part)
            recorder._saved_at = int(part[0].max())
        return recorder

    @staticmethod
    def _entries(trace: Trace, rows: Rows) -> np.ndarray:
        """Step, row, successes and trials of every entry, (4, n); `rows` are those of the trace's prompts in another pool."""
        return np.stack([trace.steps[trace.index], rows[trace.rows], trace.successes, trace.trials])
