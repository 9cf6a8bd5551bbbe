"""Advantages of a batch of groups; a new algorithm is one function and one registration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgewise.errors import unknown_name

Floats = npt.NDArray[np.float64]
Estimator = Callable[[Floats], Floats]

_ESTIMATORS: dict[str, Estimator] = {}


def register(name: str) -> Callable[[Estimator], Estimator]:
    def add(function: Estimator) -> Estimator:
        _ESTIMATORS[name] = function
        return function

    return add


def estimator(name: str) -> Estimator:
    """A function from rewards (groups, rollouts) to advantages of that shape."""
    if name not in _ESTIMATORS:
        raise unknown_name("algorithm", name, _ESTIMATORS)
    return _ESTIMATORS[name]


@register("grpo")
def grpo(rewards: Floats) -> Floats:
    """(r - mean) / std of the group (DeepSeekMath, arXiv 2402.03300, section 4.1.2); 0 where the group does not differ."""
    centred = rewards - rewards.mean(1, keepdims=True)
    spread = rewards.std(1, ddof=1, keepdims=True)
    return np.where(np.ptp(rewards, 1)[:, None] > 1e-6, centred / (spread + 1e-4), 0.0)


@register("dr_grpo")
def dr_grpo(rewards: Floats) -> Floats:
    """r - mean of the group, without the division that favours very hard and very easy prompts (arXiv 2503.20783)."""
    return rewards - rewards.mean(1, keepdims=True)


@register("rloo")
def rloo(rewards: Floats) -> Floats:
    """r minus the mean of the other rollouts of the group (arXiv 2402.14740)."""
    k = rewards.shape[1]
    return (rewards - rewards.mean(1, keepdims=True)) * (k / (k - 1))


@register("reinforce++")
def reinforce_pp(rewards: Floats) -> Floats:
    """REINFORCE++-baseline: minus the mean of the group, divided by the std over the batch (arXiv 2501.03262)."""
    centred = rewards - rewards.mean(1, keepdims=True)
    return centred / (centred.std() + 1e-4)
