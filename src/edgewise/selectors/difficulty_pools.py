"""Difficulty pools: prompts weighted by the pool that their last group falls into (prime-rl's rule)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgewise.acquisition import top
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool, Rows
from edgewise.selectors.base import Counts, Floats, Selector, selectors
from edgewise.selectors.groups import LastGroups

# Name -> (inclusive maximum of the success rate, weight), prime-rl's defaults.
POOLS: Mapping[str, tuple[float, float]] = {"hard": (0.25, 0.2), "normal": (0.75, 1.0), "easy": (1.0, 0.2)}


@selectors.register("difficulty_pools")
class DifficultyPoolSelector(Selector):
    """Draws prompts with the weight of their pool, those never seen with weight 1 (prime-rl, orchestrator/curriculum).

    prime-rl draws one prompt at a time with replacement; here a batch is drawn without, each time with the weights of
    what is left. Where all that is left has weight 0, such prompts fill the batch (`relaxed`).

    Args:
        pool: the prompts.
        pools: name -> (threshold, weight): the pool of a prompt is the first, by threshold, that its last group's success
            rate does not exceed; rates above all thresholds belong to the last. Weights >= 0, one of them positive.
        seed: of the draws.
    """

    def __init__(self, pool: PromptPool, pools: Mapping[str, tuple[float, float]] = POOLS, seed: int = 0):
        super().__init__(pool, seed)
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
        self.relaxed = 0
        self._groups = LastGroups(len(pool))

    def weights_of(self, rows: Rows) -> Floats:
        """Relative probability to be drawn, (n,)."""
        slots = self._groups.table.slots(rows)
        known = slots >= 0
        result = np.ones(len(rows))
        result[known] = self.weights[self._place(self._groups.rates(slots[known]))]
        return result

    def _choose(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows:
        rows = self._available(candidates, exclude)
        weights = self.weights_of(rows)
        self.relaxed += max(n - int((weights > 0).sum()), 0)
        # The n largest log-weights + Gumbel noise are n successive weighted draws without replacement.
        with np.errstate(divide="ignore"):
            keys = np.log(weights) + self.rng.gumbel(size=len(rows))
        return self.rng.permutation(rows[top(keys, n, self.rng)])

    def _learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        self._groups.observe(rows, successes, trials)

    def _age(self) -> None:
        self._groups.advance()

    def _predict(self, rows: Rows) -> Floats:
        """The last group's success rate; 0.5 for prompts never seen."""
        return self._groups.rates_of(rows, unseen=0.5)

    def _place(self, rates: Floats) -> np.ndarray:
        return np.minimum(np.searchsorted(self.thresholds, rates), len(self.thresholds) - 1)

    def grow(self) -> None:
        self._groups.grow(len(self.pool))

    def metrics(self) -> dict[str, float]:
        sizes = np.bincount(self._place(self._groups.rates()), minlength=len(self.names))
        held = {f"pool_{name}": float(size) for name, size in zip(self.names, sizes, strict=True)}
        return {**self._groups.metrics(len(self.pool)), **held, "relaxed": float(self.relaxed)}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "groups": self._groups.state_dict(), "relaxed": self.relaxed}

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        super()._load(state, remap)
        self._groups.load_state_dict(state["groups"], remap)
        self.relaxed = int(state["relaxed"])
