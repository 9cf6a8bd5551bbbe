"""Losses of the policy and of the critic, token by token, and the averages that make one number of them.

Shapes: `new` and `old` log-probabilities, `mask` and per-token losses are (N, T); advantages are (N, 1) or (N, T).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

RatioLevel = Literal["token", "sequence", "completion"]
KLEstimator = Literal["k2", "k3"]


def importance_ratio(new: Tensor, old: Tensor, mask: Tensor, level: RatioLevel = "token") -> Tensor:
    """pi / pi_old of each token (N, T), or one number a completion (N, 1).

    "token": pi(o_t) / pi_old(o_t) (PPO, arXiv 1707.06347, eq. 6); "sequence": (pi(o) / pi_old(o))^(1 / |o|), the geometric
    mean over the tokens (GSPO, arXiv 2507.18071, eq. 7); "completion": pi(o) / pi_old(o) (RLOO, arXiv 2402.14740).
    """
    difference = (new - old) * mask
    if level == "token":
        return difference.exp()
    total = difference.sum(1, keepdim=True)
    return total.exp() if level == "completion" else (total / mask.sum(1, keepdim=True).clamp(min=1)).exp()


def plain_surrogate(ratio: Tensor, advantage: Tensor) -> Tensor:
    """-rho A: importance weighting without clipping."""
    return -(ratio * advantage)


def clipped_surrogate(ratio: Tensor, advantage: Tensor, low: float, high: float) -> Tensor:
    """-min(rho A, clip(rho, 1 - low, 1 + high) A) (PPO, arXiv 1707.06347, eq. 7; DAPO's two ends, arXiv 2503.14476, eq. 10)."""
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)


def weighted_surrogate(ratio: Tensor, advantage: Tensor, new: Tensor, low: float, high: float) -> Tensor:
    """-sg(clip(rho, 1 - low, 1 + high)) A log pi (CISPO, arXiv 2506.13585, eq. 4 and 5): every token keeps a gradient."""
    return -(ratio.clamp(1 - low, 1 + high).detach() * advantage * new)


def kl(new: Tensor, ref: Tensor, estimator: KLEstimator = "k3") -> Tensor:
    """Estimates of KL(pi || pi_ref) from samples of pi (Schulman 2020), with d = log pi_ref - log pi, as losses.

    k2: d^2 / 2, biased, low variance; its expected gradient is that of KL(pi || pi_ref). k3: e^d - d - 1, unbiased and >= 0
    (GRPO, arXiv 2402.03300, eq. 4); its expected gradient is that of KL(pi_ref || pi). Schulman's k1, -d, is unbiased too, but
    the expected gradient of such a loss is 0 (arXiv 2510.01555, 2512.21852): it belongs into the reward.
    """
    d = ref - new
    return d**2 / 2 if estimator == "k2" else d.exp() - d - 1


def value_loss(new: Tensor, old: Tensor, target: Tensor, clip: float | None) -> Tensor:
    """max((V - R)^2, (clip(V, V_old - clip, V_old + clip) - R)^2) / 2; None: (V - R)^2 / 2.

    The clipping is that of OpenAI's PPO (baselines, ppo2), which the paper does not have.
    """
    error = (new - target) ** 2
    if clip is not None:
        error = torch.maximum(error, (old + (new - old).clamp(-clip, clip) - target) ** 2)
    return error / 2


def entropy(scores: Tensor) -> Tensor:
    """-sum p log p of each position's distribution in nats, (N, T) from logits (N, T, V)."""
    logprobs = scores.log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum(-1)


Average = Callable[[Tensor, int], tuple[Tensor | None, float]]
"""(lengths (N,), longest completion allowed) -> weight of each completion's token sum (N,), None for ones, and the divisor."""


def token_mean(lengths: Tensor, longest: int) -> tuple[Tensor | None, float]:
    """sum_i sum_t l_it / sum_i |o_i|: every token counts alike (DAPO, arXiv 2503.14476, eq. 8)."""
    return None, max(float(lengths.sum()), 1.0)


def sequence_mean(lengths: Tensor, longest: int) -> tuple[Tensor | None, float]:
    """1/N sum_i 1/|o_i| sum_t l_it: every completion counts alike (GRPO, arXiv 2402.03300, eq. 3)."""
    return 1 / lengths.clamp(min=1), float(len(lengths))


def constant_length(lengths: Tensor, longest: int) -> tuple[Tensor | None, float]:
    """1/N sum_i 1/L sum_t l_it with L the longest length allowed (Dr. GRPO, arXiv 2503.20783)."""
    return None, float(len(lengths) * longest)


def sequence_sum(lengths: Tensor, longest: int) -> tuple[Tensor | None, float]:
    """1/N sum_i sum_t l_it: the log-probability of a completion is the sum of its tokens' (REINFORCE)."""
    return None, float(len(lengths))


AVERAGES: dict[str, Average] = {
    "token_mean": token_mean,
    "sequence_mean": sequence_mean,
    "constant_length": constant_length,
    "sequence_sum": sequence_sum,
}
