"""Log of a run as columns: one entry a group of rollouts, whatever trainer wrote it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.replay.trace import Trace

Floats = npt.NDArray[np.floating]
Counts = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]
Unit = Literal["tokens", "characters"]
LARGEST = 2.0**53
"""Steps and lengths are whole numbers below this."""


def constant(value: Any, n: int, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """A read-only column of n equal values in the memory of one."""
    return np.broadcast_to(np.asarray(value, kind), (n,))


def grouped(trials: Counts) -> bool:
    """Whether most groups have several rollouts; a rollout alone has no other that its reward could be equal to."""
    return bool(len(trials)) and float(np.median(trials)) > 1


def of_groups(rows: Counts, ids: np.ndarray, codes: Counts) -> tuple[Counts, np.ndarray, Counts]:
    """Rows of the groups, and ids and category codes of the prompts, without the prompts of which no group is left.

    Args:
        rows: position of each group's prompt, -1 where it is unknown, (groups,).
        ids, codes: of the prompts, (prompts,) each.
    """
    held = np.zeros(len(ids), bool)
    held[rows[rows >= 0]] = True
    if held.all():
        return rows, ids, codes
    number = np.append(np.cumsum(held) - 1, -1).astype(rows.dtype)
    return number[rows], ids[held], codes[held]


@dataclass(frozen=True, eq=False)
class RunLog:
    """Groups of one run, sorted by step; every column has shape (groups,) and is read-only. Types are as narrow as the log allows.

    Attributes:
        name: of the run, for people.
        source: which trainer or format wrote it.
        steps: training step of each group.
        rows: position of its prompt in `ids`; -1 where the log does not name prompts.
        successes, trials: correct rollouts and rollouts.
        silent: the group had no gradient: all advantages 0 or, where none are logged, all rewards equal.
        lengths: summed length of its completions in `unit`; -1 where unknown.
        truncated: completions cut at the length limit; -1 where unknown.
        predicted: success rate predicted before the rollout; NaN where unknown.
        random: drawn uniformly, to judge predictions honestly.
        codes: category code of each group, 0 for none, otherwise position in `category_names` + 1.
        where: place of its first rollout in the files, for reading its text again; -1 where there is none.
        ids: identifiers of the prompts, (prompts,).
        prompt_codes: category code of each prompt, (prompts,).
        category_names: names of the codes from 1 on.
        unit: of the lengths; None if there are none.
        numbers: other quantities by name: (steps, values), each (n,).
        pool_size: prompts that can be selected, those never rolled out included; None where unknown.
        uniform: the run drew its prompts uniformly, as far as it says.
        notes: sentences on what was left out or could not be read.
        uniform_sample: chance that a group of each prompt of a fixed uniform sample has a gradient, mean over the evaluations
            of the run, (sample,); None where the run has none.
        given_pool: the pool itself where the log holds it, with features and priors.
    """

    name: str
    source: str
    steps: Counts
    rows: Counts
    successes: Counts
    trials: Counts
    silent: Flags
    lengths: Counts
    truncated: Counts
    predicted: Floats
    random: Flags
    codes: Counts
    where: Counts
    ids: np.ndarray
    prompt_codes: Counts
    category_names: list[str]
    unit: Unit | None = None
    numbers: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    uniform: bool | None = None
    pool_size: int | None = None
    notes: list[str] = field(default_factory=list)
    given_pool: PromptPool | None = None
    uniform_sample: Floats | None = None

    def __len__(self) -> int:
        """Number of groups."""
        return len(self.steps)

    def __repr__(self) -> str:
        return f"RunLog({self.name!r}, {self.source}, {len(self)} groups, {len(self.ids)} prompts)"

    @property
    def named(self) -> bool:
        """Whether every group names its prompt."""
        return bool(len(self)) and bool((self.rows >= 0).all())

    @property
    def informative(self) -> Flags:
        """0 < successes < trials."""
        return (self.successes > 0) & (self.successes < self.trials)

    @cached_property
    def starts(self) -> tuple[Counts, Counts]:
        """Distinct steps, (T,), and the position of the first group of each with the total at the end, (T + 1,)."""
        first = np.append(0, np.flatnonzero(self.steps[1:] != self.steps[:-1]) + 1)[: len(self)]
        return self.steps[first], np.append(first, len(self))

    @cached_property
    def pool(self) -> PromptPool:
        """The prompts that the log names, with their categories."""
        if self.given_pool is not None:
            return self.given_pool
        if not len(self.ids) or (self.rows < 0).any():
            raise ConfigError(f"{self.name} does not name its prompts, so they cannot be followed from step to step")
        labels = None
        if self.category_names:
            labels = np.array([None, *self.category_names], object)[self.prompt_codes]
        return PromptPool(self.ids, labels)

    def trace(self) -> Trace:
        """The same as a `Trace`; groups of one prompt in one step are added up.

        Raises:
            ConfigError: the log does not name its prompts.
        """
        pool = self.pool
        steps, index = np.unique(self.steps, return_inverse=True)
        keys, place = np.unique(index * len(pool) + self.rows, return_inverse=True)
        successes = np.bincount(place, self.successes, len(keys)).astype(np.int64)
        trials = np.bincount(place, self.trials, len(keys)).astype(np.int64)
        about = {"source": f"log of {self.source}", "run": self.name}
        return Trace(pool, steps, keys // len(pool), keys % len(pool), successes, trials, about)
