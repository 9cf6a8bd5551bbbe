"""Cost of a stage in FLOPs and in tokens of training, so that the arms of a study get equal compute.

The accounting of arXiv 2512.07783: training costs 6 FLOPs a parameter and token. A token of RL is generated (2), scored by
the reference model (2) and trained on (6), so it counts as 10/6 = 5/3 tokens of training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from edgewise.errors import ConfigError

RL_TOKEN = 5 / 3
"""Tokens of training that one token of RL costs."""


def train_flops(parameters: int, tokens: float) -> float:
    """C = 6 P T: FLOPs of training P parameters on T tokens."""
    return 6.0 * _at_least(0, "parameters", parameters) * _at_least(0, "tokens", tokens)


def tokens_of(flops: float, parameters: int) -> float:
    """T = C / 6 P: tokens that C FLOPs train P parameters on."""
    return _at_least(0, "flops", flops) / (6.0 * _at_least(1, "parameters", parameters))


def rl_tokens(prompts: float, rollouts: float, length: float) -> float:
    """T_RL = 5/3 N r L: tokens of training that RL costs.

    Args:
        prompts: N, of the whole run: steps times prompts a step, groups that a gate refused included.
        rollouts: r of each.
        length: L tokens of a prompt with its completion: the longest allowed ("padded", as the paper counts) or the mean
            that was generated ("real").
    """
    return (
        RL_TOKEN
        * _at_least(0, "prompts", prompts)
        * _at_least(0, "rollouts", rollouts)
        * _at_least(0, "length", length)
    )


def train_steps(tokens: float, batch_tokens: int) -> int:
    """Whole steps of `batch_tokens` closest to a budget of `tokens`."""
    return round(_at_least(0, "tokens", tokens) / _at_least(1, "batch_tokens", batch_tokens))


def rl_steps(tokens: float, prompts: int, rollouts: int, length: float) -> int:
    """Whole RL steps of `prompts` x `rollouts` x `length` closest to a budget of `tokens` of training."""
    step = rl_tokens(_at_least(1, "prompts", prompts), _at_least(1, "rollouts", rollouts), length)
    return round(_at_least(0, "tokens", tokens) / _at_least(1, "the tokens of an RL step", step))


def split(tokens: float, rl_share: float) -> tuple[float, float]:
    """(mid-training, RL) parts of a budget: T_mid = (1 - b) T and T_RL = b T for the RL share b in [0, 1]."""
    if not 0 <= rl_share <= 1:
        raise ConfigError(f"the share of RL must lie in [0, 1], got {rl_share}")
    return (1 - rl_share) * _at_least(0, "tokens", tokens), rl_share * tokens


def require_equal(budgets: Mapping[str, float], tolerance: float = 0.01) -> None:
    """Refuse arms that do not cost the same.

    Args:
        budgets: cost of each arm, all in one unit (tokens or FLOPs).
        tolerance: allowed gap between the dearest and the cheapest arm, relative to the dearest; `inf` allows any.

    Raises:
        ConfigError: the gap is larger; it names both arms.
    """
    for name, budget in budgets.items():
        _at_least(0, f"the budget of {name}", budget)
    if not tolerance >= 0:
        raise ConfigError(f"the tolerance of budgets must be at least 0, got {tolerance}")
    if not budgets:
        return
    low, high = min(budgets, key=lambda name: budgets[name]), max(budgets, key=lambda name: budgets[name])
    gap = 1 - budgets[low] / budgets[high] if budgets[high] > 0 else 0.0
    if gap > tolerance:
        raise ConfigError(
            f"the arms differ in budget by {gap:.1%}, {tolerance:.1%} is allowed: {low} costs {budgets[low]:.4g},"
            f" {high} {budgets[high]:.4g}; change their steps, or allow it with a larger tolerance"
        )


def _at_least(low: float, name: str, value: float) -> float:
    if not (math.isfinite(value) and value >= low):
        raise ConfigError(f"{name} must be a number of at least {low}, got {value}")
    return value
