"""Speed of drift of a belief's shared weights, learned from how well groups were predicted before they came (ours)."""

from __future__ import annotations

import numpy as np

from edgewise.arrays import Floats
from edgewise.parts import Part
from edgewise.pool import PromptPool

SCALES = 2.0 ** np.arange(-1.0, 4.0)
"""Drifts compared, as multiples of the given one."""
SQUARES = SCALES**2
PRIOR = -0.5 * np.log2(SCALES) ** 2
"""Log-probabilities before any data, up to a constant: the given drift, give or take a factor of two. In the mean the variance
is then twice that of the given drift, since too slow a belief costs more than too fast a one."""
FAR = 400
"""Policy steps after which evidence counts for nothing: 0.9^400 is below 1e-18."""
RETENTION = 0.9
"""Share of the evidence that survives a policy step: about the last ten steps decide, since learning speeds up and slows down."""


class DriftScale(Part):
    """Posterior over a few speeds of drift, each judged by the likelihood of outcomes predicted one step ahead.

    A bank of Kalman filters with different process noise (multiple-model estimation, Magill 1965), which share their mean and
    covariance after each step as in the interacting multiple-model filter (Blom and Bar-Shalom 1988). The drift that is
    applied has the posterior mean of the variance. Evidence on one category counts as independent of that on another.

    Args:
        pool: the prompts.

    Example:
        >>> scale = DriftScale(PromptPool(range(4)))
        >>> calm = scale.variance()
        >>> scale.advance()
        >>> surprise = np.array([60.0])  # three standard deviations of the prediction
        >>> scale.learn(np.array([100.0]), surprise, variance=np.array([0.03]), drift=np.array([0.01]))
        >>> bool(scale.variance() > calm)
        True
    """

    saved = ("evidence", "applied", "waited")

    def __init__(self, pool: PromptPool):
        super().__init__(pool)
        # Log-likelihoods; the highest is 0.
        self.evidence = np.zeros(len(SCALES))
        # Since the last evidence: variance of the drift that was applied, at scale 1, and policy steps.
        self.applied, self.waited = 0.0, 0

    def variance(self, ahead: int = 0) -> float:
        """Factor on the variance of a step's drift: posterior mean of the squared scale, or that of `ahead` steps later."""
        weight = np.exp(RETENTION**ahead * self.evidence + PRIOR)
        return float(weight @ SQUARES / weight.sum())

    def learn(self, precision: Floats, score: Floats, *, variance: Floats, drift: Floats) -> None:
        """Evidence of a step on abilities, one for each category: (C,) each.

        Args:
            precision: of the step's evidence on each ability.
            score: precision times what the evidence exceeds the prediction by.
            variance: of the prediction, drift included as it was applied.
            drift: variance of a step's drift at scale 1.
        """
        seen = precision > 0
        precision, score, drift = precision[seen], score[seen], drift[seen]
        spread = np.maximum(variance[seen] + (self.waited * SQUARES[:, None] - self.applied) * drift, 1e-9)
        marginal = 1.0 + spread * precision
        self.evidence = self.evidence + (0.5 * score**2 * spread / marginal - 0.5 * np.log(marginal)).sum(1)
        self.evidence -= self.evidence.max()
        self.applied, self.waited = 0.0, 0

    def advance(self, steps: int = 1) -> None:
        # Far ahead the evidence is forgotten, and each further step adds the same.
        near = min(steps, FAR)
        self.applied += sum(map(self.variance, range(near)))
        if steps > near:
            self.applied += (steps - near) * self.variance(near)
        self.waited += steps
        self.evidence = self.evidence * RETENTION**steps
        super().advance(steps)

    def metrics(self) -> dict[str, float]:
        return {"drift": float(np.sqrt(self.variance()))}
