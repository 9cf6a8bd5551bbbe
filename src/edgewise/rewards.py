"""Rewards as trainers return them: checked, clipped to [0, 1], and turned into successes by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.arrays import NOISE, Counts, Floats, as_array, require_sequence
from edgewise.errors import RewardError


@dataclass(frozen=True, eq=False)
class GivenRewards:
    """Checked rewards of n groups: `rewards` (sum of trials,) in [0, 1], `trials` and `successes` (n,), `lengths` or None."""

    rewards: Floats
    trials: Counts
    successes: Counts
    lengths: Counts | None


def read_rewards(
    rewards: npt.ArrayLike,
    counts: Counts,
    ids: np.ndarray,
    *,
    correct: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    threshold: float = 0.5,
    exact: bool = True,
) -> GivenRewards:
    """Check what was observed of n groups.

    Args:
        rewards: (sum of counts,), (n, k) or a list of n lists.
        counts: rollouts that were selected of each prompt, (n,).
        ids: ids of the prompts, (n,), for messages.
        correct: correctness by rollout, 0 or 1; rewards of at least `threshold` if None.
        lengths: completion lengths by rollout, whole numbers >= 0.
        threshold: reward from which a rollout is correct, up to float noise.
        exact: False lets groups of rewards in two dimensions be smaller than `counts`.

    Raises:
        RewardError: names the prompt and the value.
    """
    flat, shape = _flat(rewards, counts)
    trials = counts
    if shape is not None:
        if (shape > counts).any() or (exact and (shape != counts).any()) or (shape < 1).any():
            where = int(np.flatnonzero((shape != counts) if exact else (shape > counts) | (shape < 1))[0])
            raise RewardError(
                f"prompt {ids[where].item()!r} has {shape[where]} rewards, {counts[where]} rollouts were selected"
                + ("; leave it out, and forget it if none will come" if not shape[where] else "")
            )
        trials = shape
    if flat.shape != (int(trials.sum()),):
        raise RewardError(
            f"expected {int(trials.sum())} rewards for {len(counts)} prompts, got shape {np.shape(rewards) or flat.shape}"
        )
    if flat.dtype.kind not in "fiub":
        raise RewardError(f"rewards must be numbers in [0, 1], got {flat.dtype}")
    values = flat.astype(np.float64)
    fits = (values >= -NOISE) & (values <= 1 + NOISE) if correct is None else np.isfinite(values)
    bad = (~fits).nonzero()[0]
    if bad.size:
        owner = np.repeat(ids, trials)[bad[0]]
        share = f"{bad.size} of {len(values)}"
        rule = (
            f"rewards must lie in [0, 1] ({share} do not). Scale them, give correctness apart (correct=), or"
            if correct is None
            else f"rewards must be finite ({share} are not). Bound them, or"
        )
        raise RewardError(f"prompt {owner.item()!r} has reward {values[bad[0]]}; {rule} leave unscored rollouts out")
    if correct is None:
        values = np.minimum(np.maximum(values, 0.0), 1.0)
    right = values >= threshold - NOISE if correct is None else _correct(correct, trials, ids)
    starts = trials.cumsum() - trials
    successes = np.add.reduceat(right, starts, dtype=np.int64) if len(trials) else np.empty(0, np.int64)
    return GivenRewards(values, trials, successes, None if lengths is None else _lengths(lengths, trials, ids))


def _flat(values: Any, counts: Counts) -> tuple[np.ndarray, Counts | None]:
    """The values in one dimension, and how many each group has where their shape says so."""
    n = len(counts)
    require_sequence("results", values, RewardError)
    if not isinstance(values, (list, tuple)):
        values = as_array(values)
        # Python's numbers, or one array a group, as trainers carry what is not a tensor.
        values = values.tolist() if values.dtype.kind == "O" else values
    if isinstance(values, (list, tuple)) and n and len(values) == n and all(np.ndim(item) == 1 for item in values):
        parts = [as_array(item) for item in values]
        return np.concatenate(parts), np.array([len(part) for part in parts], np.int64)
    array = as_array(values)
    if array.ndim == 2 and array.shape[0] == n:
        return array.ravel(), np.full(n, array.shape[1], np.int64)
    if array.size == 0 and n == 0:
        return array.astype(np.float64).ravel(), None
    if array.ndim != 1:
        raise RewardError(
            f"expected {int(counts.sum())} values for {n} prompts, flat or ({n}, k), got shape {array.shape}"
        )
    return array, None


def _by_rollout(name: str, values: Any, trials: Counts) -> np.ndarray:
    flat, shape = _flat(values, trials)
    if flat.shape != (int(trials.sum()),) or (shape is not None and (shape != trials).any()):
        raise RewardError(f"{name} needs one value a reward, {int(trials.sum())}, got shape {flat.shape}")
    return flat


def _correct(correct: npt.ArrayLike, trials: Counts, ids: np.ndarray) -> np.ndarray:
    flat = _by_rollout("correct", correct, trials)
    if flat.dtype == np.bool_:
        return flat
    bad = np.flatnonzero((flat != 0) & (flat != 1)) if flat.dtype.kind in "fiu" else np.arange(min(len(flat), 1))
    if bad.size:
        owner = np.repeat(ids, trials)[bad[0]]
        raise RewardError(
            f"prompt {owner.item()!r} has correctness {flat[bad[0]].item()!r}; expected 0 or 1 for each rollout."
            " Leave rollouts that could not be verified out"
        )
    return flat == 1


def _lengths(lengths: npt.ArrayLike, trials: Counts, ids: np.ndarray) -> Counts:
    flat = _by_rollout("lengths", lengths, trials)
    whole = (
        (flat >= 0) & (flat == np.floor(flat)) & (flat < 2**53)
        if flat.dtype.kind in "fiu"
        else np.zeros(len(flat), bool)
    )
    bad = (~whole).nonzero()[0]
    if bad.size:
        owner = np.repeat(ids, trials)[bad[0]]
        raise RewardError(
            f"prompt {owner.item()!r} has completion length {flat[bad[0]].item()!r}; expected a whole number of tokens >= 0"
        )
    return flat.astype(np.int64)
