"""A Bayesian logistic regression of success rates on features and categories (ours, after GPS, arXiv 2602.01970)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgewise.arrays import Floats, Rows
from edgewise.beliefs.base import WIDEST, beliefs
from edgewise.beliefs.logistic import LogisticBelief
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool

LARGEST = 1024
"""Most features and categories together: memory, and work for each prompt that is predicted, grow with their square."""
SMALL = 256
"""Most weights that are updated by solving with their whole covariance; more, by the groups of a step."""
_BLOCK = 4096
_SAMPLE = 65536


@beliefs.register("features")
class FeatureBelief(LogisticBelief):
    """logit p_i = w_0(t) + x_i . w(t) + u_c(t) + b_i with x_i the prompt's features (embeddings, `hashed_features`).

    The level w_0 moves as a random walk, the other weights as stationary processes around 0, all with full covariance:
    d^2 memory, d^2 work a group observed and a prompt predicted, d the features and categories together, at most 1,024.
    Features are standardised once by mean and deviation over (an even sample of) the pool, so their scale does not matter;
    constant ones have no effect. The prior gives x_i . w the standard deviation `strength` for any number of features, which
    may exceed that of observations. Where prompts have categories too, each category has an offset u_c and its own tau, as
    in `ability`: what both explain is counted once.

    Args:
        pool: the prompts, with features (n, d).
        drift: standard deviation of one step's move of the level, in logits; half of it for x_i . w and for each offset.
        strength: standard deviation of x_i . w, and of each offset, before any data.
        residual: tau before any data.
        retention: share of the evidence about a prompt's residual that survives a step, in (0, 1].
        adaptive: whether the speed of drift is learned; `drift` is then where it starts.

    Raises:
        ConfigError: the pool has no features, or more features and categories than 1,024.

    Example:
        >>> belief = FeatureBelief(PromptPool(range(3), features=[[0.0], [1.0], [2.0]]))
        >>> belief.observe(np.array([0]), np.array([0]), np.array([8]))
        >>> belief.advance()
        >>> bool(belief.mean(np.array([1]))[0] < belief.mean(np.array([2]))[0])
        True
    """

    def __init__(
        self,
        pool: PromptPool,
        *,
        drift: float = 0.1,
        strength: float = 1.5,
        residual: float = 1.5,
        retention: float = 0.998,
        adaptive: bool = True,
    ):
        if pool.features is None:
            raise ConfigError("this belief predicts from features: make the pool with features=, shape (n, d)")
        if not 0 <= drift < strength <= WIDEST:
            raise ConfigError(
                f"expected 0 <= drift < strength <= {WIDEST:g}, in logits, got drift {drift} and strength {strength}"
            )
        count, categories = pool.features.shape[1], len(pool.category_names)
        if count + categories > LARGEST:
            raise ConfigError(
                f"{count} features and {categories} categories are more than {LARGEST}: memory and work grow with the"
                " square of their number. Reduce the features to a few hundred columns (PCA, or ew.features.hashed_features of the"
                " texts), or merge categories"
            )
        sample = pool.features[:: -(-len(pool) // _SAMPLE)].astype(np.float64)
        self._feature_mean, scale = sample.mean(0), sample.std(0)
        # Below float32's resolution a column is constant but for rounding.
        varies = scale > 1e-6 * np.abs(self._feature_mean)
        self._scale = np.where(varies & (scale > 0), 1.0 / np.where(scale > 0, scale, 1.0), 0.0)
        self.drift, self.strength = float(drift), float(strength)
        super().__init__(pool, retention, residual, fixed=1 + count, offsets=pool.has_categories, adaptive=adaptive)

    def state_dict(self) -> dict[str, Any]:
        standardisation = {"feature_mean": self._feature_mean.copy(), "scale": self._scale.copy()}
        return {**super().state_dict(), **standardisation}

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        super().restore(state, remap)
        # Weights belong to the standardisation they were learned with.
        mean, scale = np.array(state["feature_mean"], np.float64), np.array(state["scale"], np.float64)
        if mean.shape != self._feature_mean.shape or scale.shape != mean.shape:
            raise CheckpointError(
                f"the checkpoint is for {len(mean)} features, this pool has {len(self._feature_mean)}"
            )
        self._feature_mean, self._scale = mean, scale

    def _prior_weights(self) -> tuple[Floats, Floats]:
        ones, size = np.ones(len(self._scale)), max(int((self._scale > 0).sum()), 1)
        extra = np.ones(len(self.pool.category_names) + 1 if self.offsets else 0)
        variance, drift = self.strength**2, self.drift
        return (
            np.concatenate([[variance], ones * variance / size, extra * variance]),
            np.concatenate([[drift**2], ones * (0.5 * drift) ** 2 / size, extra * (0.25 * drift**2)]),
        )

    def _design(self, rows: Rows) -> Floats:
        """1, the standardised features and the indicator of each prompt's category, (n, d)."""
        features = self.pool.features
        assert features is not None
        result = np.zeros((len(rows), len(self._mean)))
        result[:, 0] = 1.0
        # A prompt far outside the rest of the pool is no evidence that the logit is linear out there.
        result[:, 1 : self.fixed] = np.clip((features[rows] - self._feature_mean) * self._scale, -8.0, 8.0)
        if self.offsets:
            result[np.arange(len(rows)), self.fixed + self.pool.category_index(rows)] = 1.0
        return result

    def _shared(self, rows: Rows) -> tuple[Floats, Floats]:
        mean, variance = np.empty(len(rows)), np.empty(len(rows))
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            design = self._design(rows[part])
            mean[part] = design @ self._mean
            variance[part] = np.einsum("nd,nd->n", design @ self._covariance, design)
        return mean, np.maximum(variance, 0.0)

    def _drift_of(self, rows: Rows) -> Floats:
        return np.concatenate(
            [self._design(rows[i : i + _BLOCK]) ** 2 @ self._drift for i in range(0, max(len(rows), 1), _BLOCK)]
        )

    def _located(self, rows: Rows, weights: Floats) -> Floats:
        return np.concatenate(
            [self._design(rows[i : i + _BLOCK]) @ weights for i in range(0, max(len(rows), 1), _BLOCK)]
        )

    def _update(self, rows: Rows, precision: Floats, score: Floats) -> None:
        design = self._design(rows)
        if len(self._mean) <= SMALL or 2 * len(rows) > len(self._mean):
            self._condition(design.T @ (design * precision[:, None]), design.T @ score)
            return
        self._condition_few(design * np.sqrt(precision)[:, None], design.T @ score)
