"""A Bayesian logistic regression of success rates on features and categories (ours, after GPS, arXiv 2602.01970)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.beliefs.base import Floats
from edgewise.beliefs.logistic import LogisticBelief
from edgewise.beliefs.registry import beliefs
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool, Rows

_BLOCK = 4096
_SAMPLE = 65536


@beliefs.register("features")
class FeatureBelief(LogisticBelief):
    """logit p_i = w_0(t) + x_i . w(t) + u_c(t) + b_i with x_i the prompt's features (embeddings, `hashed_features`).

    The level w_0 moves as a random walk, the other weights as stationary processes around 0, all with full covariance:
    d^2 memory and d^3 work a step, d^2 a prompt asked about, d the features and categories together: a few hundred at most.
    Features are standardised once by mean and deviation over (an even sample of) the pool, so their scale does not matter;
    constant ones have no effect. The prior gives x_i . w the standard deviation `strength` for any number of features, which
    may exceed that of observations. Where prompts have categories too, each category has an offset u_c and its own tau, as
    in `ability`: what both say is counted once.

    Args:
        pool: the prompts, with features (n, d).
        drift: standard deviation of one step's move of the level, in logits; half of it for x_i . w and for each offset.
        strength: standard deviation of x_i . w, and of each offset, before any data.
        residual: tau before any data.
        ageing: share of the evidence about a prompt's residual that survives a step, in (0, 1].
    """

    def __init__(
        self,
        pool: PromptPool,
        drift: float = 0.1,
        strength: float = 1.5,
        residual: float = 1.5,
        ageing: float = 0.998,
    ):
        super().__init__(pool, ageing, residual)
        if pool.features is None:
            raise ConfigError("this belief predicts from features: make the pool with features=, shape (n, d)")
        if not 0 <= drift < strength < np.inf:
            raise ConfigError(f"expected 0 <= drift < strength, got drift {drift} and strength {strength}")
        sample = pool.features[:: -(-len(pool) // _SAMPLE)].astype(np.float64)
        self._centre, scale = sample.mean(0), sample.std(0)
        # Below float32's resolution a column is constant, whatever rounding says.
        varies = scale > 1e-6 * np.abs(self._centre)
        self._scale = np.where(varies & (scale > 0), 1.0 / np.where(scale > 0, scale, 1.0), 0.0)
        size = max(int((self._scale > 0).sum()), 1)
        self.drift, self.strength = float(drift), float(strength)
        ones = np.ones(len(self._centre))
        self._variance = np.concatenate([[strength**2], ones * strength**2 / size])
        self._drift = np.concatenate([[drift**2], ones * (0.5 * drift) ** 2 / size])
        self._mean, self._covariance = np.zeros(len(self._variance)), np.diag(self._variance)
        self._widen()

    def grow(self) -> None:
        super().grow()
        self._widen()

    def state_dict(self) -> dict[str, Any]:
        names = list(self.pool.category_names)
        return {**super().state_dict(), "names": names, "centre": self._centre.copy(), "scale": self._scale.copy()}

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        # Weights belong to the standardisation they were learned with.
        centre, scale = np.asarray(state["centre"], np.float64), np.asarray(state["scale"], np.float64)
        if centre.shape != self._centre.shape or scale.shape != centre.shape:
            raise CheckpointError(f"the checkpoint is for {len(centre)} features, this pool has {len(self._centre)}")
        mean, covariance = np.asarray(state["mean"], np.float64), np.asarray(state["covariance"], np.float64)
        visits, fixed = np.asarray(state["visits"], np.float64), 1 + len(centre)
        offsets = len(mean) - fixed
        if offsets not in (0, 1 + len(state["names"])) or visits.shape != (2, max(offsets, 1)):
            raise CheckpointError(
                f"the saved weights have shape {mean.shape}, expected ({fixed + 1 + len(state['names'])},)"
            )
        # Categories are matched by name: a reordered dataset may number them differently.
        old = {name: 1 + code for code, name in enumerate(state["names"])}
        known = [(1 + code, old[name]) for code, name in enumerate(self.pool.category_names) if name in old]
        here, there = np.array([(0, 0), *known]).T if offsets and self._offsets else np.empty((2, 0), np.int64)
        fresh = FeatureBelief(self.pool, self.drift, self.strength, self.residual, self.ageing)
        to, of = (np.concatenate([np.arange(fixed), fixed + part]) for part in (here, there))
        fresh._mean[to] = mean[of]
        fresh._covariance[np.ix_(to, to)] = covariance[np.ix_(of, of)]
        fresh._visits[:, [0, *here[1:]]] = visits[:, [0, *there[1:]]]
        weights = {"mean": fresh._mean, "covariance": fresh._covariance, "visits": fresh._visits}
        super().load_state_dict({**state, **weights}, remap)
        self._centre, self._scale = centre.copy(), scale.copy()

    @property
    def _offsets(self) -> int:
        """Weights of prompts without a category and of each category; 0 in a pool without categories."""
        return 0 if self.pool.categories is None else 1 + len(self.pool.category_names)

    def _widen(self) -> None:
        extra = 1 + len(self._centre) + self._offsets - len(self._mean)
        if extra <= 0:
            return
        variance = np.full(extra, self.strength**2)
        covariance = np.diag(np.concatenate([self._variance, variance]))
        covariance[:-extra, :-extra] = self._covariance
        self._mean, self._covariance = np.concatenate([self._mean, np.zeros(extra)]), covariance
        self._variance = np.concatenate([self._variance, variance])
        self._drift = np.concatenate([self._drift, np.full(extra, 0.25 * self.drift**2)])
        self._visits = np.concatenate([self._visits, np.zeros((2, self._offsets - self._visits.shape[1]))], axis=1)

    def _group(self, rows: Rows) -> np.ndarray:
        return self.pool.category_index(rows)

    def _design(self, rows: Rows) -> Floats:
        """1, the standardised features and the indicator of each prompt's category, (n, d)."""
        features = self.pool.features
        assert features is not None
        result = np.zeros((len(rows), len(self._mean)))
        result[:, 0] = 1.0
        # A prompt far outside what the pool looks like is no evidence that the logit is linear out there.
        result[:, 1 : 1 + len(self._centre)] = np.clip((features[rows] - self._centre) * self._scale, -8.0, 8.0)
        if self._offsets:
            result[np.arange(len(rows)), 1 + len(self._centre) + self._group(rows)] = 1.0
        return result

    def _shared(self, rows: Rows) -> tuple[Floats, Floats]:
        mean, variance = np.empty(len(rows)), np.empty(len(rows))
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            design = self._design(rows[part])
            mean[part] = design @ self._mean
            variance[part] = np.einsum("nd,nd->n", design @ self._covariance, design)
        return mean, np.maximum(variance, 0.0)

    def _gathered(self, rows: Rows, weight: Floats, gradient: Floats) -> tuple[Floats, Floats]:
        design = self._design(rows)
        return design.T @ (design * weight[:, None]), design.T @ gradient
