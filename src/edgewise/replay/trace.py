"""Recorded success counts of prompts over training steps."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Rows
from edgewise.checkpoint import load_state, save_state
from edgewise.errors import CheckpointError, ConfigError, EdgewiseError, PoolError, RewardError
from edgewise.pool import PromptPool

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class Trace:
    """Successes and trials of prompts at training steps, one entry for each (step, prompt) that was observed.

    The same form holds an evaluation of the whole pool at a few checkpoints (`complete`: it can be replayed) and what a
    run happened to observe of a large pool (sparse: predictions can be scored on its picks). Entries are sorted by step,
    then row, and stored in the narrowest integers, so 2,000 prompts at 15 checkpoints take some 50 kB on disk.

    Args:
        pool: the prompts, with the categories and features that a selector may know.
        steps: training steps, strictly increasing whole numbers >= 0, shape (T,).
        index: position in `steps` of each entry, shape (E,).
        rows: row of each entry, shape (E,); no (index, row) twice.
        successes: correct rollouts of each entry, shape (E,), 0 <= successes <= trials.
        trials: rollouts of each entry, shape (E,), >= 1.
        about: where the trace comes from, JSON values.

    Raises:
        PoolError: steps or rows that do not fit. RewardError: counts that do not fit. ConfigError: `about` is no dict.
    """

    def __init__(
        self,
        pool: PromptPool,
        steps: Any,
        index: Any,
        rows: Any,
        successes: Any,
        trials: Any,
        about: dict[str, Any] | None = None,
    ):
        if not isinstance(about, dict | None):
            raise ConfigError(f"about must be a dict of JSON values, got {about!r:.100}")
        self.pool, self.about = pool, dict(about or {})
        self.steps = _whole("steps", steps)
        if len(self.steps) == 0 or self.steps[0] < 0 or (np.diff(self.steps) <= 0).any():
            raise PoolError("the steps of a trace must be whole numbers >= 0, strictly increasing, and at least one")
        index, rows = _whole("index", index), pool.check_rows(rows, distinct=False)
        successes, trials = _whole("successes", successes), _whole("trials", trials)
        sizes = {len(index), len(rows), len(successes), len(trials)}
        if len(sizes) > 1:
            raise PoolError(f"index, rows, successes and trials must have one length, got {sorted(sizes)}")
        if index.size and (index.min() < 0 or index.max() >= len(self.steps)):
            raise PoolError(f"index must point into the {len(self.steps)} steps")
        bad = np.flatnonzero((trials < 1) | (successes < 0) | (successes > trials))
        if bad.size:
            i = bad[0]
            raise RewardError(
                f"prompt {pool.ids[rows[i]].item()!r} at step {self.steps[index[i]]}: {successes[i]} successes of"
                f" {trials[i]} rollouts; expected 0 <= successes <= trials and trials >= 1"
            )
        key = index * len(pool) + rows
        order = np.argsort(key, kind="stable")
        key = key[order]
        if (key[1:] == key[:-1]).any():
            i = order[np.flatnonzero(key[1:] == key[:-1])[0]]
            raise PoolError(f"prompt {pool.ids[rows[i]].item()!r} is given twice at step {self.steps[index[i]]}")
        self.index, self.rows = index[order], rows[order]
        self.successes, self.trials = successes[order], trials[order]
        self._starts = np.searchsorted(self.index, np.arange(len(self.steps) + 1))

    @classmethod
    def from_evaluations(
        cls, pool: PromptPool, steps: Any, successes: Any, trials: Any, about: dict[str, Any] | None = None
    ) -> Trace:
        """A trace of the whole pool evaluated at T checkpoints.

        Args:
            pool: the prompts, N of them.
            steps: training steps, shape (T,).
            successes: correct rollouts, shape (T, N).
            trials: rollouts, shape (T, N) or anything that broadcasts to it (one int); 0: not observed.
            about: where the trace comes from, JSON values.
        """
        shape = (np.size(steps), len(pool))
        try:
            counts = np.asarray(successes)
        except ValueError as error:
            raise PoolError(
                f"successes must have shape (steps, prompts) = {shape}, got rows of different length"
            ) from error
        if counts.shape != shape:
            raise PoolError(f"successes must have shape (steps, prompts) = {shape}, got {counts.shape}")
        try:
            rollouts = np.broadcast_to(np.asarray(trials), shape)
        except ValueError as error:
            raise PoolError(f"trials must broadcast to {shape}, got {np.shape(trials)}") from error
        if counts.dtype.kind not in "iub" or rollouts.dtype.kind not in "iu":
            raise RewardError("a trace counts rollouts: successes and trials must be whole numbers")
        if ((rollouts == 0) & (counts != 0)).any():
            raise RewardError("a prompt with 0 trials cannot have successes")
        index, rows = np.nonzero(rollouts)
        return cls(pool, steps, index, rows, counts[index, rows], rollouts[index, rows], about)

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.rows)

    def __repr__(self) -> str:
        kind = "complete" if self.complete else "sparse"
        return f"Trace({len(self.pool)} prompts, {len(self.steps)} steps, {len(self)} entries, {kind})"

    @property
    def complete(self) -> bool:
        """Whether every prompt was observed at every step."""
        return len(self) == len(self.steps) * len(self.pool)

    def at(self, index: int) -> tuple[Rows, Counts, Counts]:
        """(rows, successes, trials) observed at `steps[index]`; -1 is the last."""
        index = range(len(self.steps))[index]
        part = slice(self._starts[index], self._starts[index + 1])
        return self.rows[part], self.successes[part], self.trials[part]

    def rates(self, step: float) -> Floats:
        """Success rate of every prompt at a training step, (N,): linear between the checkpoints of a complete trace.

        The recorded rates are taken for the truth. Record some 32 rollouts or more for each prompt and checkpoint:
        with few, what looks like drift between checkpoints is noise, and selectors with a short memory profit.
        """
        if not self.complete:
            raise PoolError(f"only a complete trace has a rate for every prompt at every step; this is {self!r}")
        if not self.steps[0] <= step <= self.steps[-1]:
            raise PoolError(f"step {step} is outside the recorded steps {self.steps[0]} to {self.steps[-1]}")
        after = int(np.searchsorted(self.steps, step))
        before = max(after - 1, 0)
        span = self.steps[after] - self.steps[before]
        share = (step - self.steps[before]) / span if span else 0.0
        _, s0, k0 = self.at(before)
        _, s1, k1 = self.at(after)
        return (1.0 - share) * (s0 / k0) + share * (s1 / k1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """One npz, versioned, checksummed, written atomically."""
        pool = self.pool
        state: dict[str, Any] = {
            "ids": pool.ids,
            "steps": _narrow(self.steps),
            "index": _narrow(self.index),
            "rows": _narrow(self.rows),
            "successes": _narrow(self.successes),
            "trials": _narrow(self.trials),
            "about": self.about,
        }
        if pool.categories is not None:
            # -1: none, in the file.
            state["categories"] = pool.categories - 1
            state["category_names"] = pool.category_names
        if pool.features is not None:
            state["features"] = pool.features
        save_state(path, "trace", state)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """Read what `save` wrote; anything else raises `CheckpointError`."""
        state = load_state(path, "trace")
        try:
            categories = None
            if "categories" in state:
                names, codes = [*state["category_names"], None], state["categories"]
                if np.min(codes, initial=0) < -1:
                    raise PoolError(f"a category has the number {np.min(codes)}, expected -1 to {len(names) - 2}")
                categories = np.array(names, object)[codes]
            pool = PromptPool(state["ids"], categories, state.get("features"))
            columns = {name: state[name] for name in ("steps", "index", "rows", "successes", "trials", "about")}
            return cls(pool, **columns)
        except (KeyError, IndexError, TypeError, ValueError, EdgewiseError) as error:
            raise CheckpointError(f"{path} does not hold a valid trace: {error}") from error


def _whole(name: str, values: Any) -> Counts:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iub"):
        raise PoolError(
            f"{name} must be a one-dimensional array of whole numbers, got {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.int64)


def _narrow(values: Counts) -> np.ndarray:
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
