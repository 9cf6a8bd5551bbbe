"""Scores of predictions and choices, step by step and over a run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgewise.acquisition import PInformative
from edgewise.statistics import calibration_error, somers_d, spearman

Floats = npt.NDArray[np.float64]

SETTLED = 0.25
"""Averages leave out this first share of a run: beliefs have to form first."""

CLIP = 1e-3
"""The log loss takes predictions no closer to 0 and 1 than this, so that one wrong certainty costs at most 6.9."""


class Scores:
    """Scores of one run. A prediction is judged against success rates, not single draws, wherever rates are known.

    The expected Brier score and log loss of a rollout that succeeds with rate p are p (1-q)^2 + (1-p) q^2 and
    -p ln q - (1-p) ln(1-q) for the prediction q. They contain the irreducible part p (1-p): compare them on the same
    prompts only, that is on the probe. On selected prompts each method is judged where it chose to look.
    """

    def __init__(self) -> None:
        self._steps: list[dict[str, float]] = []
        self._predictions: dict[str, list[tuple[Floats, Floats, Floats]]] = {}

    def begin(self) -> None:
        """A policy step begins."""
        self._steps.append({})
        for parts in self._predictions.values():
            parts.append((np.empty(0), np.empty(0), np.empty(0)))

    def prediction(self, sample: str, predicted: Floats, rates: Floats, weights: npt.ArrayLike | None = None) -> None:
        """Judge predictions made before the outcome on a sample of prompts ("selected" or "probe"), each (n,).

        A rule without predictions is not scored: its numbers are not defined.
        """
        weight = np.ones(len(rates)) if weights is None else np.asarray(weights, np.float64)
        empty = (np.empty(0), np.empty(0), np.empty(0))
        parts = self._predictions.setdefault(sample, [empty] * len(self._steps))
        parts[-1] = (predicted, rates, weight)
        q = np.clip(predicted, CLIP, 1.0 - CLIP)
        brier = rates * (1.0 - predicted) ** 2 + (1.0 - rates) * predicted**2
        log_loss = -rates * np.log(q) - (1.0 - rates) * np.log1p(-q)
        total = weight.sum()
        self.put(
            **{
                f"{sample}_spearman": spearman(predicted, rates),
                f"{sample}_somers_d": somers_d(predicted, rates),
                f"{sample}_brier": float(weight @ brier / total) if total else float("nan"),
                f"{sample}_log_loss": float(weight @ log_loss / total) if total else float("nan"),
            }
        )

    def choice(self, chosen: Floats, available: Floats, rollouts: int) -> None:
        """Judge a choice by P(informative) at the true rates: of the chosen prompts (n,), and of all that were available.

        The oracle takes the n highest. Its mean minus the choice's is the regret.
        """
        worth = PInformative(rollouts).value
        n = len(chosen)
        best = np.partition(worth(available), len(available) - n)[len(available) - n :].mean()
        got = worth(chosen).mean()
        self.put(regret=float(best - got), share_of_oracle=float(got / best) if best > 0 else float("nan"))

    def put(self, **values: float) -> None:
        """Other numbers of this step."""
        self._steps[-1].update(values)

    def curves(self) -> dict[str, Floats]:
        """Every number by step, (steps,); NaN where it is not defined."""
        names = dict.fromkeys(name for step in self._steps for name in step)
        return {name: np.array([step.get(name, np.nan) for step in self._steps]) for name in names}

    def settled(self) -> dict[str, float]:
        """Means over the last three quarters of the run; calibration errors from all predictions of that time together."""
        start = int(SETTLED * len(self._steps))
        means = {}
        for name, curve in self.curves().items():
            part = curve[start:]
            part = part[~np.isnan(part)]
            means[name] = float(part.mean()) if part.size else float("nan")
        for sample, parts in self._predictions.items():
            predicted, rates, weights = (np.concatenate(columns) for columns in zip(*parts[start:], strict=True))
            defined = not np.isnan(predicted).any()
            error = calibration_error(predicted, rates * weights, weights) if defined else float("nan")
            means[f"{sample}_calibration_error"] = error
        return means
