"""LZE: learning-zone energy (arXiv 2605.17003)."""

from __future__ import annotations

import numpy as np

from edgewise.acquisition import top
from edgewise.arrays import Floats, Rows
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.base import Selector, selectors
from edgewise.selectors.candidates import Candidates
from edgewise.selectors.groups import LastGroups, Slots


@selectors.register("lze")
class LZESelector(Selector):
    """Takes the prompts with the highest energy E = D 4 p (1 - p) (1 + alpha M).

    p is the success rate of the last group, D = max(1 - p_0, 0.05) anchors it to the first group, M = min(2 |p - mu|, 1) is
    its momentum against mu, the moving average before it (retention 0.9, starting at p_0). Gumbel noise of 0.05 times the
    spread of the energies explores (the paper's energy score; alpha = 0.3 and all constants from the authors' code).

    The paper scores groups after their rollout. Before it, the last group stands in for the next one: prompts never seen
    come first, and a share `replay` of each batch (0.1, as in the paper's pruner with replay; rounded down, so nothing of a
    batch below ten) tests prompts without energy again, which would otherwise stay at p = 0 or 1 for ever. Where too few
    prompts have energy, others fill the batch (metric `fallback_picks`).

    Args:
        pool: the prompts.
        momentum: alpha, >= 0.
        retention: share of the moving average that a group keeps, in [0, 1].
        noise: scale of the Gumbel noise relative to the spread of the energies, >= 0.
        replay: share of the batch in [0, 1].
        seed: seed of the noise and the draws.

    Example:
        >>> import edgewise as ew
        >>> selector = LZESelector(ew.PromptPool(range(3)))
        >>> selector.observe([0, 1], [0, 4], 8)
        >>> selector.energy(np.arange(3)).tolist()
        [0.0, 0.5, nan]
    """

    saved = ("fallback_picks",)
    LEAST_ANCHOR, LEAST_SPREAD = 0.05, 0.01

    def __init__(
        self,
        pool: PromptPool,
        *,
        momentum: float = 0.3,
        retention: float = 0.9,
        noise: float = 0.05,
        replay: float = 0.1,
        seed: int = 0,
    ):
        super().__init__(pool, seed=seed)
        if not (0 <= momentum < np.inf and 0 <= noise < np.inf):
            raise ConfigError(f"momentum and noise must be finite and >= 0, got {momentum} and {noise}")
        if not (0 <= retention <= 1 and 0 <= replay <= 1):
            raise ConfigError(f"retention and replay must lie in [0, 1], got {retention} and {replay}")
        self.momentum, self.retention = float(momentum), float(retention)
        self.noise, self.replay = abs(float(noise)), float(replay)
        self.fallback_picks = 0
        # First success rate and moving average, both before the last group; `closed` counts the groups before it.
        columns = {"first": np.float32, "average": np.float32, "closed": np.int32}
        self.groups = self.add("groups", LastGroups(pool, columns, self._close))

    def energy(self, rows: Rows) -> Floats:
        """E of each prompt, (n,); NaN for prompts never seen."""
        slots = self.groups.table.slots(rows)
        known = slots >= 0
        result = np.full(len(rows), np.nan)
        result[known] = self._energy(slots[known])
        return result

    def choose(self, n: int, candidates: Candidates) -> Rows:
        rows = candidates.rows
        energy = self.energy(rows)
        unseen, dead = np.isnan(energy), energy == 0
        active = ~unseen & ~dead
        spread = max(float(np.ptp(energy[active])), self.LEAST_SPREAD) if active.any() else self.LEAST_SPREAD
        keys = energy + self.rng.gumbel(scale=self.noise * spread, size=len(rows))
        keys[dead] = -np.inf
        again = min(int(self.replay * n + 1e-9), int(dead.sum()))
        self.fallback_picks += max(n - again - int((~dead).sum()), 0)
        # Prompts to be tested again first, then those never seen.
        keys[self.rng.choice(np.flatnonzero(dead), again, replace=False)] = np.inf
        keys[unseen] = np.finfo(np.float64).max
        return rows[top(keys, n, self.rng)]

    def rates(self, rows: Rows) -> Floats:
        """The last group's success rate; 0.5 for prompts never seen."""
        return self.groups.rates_of(rows, unseen=0.5)

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), "fallback_picks": float(self.fallback_picks)}

    def _energy(self, slots: Slots) -> Floats:
        p, (first, average) = self.groups.rates(slots), self._before(slots)
        momentum = np.minimum(2.0 * np.abs(p - average), 1.0)
        return np.maximum(1.0 - first, self.LEAST_ANCHOR) * 4.0 * p * (1.0 - p) * (1.0 + self.momentum * momentum)

    def _before(self, slots: Slots) -> tuple[Floats, Floats]:
        """First success rate, and moving average before the last group: the group itself if it is the first, (n,) each."""
        table, p = self.groups.table, self.groups.rates(slots)
        opening = table["closed"][slots] == 0
        return np.where(opening, p, table["first"][slots]), np.where(opening, p, table["average"][slots])

    def _close(self, slots: Slots) -> None:
        table, p = self.groups.table, self.groups.rates(slots)
        first, average = self._before(slots)
        table["first"][slots] = first
        table["average"][slots] = self.retention * average + (1.0 - self.retention) * p
        table["closed"][slots] += 1
