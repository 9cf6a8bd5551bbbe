"""A Bayesian logistic regression of success rates on prompt features (ours, after GPS, arXiv 2602.01970)."""

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
    """logit p_i = w_0(t) + x_i . w(t) + b_i with x_i the prompt's features (embeddings, `hashed_features`).

    The level w_0 moves as a random walk, the other weights as stationary processes around 0, all with full covariance:
    d^2 memory and d^3 work a step, d^2 a prompt asked about, so d of a few hundred at most. Features are standardised once
    by mean and deviation over (an even sample of) the pool, so their scale does not matter; constant ones have no effect.
    The prior gives x_i . w the standard deviation `strength` for any d, so d may exceed the number of observations.
    Categories are not used; give them as features.

    Args:
        pool: the prompts, with features (n, d).
        drift: standard deviation of one step's move of the level, in logits; half of it for x_i . w.
        strength: standard deviation of x_i . w before any data.
        residual: tau before any data.
        ageing: share of the evidence about a prompt's residual that survives a step, in (0, 1].
    """

    def __init__(
        self,
        pool: PromptPool,
        drift: float = 0.1,
        strength: float = 1.5,
        residual: float = 1.5,
        ageing: float = 0.99,
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
        ones = np.ones(len(self._centre))
        self._variance = np.concatenate([[strength**2], ones * strength**2 / size])
        self._drift = np.concatenate([[drift**2], ones * (0.5 * drift) ** 2 / size])
        self._mean, self._covariance = np.zeros(len(self._variance)), np.diag(self._variance)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "centre": self._centre.copy(), "scale": self._scale.copy()}

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        # Weights belong to the standardisation they were learned with.
        centre, scale = np.asarray(state["centre"], np.float64), np.asarray(state["scale"], np.float64)
        if centre.shape != self._centre.shape or scale.shape != centre.shape:
            raise CheckpointError(f"the checkpoint is for {len(centre)} features, this pool has {len(self._centre)}")
        super().load_state_dict(state, remap)
        self._centre, self._scale = centre.copy(), scale.copy()

    def _design(self, rows: Rows) -> Floats:
        """1 and the standardised features of each prompt, (n, 1 + d)."""
        features = self.pool.features
        assert features is not None
        result = np.ones((len(rows), len(self._mean)))
        # A prompt far outside what the pool looks like is no evidence that the logit is linear out there.
        result[:, 1:] = np.clip((features[rows] - self._centre) * self._scale, -8.0, 8.0)
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
