"""Thompson sampling: the prompts with the highest acquisition value of one draw from the belief."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgewise.acquisition import Acquisition
from edgewise.arrays import Counts, Rows
from edgewise.beliefs.base import Belief
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.sampling.base import CandidateRows, Draw, draws
from edgewise.sampling.nearest import AllDraws, ExchangeableDraws, PartialDraws, nearest, target_count
from edgewise.sampling.top import best
from edgewise.sampling.unseen import Unseen
from edgewise.sampling.window_index import WindowIndex

PLAIN = 4096
"""Prompts seen up to which a draw for every one of them takes less time than the index."""


@draws.register("thompson")
class Thompson(Draw):
    """One draw of each success rate from the belief, then the n with the highest acquisition values, ties at random.

    Where the acquisition is a distance to a target (`Acquisition.peak`) and prompts never observed are exchangeable under
    the belief, rejection sampling makes only the draws near the target, with the same law: work follows the number of
    prompts seen, or the number chosen where distributions change by observation only (`Belief.static`).

    Args:
        pool: the prompts.

    Example:
        >>> import edgewise as ew
        >>> from edgewise.acquisition import Closest
        >>> from edgewise.beliefs import BetaBelief
        >>> pool = ew.PromptPool(range(5))
        >>> belief = BetaBelief(pool)
        >>> belief.observe(np.array([1, 3]), np.array([8, 4]), np.array([8, 8]))
        >>> candidates = ew.selectors.Candidates(pool, rows=np.array([1, 3]))
        >>> Thompson(pool).choose(1, candidates, belief, Closest(), np.random.default_rng(0)).tolist()
        [3]
    """

    keeps_room = True

    def __init__(self, pool: PromptPool):
        super().__init__(pool)
        self._index: WindowIndex | None = None
        self._observed: Rows = np.empty(0, np.int64)
        # State of an index that is put back when rows are chosen next: only then is the belief at hand.
        self._saved: dict[str, Any] = {}

    def check(self, acquisition: Acquisition) -> None:
        if not acquisition.certain:
            raise ConfigError(
                f"{type(acquisition).__name__} values what is unknown of a success rate, which a draw is not: use draw=top"
                " or draw=proportional"
            )

    def choose(
        self, n: int, candidates: CandidateRows, belief: Belief, acquisition: Acquisition, rng: np.random.Generator
    ) -> Rows:
        target = acquisition.peak
        if candidates.is_pool and candidates.room is None and target is not None and 0 < target < 1:
            exchangeable = belief.exchangeable()
            if exchangeable is not None:
                unseen = Unseen(self.pool, exchangeable, candidates.exclude)
                return self._nearest(n, target, unseen, belief, candidates.exclude, rng)
        rows = candidates.rows
        return rows[best(acquisition.value(belief.draw(rows, rng)), n, candidates, rng)]

    def observe(self, rows: Rows, successes: Counts, trials: Counts, age: Counts | None = None) -> None:
        if self._index is not None or self._saved:
            self._observed = np.union1d(self._observed, rows)

    def state_dict(self) -> dict[str, Any]:
        saved = self._saved if self._index is None else self._index.state_dict()
        return {**super().state_dict(), "index": dict(saved), "observed": self._observed.copy()}

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        super().restore(state, remap)
        self._index, self._saved = None, dict(state["index"]) if remap is None else {}
        self._observed = np.array(state["observed"], np.int64) if self._saved else np.empty(0, np.int64)

    def _nearest(
        self, n: int, target: float, unseen: Unseen, belief: Belief, exclude: Rows, rng: np.random.Generator
    ) -> Rows:
        seen: PartialDraws
        if belief.static and len(unseen.seen) > max(4 * target_count(n), PLAIN):
            if self._saved:
                self._index, self._saved = WindowIndex.restored(belief, unseen.seen, self._saved), {}
            if self._index is None or self._index.target != target:
                self._index = WindowIndex(belief, unseen.seen, target)
            observed, self._observed = self._observed, self._observed[:0]
            seen = self._index.draws(n, exclude, observed, rng)
        else:
            rows = unseen.seen_rows()
            seen = AllDraws(rows, np.abs(belief.draw(rows, rng) - target))
        chosen, classes = nearest((seen, ExchangeableDraws(unseen.distribution, unseen.sizes, n, target, rng)), n)
        return np.concatenate([chosen, unseen.sample(classes, rng)]).astype(np.int64)
