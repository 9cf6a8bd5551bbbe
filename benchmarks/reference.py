"""MoPPS the way its public implementation computes it: two dicts by text id, a loop over all candidates, a full sort.

Written anew after recipe/mopps/mopps.py of verl (Top-B), its results equal to ours in distribution.
"""

from __future__ import annotations

import numpy as np


class DictMoPPS:
    """Posterior counts in dicts; every select looks up, draws and sorts all candidates."""

    def __init__(self, target: float = 0.5, decay: float = 0.5, prior: float = 1.0, seed: int = 0):
        self.target, self.decay, self.prior = target, decay, prior
        self.alpha: dict[str, float] = {}
        self.beta: dict[str, float] = {}
        self.rng = np.random.default_rng(seed)

    def select(self, candidates: np.ndarray, n: int) -> np.ndarray:
        alpha, beta = [], []
        for candidate in candidates:
            key = str(candidate)
            if key not in self.alpha:
                self.alpha[key] = self.prior
            alpha.append(self.alpha[key])
            if key not in self.beta:
                self.beta[key] = self.prior
            beta.append(self.beta[key])
        drawn = self.rng.beta(np.array(alpha), np.array(beta))
        return candidates[np.argsort((drawn - self.target) ** 2)[:n]]

    def observe(self, rows: np.ndarray, successes: np.ndarray, trials: int) -> None:
        for row, s in zip(rows, successes, strict=True):
            key = str(row)
            for counts, gained in ((self.alpha, s), (self.beta, trials - s)):
                before = counts.get(key, self.prior)
                counts[key] = before * self.decay + self.prior * (1 - self.decay) + gained
