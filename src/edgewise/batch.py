"""Batch of selected prompts, and feedback on the groups that were observed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Counts, Flags, Floats, Rows, as_array, require_sequence, whole_numbers
from edgewise.errors import RewardError


@dataclass(frozen=True, eq=False)
class Batch:
    """Prompts to roll out; everything by position, shape (n,).

    Attributes:
        rows: positions in the pool, int64.
        ids: ids of the prompts.
        rollouts: completions that each prompt gets; rewards are observed grouped in this order.
        predicted: success rate predicted before the rollout, in [0, 1].
        random: prompts drawn uniformly, to judge predictions honestly.
        serial: number of the selection; never used twice, also not after a restart.
    """

    rows: Rows
    ids: np.ndarray
    rollouts: Counts
    predicted: Floats
    random: Flags
    serial: int

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Batch({len(self)} prompts, {int(self.rollouts.sum())} rollouts)"

    def take(self, positions: npt.ArrayLike, rollouts: npt.ArrayLike | None = None) -> Batch:
        """Part of the batch, for results that come piecemeal.

        Args:
            positions: integer positions, or one bool a prompt.
            rollouts: completions reported of each, where some were lost.
        """
        require_sequence("positions", positions, RewardError)
        where = as_array(positions)
        if where.dtype == np.bool_:
            if where.shape != (len(self),):
                raise RewardError(f"a mask needs one bool for each of {len(self)} prompts, got shape {where.shape}")
            where = np.flatnonzero(where)
        if where.size == 0:
            where = where.astype(np.int64)
        if where.ndim != 1 or where.dtype.kind not in "iu":
            raise RewardError(f"positions must be integers or a mask, got {where.dtype} of shape {where.shape}")
        if where.size and (where.min() < -len(self) or where.max() >= len(self)):
            raise RewardError(f"positions must lie in [0, {len(self)}), got {int(where.min())} to {int(where.max())}")
        counts = self.rollouts[where]
        if rollouts is not None:
            counts = whole_numbers("rollouts", rollouts, len(counts), RewardError)
        return Batch(self.rows[where], self.ids[where], counts, self.predicted[where], self.random[where], self.serial)


@dataclass(frozen=True, eq=False)
class Feedback:
    """Results of the groups just observed, for the trainer; arrays (n,) in the order in which they were given.

    Attributes:
        admitted: groups that train the policy. A late group is evidence and never admitted.
        successes: correct rollouts.
        trials: rollouts.
        informative: 0 < successes < trials.
        late: groups that had been forgotten.
        shortfall: groups still missing in this policy step; select again to refill. 0: train now.
        surplus: admitted groups beyond what the step asked for; they count for the next step.
        exhausted: the gates' cap on rounds was reached and the step stays short.
    """

    admitted: Flags
    successes: Counts
    trials: Counts
    informative: Flags
    late: Flags
    shortfall: int
    surplus: int
    exhausted: bool
