"""A shared, drifting ability per category minus each prompt's difficulty (ours)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.beliefs.base import Counts, Floats
from edgewise.beliefs.logistic import LogisticBelief
from edgewise.beliefs.registry import beliefs
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool, Rows


@beliefs.register("ability")
class AbilityBelief(LogisticBelief):
    """logit p_i = theta_c(t) - d_i: the policy's ability in the prompt's category minus the prompt's difficulty.

    theta_c = theta(t) + u_c(t): a global ability that moves as a random walk, and each category's offset from it, a
    stationary process around 0. A category without data therefore follows the others. d_i ~ N(0, tau_c^2), with tau_c
    learned online: labels that tell nothing give a large tau, labels that tell all a small one. Rasch's model of item
    response theory, filtered online.

    Categories cost d^2 memory and up to d^3 work a step together, d their number + 2; none are needed.

    Args:
        pool: the prompts.
        drift: standard deviation of one step's move of the global ability, in logits; half of it for each category's offset.
        offset: standard deviation of the categories' offsets before any data.
        residual: tau before any data.
        ageing: share of the evidence about a prompt's difficulty that survives a step, in (0, 1].
    """

    def __init__(
        self,
        pool: PromptPool,
        drift: float = 0.1,
        offset: float = 1.5,
        residual: float = 1.5,
        ageing: float = 0.998,
    ):
        super().__init__(pool, ageing, residual)
        if not 0 <= drift < offset < np.inf:
            raise ConfigError(f"expected 0 <= drift < offset, got drift {drift} and offset {offset}")
        self.drift, self.offset = float(drift), float(offset)
        # Weight 0 is global, 1 the offset of prompts without a category, 2 + c that of category c.
        self._widen(2 + len(pool.category_names))

    def grow(self) -> None:
        super().grow()
        self._widen(2 + len(self.pool.category_names))

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "names": list(self.pool.category_names)}

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        # Categories are matched by name: a reordered dataset may number them differently.
        old = {name: code for code, name in enumerate(state["names"])}
        found = [(code, old[name]) for code, name in enumerate(self.pool.category_names) if name in old]
        here = np.array([0, 1, *(2 + code for code, _ in found)])
        there = np.array([0, 1, *(2 + code for _, code in found)])
        mean, covariance = np.asarray(state["mean"], np.float64), np.asarray(state["covariance"], np.float64)
        visits, size = np.asarray(state["visits"], np.float64), 2 + len(old)
        if mean.shape != (size,) or covariance.shape != (size, size) or visits.shape != (2, size - 1):
            raise CheckpointError(f"the saved abilities have shape {mean.shape}, expected ({size},)")
        fresh = AbilityBelief(self.pool, self.drift, self.offset, self.residual, self.ageing)
        fresh._mean[here] = mean[there]
        fresh._covariance[np.ix_(here, here)] = covariance[np.ix_(there, there)]
        fresh._visits[:, here[1:] - 1] = visits[:, there[1:] - 1]
        weights = {"mean": fresh._mean, "covariance": fresh._covariance, "visits": fresh._visits}
        super().load_state_dict({**state, **weights}, remap)

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), "ability": float(self._mean[0])}

    def _widen(self, size: int) -> None:
        extra = size - len(self._mean)
        if extra <= 0:
            return
        variance, drift = np.full(extra, self.offset**2), np.full(extra, 0.25 * self.drift**2)
        if not len(self._mean):
            drift[0] = self.drift**2
        covariance = np.diag(np.concatenate([np.ones(len(self._mean)), variance]))
        covariance[:-extra, :-extra] = self._covariance
        self._mean = np.concatenate([self._mean, np.zeros(extra)])
        self._covariance = covariance
        self._variance, self._drift = np.concatenate([self._variance, variance]), np.concatenate([self._drift, drift])
        self._visits = np.concatenate([self._visits, np.zeros((2, size - 1 - self._visits.shape[1]))], axis=1)

    def _group(self, rows: Rows) -> np.ndarray:
        return self.pool.category_index(rows)

    def _shared(self, rows: Rows) -> tuple[Floats, Floats]:
        group = self._group(rows)
        mean, variance = self._abilities()
        return mean[group], variance[group]

    def _abilities(self) -> tuple[Floats, Floats]:
        """Mean and variance of theta by group, (groups,) each."""
        variance = self._covariance.diagonal()
        spread = variance[0] + 2.0 * self._covariance[0, 1:] + variance[1:]
        return self._mean[0] + self._mean[1:], np.maximum(spread, 0.0)

    def _alike(self) -> tuple[Floats, Floats, Counts]:
        mean, variance = self._abilities()
        return mean, variance + self.tau() ** 2, self.pool.category_sizes()

    def _members(self, group: int) -> np.ndarray | None:
        return None if self.pool.categories is None else self.pool.members(group)

    def _gathered(self, rows: Rows, weight: Floats, gradient: Floats) -> tuple[Floats, Floats]:
        group, size = self._group(rows), len(self._mean) - 1
        each, pull = np.bincount(group, weight, size), np.bincount(group, gradient, size)
        information = np.diag(np.concatenate([[each.sum()], each]))
        information[0, 1:] = information[1:, 0] = each
        return information, np.concatenate([[pull.sum()], pull])
