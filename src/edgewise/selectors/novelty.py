"""Novelty of prompts: the share of an epoch since they came last, so that training does not become the repetition of a few (ours)."""

from __future__ import annotations

import numpy as np

from edgewise.arrays import Floats, Rows
from edgewise.errors import ConfigError
from edgewise.parts import Part
from edgewise.pool import PromptPool
from edgewise.seen import OpenGroups

LEAST = 1e-9
"""Share of an epoch that counts for a prompt with a group in the present step."""


class Novelty(Part):
    """Factor of a prompt's value: (share of an epoch since its last group) ^ exponent, 1 for a prompt not seen in an epoch.

    A rule that follows its predictions alone comes back to the same prompts as long as they look informative, and they do
    while the policy learns them by heart. With this factor a prompt is drawn again when its value times the factor is as high
    as that of the others. In a pool that does not change, prompts are then visited in proportion to their value ^
    (1 / exponent): exponent 0 repeats the best, 1 visits them as often as dynamic sampling trains on them.

    An epoch is as many groups as the pool has prompts, at the number of groups a step that there were so far.

    Args:
        pool: the prompts.
        seen: the prompts observed; column `step` is the policy step of the last group.
        exponent: >= 0; 0: the factor is 1.

    Example:
        >>> pool = PromptPool(range(8))
        >>> seen = OpenGroups(pool, {"step": np.int32})
        >>> novelty = Novelty(pool, seen, exponent=0.5)
        >>> for row in (5, 6, 7):
        ...     seen.add_group(np.array([row]), 1, 2, novelty.now)
        ...     seen.close()
        ...     novelty.learn(1)
        ...     novelty.advance()
        >>> novelty.of(np.array([5, 6, 7, 0])).round(2).tolist()
        [0.61, 0.5, 0.35, 1.0]
    """

    saved = ("groups",)

    def __init__(self, pool: PromptPool, seen: OpenGroups, *, exponent: float):
        super().__init__(pool)
        if not 0 <= exponent < np.inf:
            raise ConfigError(f"novelty must be finite and >= 0, got {exponent}")
        self.seen, self.exponent = seen, float(exponent)
        self.groups = 0

    def learn(self, groups: int) -> None:
        """The step that ends has rolled out this many prompts."""
        self.groups += groups

    def of(self, rows: Rows) -> Floats:
        """Factor of each of `rows`, (n,) in (0, 1]."""
        result = np.ones(len(rows))
        if self.exponent:
            slots = self.seen.slots(rows)
            known = np.flatnonzero(slots >= 0)
            mine = slots[known]
            steps = np.where(self.seen["trials"][mine] > 0, 0, self.now - self.seen["step"][mine])
            epochs = steps * (self.groups / max(self.now, 1) / len(self.pool))
            result[known] = np.clip(epochs, LEAST, 1.0) ** self.exponent
        return result
