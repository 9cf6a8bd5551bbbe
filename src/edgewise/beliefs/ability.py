"""A shared, drifting ability per category minus each prompt's difficulty (ours)."""

from __future__ import annotations

import numpy as np

from edgewise.arrays import Floats, Rows
from edgewise.beliefs.base import Exchangeable, beliefs
from edgewise.beliefs.logistic import LogisticBelief
from edgewise.distributions import LogitNormal
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool


@beliefs.register("ability")
class AbilityBelief(LogisticBelief):
    """logit p_i = theta_c(t) - d_i: the policy's ability in the prompt's category minus the prompt's difficulty.

    theta_c = theta(t) + u_c(t): a global ability that moves as a random walk, and each category's offset from it, a
    stationary process around 0. A category without data therefore follows the others. d_i ~ N(0, tau_c^2), with tau_c
    learned online: uninformative labels give a large tau, informative labels a small one. Rasch's model of item response
    theory, filtered online.

    Args:
        pool: the prompts; categories sharpen the belief, none are needed.
        drift: standard deviation of one step's move of the global ability, in logits; half of it for each category's offset.
        offset: standard deviation of the categories' offsets before any data.
        residual: tau before any data.
        retention: share of the evidence about a prompt's difficulty that survives a step, in (0, 1].

    Example:
        >>> belief = AbilityBelief(PromptPool(range(4), ["sums", "sums", "proofs", "proofs"]))
        >>> belief.observe(np.array([0]), np.array([8]), np.array([8]))
        >>> belief.advance()
        >>> a, b, c, d = belief.mean(np.arange(4))
        >>> bool(a > b > c == d)
        True
    """

    def __init__(
        self,
        pool: PromptPool,
        *,
        drift: float = 0.1,
        offset: float = 1.5,
        residual: float = 1.5,
        retention: float = 0.998,
    ):
        if not 0 <= drift < offset < np.inf:
            raise ConfigError(f"expected 0 <= drift < offset, got drift {drift} and offset {offset}")
        self.drift, self.offset = float(drift), float(offset)
        # Weight 0 is the global ability.
        super().__init__(pool, retention, residual, fixed=1, offsets=True)

    def exchangeable(self) -> Exchangeable | None:
        """Prompts share their category's ability; None where some rates are known beforehand."""
        if self.pool.priors is not None:
            return None
        mean, variance = self._abilities()
        distribution = LogitNormal(mean, variance + self.tau() ** 2)
        return Exchangeable(distribution, self.seen.unseen_sizes(True), True, self.seen)

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), "ability": float(self._mean[0])}

    def _prior_weights(self) -> tuple[Floats, Floats]:
        size = 2 + len(self.pool.category_names)
        drift = np.full(size, 0.25 * self.drift**2)
        drift[0] = self.drift**2
        return np.full(size, self.offset**2), drift

    def _shared(self, rows: Rows) -> tuple[Floats, Floats]:
        code = self.pool.category_index(rows)
        mean, variance = self._abilities()
        return mean[code], variance[code]

    def _abilities(self) -> tuple[Floats, Floats]:
        """Mean and variance of theta_c by category code, (C + 1,) each."""
        variance = self._covariance.diagonal()
        spread = variance[0] + 2.0 * self._covariance[0, 1:] + variance[1:]
        return self._mean[0] + self._mean[1:], np.maximum(spread, 0.0)

    def _gathered(self, rows: Rows, weight: Floats, gradient: Floats) -> tuple[Floats, Floats]:
        code, size = self.pool.category_index(rows), len(self._mean) - 1
        each, score = np.bincount(code, weight, size), np.bincount(code, gradient, size)
        information = np.diag(np.concatenate([[each.sum()], each]))
        information[0, 1:] = information[1:, 0] = each
        return information, np.concatenate([[score.sum()], score])
