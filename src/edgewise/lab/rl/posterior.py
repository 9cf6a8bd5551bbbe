"""Beta posterior of each prompt's success rate, from which MaPP takes its advantages (arXiv 2609.34990, eq. 6)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edgewise.arrays import NOISE, Rows
from edgewise.beliefs import BetaBelief
from edgewise.checkpoint import load_state, save_state
from edgewise.lab.rl.batch import RolloutBatch
from edgewise.pool import PromptPool

FILE, KIND = "posterior.npz", "posterior"
RIGHT = 0.5
"""Reward from which a rollout counts as right: the advantage is made for rewards of 0 and 1."""


class Posterior:
    """alpha <- decay alpha + (1 - decay) + s, beta <- decay beta + (1 - decay) + k - s, for each group of a prompt.

    Args:
        pool: the prompts; success rates known before the run are evidence here too.
        decay: lambda in [0, 1].

    Example:
        >>> posterior = Posterior(PromptPool(range(2)), decay=0.5)
        >>> posterior.belief.observe(np.array([0]), np.array([6]), np.array([8]))
        >>> posterior.belief.distribution(np.array([0, 1])).alpha.tolist()
        [7.0, 1.0]
    """

    def __init__(self, pool: PromptPool, decay: float):
        self.belief = BetaBelief(pool, decay=decay)

    def observe(self, part: RolloutBatch, rows: Rows, sizes: npt.NDArray[np.int64]) -> RolloutBatch:
        """The groups with their posterior, themselves included, beside each completion.

        Args:
            part: completions of the groups, one group after the other.
            rows: of the groups' prompts, (g,), distinct.
            sizes: completions of each group, (g,).
        """
        group = np.repeat(np.arange(len(rows)), sizes)
        right = part.rewards.cpu().numpy() >= RIGHT - NOISE
        self.belief.observe(rows, np.bincount(group[right], minlength=len(rows)).astype(np.int64), sizes)
        after = self.belief.distribution(rows)
        alpha, beta = (torch.from_numpy(count[group]).to(part.rewards) for count in (after.alpha, after.beta))
        return dataclasses.replace(part, alpha=alpha, beta=beta)

    def advance(self) -> None:
        """A policy step has ended."""
        self.belief.advance()

    def save(self, folder: Path) -> None:
        save_state(folder / FILE, KIND, self.belief.state_dict())

    def read(self, folder: Path) -> dict[str, Any]:
        """The saved state; `CheckpointError` where it is missing or damaged."""
        return load_state(folder / FILE, KIND)

    def restore(self, state: dict[str, Any]) -> None:
        self.belief.restore(state, None)
