"""Rewards of a verdict in RL: outcome, process, their mixes, and strict (arXiv 2512.07783, E7).

| kind | reward |
|---|---|
| `outcome` | 1 if the answer is right |
| `process:a` | a * outcome + (1 - a) * share of right steps, 0 <= a <= 1 |
| `gated-process:a` | the same if the answer is right, else 0 |
| `steps` | 1 if every step is right, whatever the answer |
| `strict` | 1 if every step and the answer are right: `steps` behind the gate |
| `score` | the task's own shaped reward |
"""

from __future__ import annotations

from collections.abc import Callable

from edgewise.errors import ConfigError
from edgewise.tasks.base import Verdict

Reward = Callable[[Verdict], float]

REWARDS: dict[str, Reward] = {
    "strict": lambda verdict: float(verdict.correct),
    "outcome": lambda verdict: float(verdict.outcome),
    "score": lambda verdict: verdict.score,
    "steps": lambda verdict: float(verdict.process == 1),
}
MIXES = ("process", "gated-process")


def make_reward(kind: str) -> Reward:
    """The reward of this kind, from a verdict to [0, 1]; `ConfigError` for other kinds."""
    if kind in REWARDS:
        return REWARDS[kind]
    name, _, share = kind.partition(":")
    try:
        weight = float(share)
    except ValueError:
        weight = -1.0
    if name not in MIXES or not 0 <= weight <= 1:
        known = ", ".join([*REWARDS, *(f"{mix}:A" for mix in MIXES)])
        raise ConfigError(f"reward must be one of {known} with the outcome's share A in [0, 1], got '{kind}'")

    def mix(verdict: Verdict) -> float:
        return weight * verdict.outcome + (1 - weight) * verdict.process

    def gated(verdict: Verdict) -> float:
        return mix(verdict) if verdict.outcome else 0.0

    return mix if name == "process" else gated
