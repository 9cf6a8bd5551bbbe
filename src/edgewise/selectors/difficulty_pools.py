"""Difficulty pools: prompts weighted by the pool that their last group falls into (prime-rl's rule)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgewise.acquisition import top
from edgewise.arrays import Floats, Rows
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.selectors.base import Selector, selectors
from edgewise.selectors.candidates import Candidates
from edgewise.selectors.groups import LastGroups

POOLS: Mapping[str, tuple[float, float]] = {"hard": (0.25, 0.2), "normal": (0.75, 1.0), "easy": (1.0, 0.2)}
"""Name -> (inclusive maximum of the success rate, weight), prime-rl's defaults."""


@selectors.register("difficulty_pools")
class DifficultyPoolSelector(Selector):
    """Draws prompts with the weight of their pool, those never seen with weight 1 (prime-rl, orchestrator/curriculum).

    prime-rl draws one prompt at a time with replacement; here a batch is drawn without, each time with the weights of
    what is left. Where all that is left has weight 0, such prompts fill the batch (metric `fallback_picks`).

    Args:
        pool: the prompts.
        pools: name -> (threshold, weight): the pool of a prompt is the first, by threshold, that its last group's success
            rate does not exceed; rates above all thresholds belong to the last. Weights >= 0, one of them positive.
        seed: seed of the draws.

    Example:
        >>> import edgewise as ew
        >>> selector = DifficultyPoolSelector(ew.PromptPool(range(3)))
        >>> selector.observe([0, 1], [0, 4], 8)
        >>> selector.weights_of(np.arange(3)).tolist()
        [0.2, 1.0, 1.0]
    """

    saved = ("fallback_picks",)

    def __init__(self, pool: PromptPool, *, pools: Mapping[str, tuple[float, float]] = POOLS, seed: int = 0):
        super().__init__(pool, seed=seed)
        try:
            ordered = sorted(
                (float(threshold), float(weight), str(name)) for name, (threshold, weight) in pools.items()
            )
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"pools must map names to (threshold, weight), got {pools!r}") from error
        self.names = [name for _, _, name in ordered]
        self.thresholds = np.array([threshold for threshold, _, _ in ordered])
        self.weights = np.array([weight for _, weight, _ in ordered])
        if not (len(ordered) and np.isfinite(self.weights).all() and self.weights.min() >= 0 and self.weights.any()):
            raise ConfigError(f"pools need weights >= 0, at least one of them positive, got {dict(pools)}")
        if not (np.diff(self.thresholds) > 0).all():
            raise ConfigError(f"pools need different thresholds, got {self.thresholds.tolist()}")
        self.fallback_picks = 0
        self.groups = self.add("groups", LastGroups(pool))

    def weights_of(self, rows: Rows) -> Floats:
        """Relative probability to be drawn, (n,)."""
        slots = self.groups.table.slots(rows)
        known = slots >= 0
        result = np.ones(len(rows))
        result[known] = self.weights[self._pool_of(self.groups.rates(slots[known]))]
        return result

    def choose(self, n: int, candidates: Candidates) -> Rows:
        rows = candidates.rows
        weights = self.weights_of(rows)
        self.fallback_picks += max(n - int((weights > 0).sum()), 0)
        # The n largest log-weights + Gumbel noise are n successive weighted draws without replacement.
        with np.errstate(divide="ignore"):
            keys = np.log(weights) + self.rng.gumbel(size=len(rows))
        return rows[top(keys, n, self.rng)]

    def rates(self, rows: Rows) -> Floats:
        """The last group's success rate; 0.5 for prompts never seen."""
        return self.groups.rates_of(rows, unseen=0.5)

    def metrics(self) -> dict[str, float]:
        sizes = np.bincount(self._pool_of(self.groups.rates()), minlength=len(self.names))
        held = {f"pool_{name}": float(size) for name, size in zip(self.names, sizes, strict=True)}
        return {**super().metrics(), **held, "fallback_picks": float(self.fallback_picks)}

    def _pool_of(self, rates: Floats) -> Rows:
        return np.minimum(np.searchsorted(self.thresholds, rates), len(self.thresholds) - 1)
