"""Rest of prompts between two visits, so that training does not become the repetition of a few (ours)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgewise.arrays import Flags, Floats, Rows
from edgewise.errors import CheckpointError, ConfigError
from edgewise.parts import Part
from edgewise.pool import PromptPool
from edgewise.seen import OpenGroups

SAMPLE = 128
"""Prompts of the pool whose chance to be informative is looked at, every EVERY steps."""
EVERY = 8
"""Policy steps between two such looks."""
SMOOTH = 4
"""Looks over which this is averaged."""
BLOCKS = 256
"""Steps are kept as blocks of so much of the longest rest, so that a long one is held in few numbers."""
VISITS = 8
"""Visits from which on a prompt has the longest rest."""
GOLDEN = 0.5 * (5.0**0.5 - 1.0)
"""Multiples of it, less their whole parts, are spread evenly however many there are."""


class Rest(Part):
    """Tells which prompts rest: those since whose last group too few others were rolled out.

    A rule that follows its predictions alone comes back to the same prompts as long as they look informative, and they do
    while the policy learns them by heart. Uniform sampling visits a prompt once in an epoch. This is the epoch's counterpart
    for a rule that leaves the others out: between two visits, a share of the prompts expected to be informative is rolled
    out. How many these are is estimated from a few prompts of the pool every few steps, so that a pool of which little can
    be learned at a time is gone through fast. Nothing is learned by heart at once: after one visit the rest is an eighth of
    what it is after eight.

    Args:
        pool: the prompts.
        seen: the prompts observed; columns `step`, the policy step of the last group, and `visits`, the steps with a group.
        share: of the prompts expected to be informative, after eight visits, in [0, 1]; 0: no rest.

    Example:
        >>> pool = PromptPool(range(8))
        >>> seen = OpenGroups(pool, {"step": np.int32, "visits": np.int32})
        >>> rest = Rest(pool, seen, share=0.5)
        >>> rest.expect(np.full(8, 0.5))
        >>> for row in (5, 6, 7):
        ...     seen.add_group(np.array([row]), 1, 2, rest.now)
        ...     seen["visits"][seen.open()] = 8
        ...     seen.close()
        ...     rest.learn(1)
        ...     rest.advance()
        >>> rest.resting(np.array([5, 6, 7, 0])).tolist()
        [False, False, True, False]
    """

    # `over`: last step whose prompts do not rest any more after 1, 2, .. visits. Later steps in blocks: the last step of each,
    # and the groups rolled out before it began.
    # `informative`: share of the pool expected to be informative, averaged over `looks`; no prompt rests before the first.
    saved = ("over", "total", "steps", "before", "informative", "looks")

    def __init__(self, pool: PromptPool, seen: OpenGroups, *, share: float):
        super().__init__(pool)
        if not 0 <= share <= 1:
            raise ConfigError(f"rest is a share of the prompts expected to be informative, in [0, 1], got {share}")
        self.seen, self.share = seen, float(share)
        self.over, self.total = [-1] * VISITS, 0
        self.steps: list[int] = []
        self.before: list[int] = []
        self.informative, self.looks = 0.0, 0

    def due(self, steps: int) -> bool:
        """Whether it is time for `expect` when the clock goes on by so many steps."""
        return self.share > 0 and self.now // EVERY != (self.now + steps) // EVERY

    def sample(self) -> Rows:
        """Rows to look at, spread evenly over the pool, others at each look, int64 (SAMPLE,)."""
        places = (self.looks * SAMPLE + np.arange(SAMPLE)) * GOLDEN % 1.0
        return (places * len(self.pool)).astype(np.int64)

    def expect(self, chances: Floats) -> None:
        """Chance of each prompt of the `sample` to be informative, (SAMPLE,) in [0, 1]."""
        self.looks += 1
        self.informative += max(1.0 / SMOOTH, 1.0 / self.looks) * (float(chances.mean()) - self.informative)

    def learn(self, groups: int) -> None:
        """The step that ends has rolled out this many prompts."""
        if groups and self.share:
            length = self.share * self.informative * len(self.pool)
            if self.before and self.total - self.before[-1] < length / BLOCKS:
                self.steps[-1] = self.now
            else:
                self.steps.append(self.now)
                self.before.append(self.total)
            self.total += groups
            rested = [bisect_right(self.before, self.total - length * n / VISITS) for n in range(1, VISITS + 1)]
            self.over = [max(old, self.steps[n - 1]) if n else old for old, n in zip(self.over, rested, strict=True)]
            del self.steps[: rested[-1]], self.before[: rested[-1]]

    def resting(self, rows: Rows) -> Flags:
        """Which of `rows` rest, (n,); those with a group in the present step do."""
        if not self.share:
            return np.zeros(len(rows), np.bool_)
        seen, slots = self.seen, self.seen.slots(rows)
        over = np.array(self.over)[np.minimum(np.maximum(seen.at("visits", slots), 1), VISITS) - 1]
        return (slots >= 0) & ((seen.at("trials", slots) > 0) | (seen.at("step", slots) > over))

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        super().restore(state, remap)
        self.over, self.steps, self.before = (
            [int(number) for number in numbers] for numbers in (self.over, self.steps, self.before)
        )
        if len(self.steps) != len(self.before) or len(self.over) != VISITS:
            raise CheckpointError(
                f"the saved rest has {len(self.steps)} steps, {len(self.before)} numbers of groups and {len(self.over)} ends of"
                f" rests, expected as many steps as numbers, and {VISITS} ends"
            )
