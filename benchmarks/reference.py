"""Published rules computed one prompt at a time, as their public implementations do; results equal to ours.

MoPPS: two dicts by text id, a loop over all candidates, a full sort (after recipe/mopps/mopps.py of verl, Top-B). DPS: a 3x3
matrix of transition counts a prompt, every prompt propagated in every step.
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


class LoopDPS:
    """Transition counts [to, from] and state beliefs in dicts; every step visits every prompt."""

    def __init__(self, prompts: int, decay: float = 0.5):
        self.decay = decay
        self.counts = {row: np.ones((3, 3)) for row in range(prompts)}
        self.before = {row: np.full(3, 1 / 3) for row in range(prompts)}
        self.believed = {row: np.full(3, 1 / 3) for row in range(prompts)}

    def select(self, n: int) -> np.ndarray:
        """The n likeliest to be partly right; ties in the order of rows."""
        partial = np.array([belief[1] for belief in self.believed.values()])
        return np.argsort(-partial, kind="stable")[:n]

    def observe(self, rows: np.ndarray, successes: np.ndarray, trials: int) -> None:
        shown = dict(zip(rows.tolist(), (successes > 0).astype(int) + (successes == trials), strict=True))
        for row, counts in self.counts.items():
            faded = self.decay * counts + (1 - self.decay)
            if row in shown:
                move = (counts / counts.sum(0))[shown[row]] * self.before[row]
                faded[shown[row]] += move / move.sum()
                self.believed[row] = np.eye(3)[shown[row]]
            self.counts[row] = faded
            self.before[row] = self.believed[row]
            self.believed[row] = faded / faded.sum(0) @ self.believed[row]
