"""A shared, drifting ability per category minus each prompt's difficulty (ours)."""

from __future__ import annotations

import numpy as np

from edgewise.arrays import Floats, Rows
from edgewise.beliefs.base import WIDEST, Exchangeable, beliefs
from edgewise.beliefs.logistic import LogisticBelief
from edgewise.distributions import LogitNormal
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool

EXACT = 256
"""Most weights whose full covariance is kept: work a step grows with the cube of their number."""


@beliefs.register("ability")
class AbilityBelief(LogisticBelief):
    """logit p_i = theta_c(t) - d_i: the policy's ability in the prompt's category minus the prompt's difficulty.

    theta_c = theta(t) + u_c(t): a global ability that moves as a random walk, and each category's offset from it, a
    stationary process around 0. A category without data therefore follows the others. d_i ~ N(0, tau_c^2), with tau_c
    learned online: uninformative labels give a large tau, informative labels a small one. Rasch's model of item response
    theory, filtered online.

    Up to 254 categories have their full covariance. With more, offsets are taken to be independent given the global ability,
    so that work and memory grow with the number of categories; what the drift of the global ability adds to the covariance
    of two offsets is dropped.

    Args:
        pool: the prompts; categories sharpen the belief, none are needed.
        drift: standard deviation of one step's move of the global ability, in logits; half of it for each category's offset.
        offset: standard deviation of the categories' offsets before any data.
        residual: tau before any data.
        retention: share of the evidence about a prompt's difficulty that survives a step, in (0, 1].
        adaptive: whether the speed of drift is learned; `drift` is then where it starts.

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
        adaptive: bool = True,
    ):
        if not 0 <= drift < offset <= WIDEST:
            raise ConfigError(
                f"expected 0 <= drift < offset <= {WIDEST:g}, in logits, got drift {drift} and offset {offset}"
            )
        self.drift, self.offset = float(drift), float(offset)
        # Weight 0 is the global ability.
        super().__init__(pool, retention, residual, fixed=1, offsets=True, adaptive=adaptive)

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

    def _located(self, rows: Rows, weights: Floats) -> Floats:
        return weights[0] + weights[1:][self.pool.category_index(rows)]

    def _abilities(self) -> tuple[Floats, Floats]:
        """Mean and variance of theta_c by category code, (C + 1,) each."""
        with_global, variance = self._covariance if self._star else (self._covariance[0], self._covariance.diagonal())
        spread = variance[0] + 2.0 * with_global[1:] + variance[1:]
        return self._mean[0] + self._mean[1:], np.maximum(spread, 0.0)

    def _drift_of(self, rows: Rows) -> Floats:
        return self._drift[0] + self._drift[1:][self.pool.category_index(rows)]

    def _update(self, rows: Rows, precision: Floats, score: Floats) -> None:
        code, size = self.pool.category_index(rows), len(self._mean) - 1
        each, gradient = (np.asarray(np.bincount(code, part, size), np.float64) for part in (precision, score))
        if self._star:
            self._condition_star(each, gradient)
            return
        observed = each.nonzero()[0]
        design = np.zeros((len(observed), len(self._mean)))
        design[:, 0] = design[np.arange(len(observed)), 1 + observed] = np.sqrt(each[observed])
        self._condition_few(design, np.concatenate([[gradient.sum()], gradient]))

    # Many categories: of the covariance, the row of the global ability and the diagonal, (2, d). Given the global ability
    # the offsets are independent, which evidence leaves true and drift of the global ability makes an approximation.

    @property
    def _star(self) -> bool:
        return len(self._variance) > EXACT

    def _prior_covariance(self) -> Floats:
        if not self._star:
            return super()._prior_covariance()
        return np.stack([np.where(np.arange(len(self._variance)) == 0, self._variance, 0.0), self._variance])

    def _drift_covariance(self, kept: Floats, drift: Floats) -> None:
        if not self._star:
            super()._drift_covariance(kept, drift)
            return
        self._covariance *= np.stack([kept[0] * kept, kept**2])
        self._covariance[1] += drift
        self._covariance[0, 0] += drift[0]

    def _forget_offsets(self, codes: Rows) -> None:
        if not self._star:
            super()._forget_offsets(codes)
            return
        weights = self.fixed + codes
        self._mean[weights] = self._covariance[0, weights] = 0.0
        self._covariance[1, weights] = self._variance[weights]

    def _condition_star(self, precision: Floats, score: Floats) -> None:
        """Evidence on theta_c = theta + u_c by category, with u_c = m_c + slope (theta - m) + e_c, Var e_c = rest."""
        with_global, variance = self._covariance
        slope = with_global[1:] / variance[0]
        rest = np.maximum(variance[1:] - slope * with_global[1:], 0.0)
        marginal = 1.0 + precision * rest
        total = 1.0 / (1.0 / variance[0] + ((1.0 + slope) ** 2 * precision / marginal).sum())
        moved = total * ((1.0 + slope) * score / marginal).sum()
        rest = rest / marginal
        slope = slope - rest * precision * (1.0 + slope)
        self._mean = self._mean + np.concatenate([[moved], rest * score + slope * moved])
        self._covariance = np.stack(
            [np.concatenate([[total], slope * total]), np.concatenate([[total], rest + slope**2 * total])]
        )

    def _carry_covariance(self, saved: Floats, old: Rows, new: Rows) -> None:
        if self._star:
            star = np.stack([saved[0], saved.diagonal()]) if saved.shape[0] == saved.shape[1] else saved
            self._covariance[:, new] = star[:, old]
            return
        if saved.shape[0] != saved.shape[1]:
            full = np.outer(saved[0], saved[0]) / saved[0, 0]
            np.fill_diagonal(full, saved[1])
            saved = full
        super()._carry_covariance(saved, old, new)
