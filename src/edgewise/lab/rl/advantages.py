"""Advantages of a batch of rollouts; one equation a function.

An outcome estimator maps rewards to one advantage a completion, (N,) float64. Token estimators give one a written token,
(N, T - 1). Notation: r is the reward of a completion, k the size of its group, beta the weight of the KL penalty.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgewise.lab.rl.batch import RolloutBatch

EPSILON = 1e-4
"""Added to standard deviations of rewards."""
NOISE = 1e-6
"""Rewards of a group that differ by less are equal: float noise is no advantage."""
OutcomeAdvantage = Callable[[RolloutBatch], Tensor]


def grpo(b: RolloutBatch) -> Tensor:
    """A = (r - mean) / std over the group (arXiv 2402.03300, section 4.1.2); 0 where the group does not differ."""
    centred = b.rewards - b.group_mean(b.rewards)
    # A group whose largest distance from its mean is noise has none larger between two of its rewards.
    differs = b.group_mean((centred.abs() > NOISE / 2).double()) > 0
    return torch.where(differs, centred / (b.group_std(b.rewards) + EPSILON), 0.0)


def dr_grpo(b: RolloutBatch) -> Tensor:
    """A = r - mean over the group, without the division that favours very hard and very easy prompts (arXiv 2503.20783)."""
    return b.rewards - b.group_mean(b.rewards)


def rloo(b: RolloutBatch) -> Tensor:
    """A = r - mean of the other k - 1 rewards = k / (k - 1) (r - mean) (arXiv 2402.14740, eq. 8); 0 in groups of one."""
    k = b.group_sizes()
    return k / (k - 1).clamp(min=1) * (b.rewards - b.group_mean(b.rewards))


def reinforce(b: RolloutBatch) -> Tensor:
    """A = r - mean over the batch (Williams 1992, with the batch's mean as the baseline)."""
    return b.rewards - b.rewards.mean()


def reinforce_pp_baseline(b: RolloutBatch) -> Tensor:
    """A = whiten(r - mean over the group), over the written tokens of the batch (arXiv 2501.03262, REINFORCE++ w/ baseline)."""
    return whiten(dr_grpo(b), b.lengths.double())


def mapp(b: RolloutBatch) -> Tensor:
    """GRPO's advantage, expected over what the other k - 1 rollouts might have been (arXiv 2609.34990, eq. 12 and 14).

        A = sum_{S = 1}^{k - 1} P(S - 1 right of k - 1 | Beta(alpha - 1, beta)) sqrt((k - S) / S)       of a right rollout,
            -(the same with the parts of alpha and beta exchanged)                                      of a wrong one

    with the prompt's posterior Beta(alpha, beta), from which the rollout itself is taken. A reward of 0.5 or more is right.
    Groups that do not differ have an advantage too, a small one where they were expected.
    """
    right = b.rewards >= 0.5 - NOISE
    count, size = b.group_mean(right.double()) * b.group_sizes(), b.group_sizes()
    alpha = 1.0 + count if b.alpha is None else b.alpha
    beta = 1.0 + size - count if b.beta is None else b.beta
    # Of the rollout's own kind, without itself, and of the other kind.
    own, other = torch.where(right, alpha, beta)[:, None] - 1.0, torch.where(right, beta, alpha)[:, None]
    k, s = size[:, None], torch.arange(1.0, float(size.max()), dtype=torch.float64, device=b.rewards.device)
    inside = s < k
    s = torch.where(inside, s, 1.0)
    log_choose = torch.lgamma(k) - torch.lgamma(s) - torch.lgamma(k - s + 1.0)
    chance = torch.exp(log_choose + _log_beta(own + s - 1.0, other + k - s) - _log_beta(own, other))
    expected = (torch.where(inside, chance * ((k - s).clamp(min=0.0) / s).sqrt(), 0.0)).sum(1)
    return torch.where(right, expected, -expected)


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


OUTCOME: dict[str, OutcomeAdvantage] = {
    "grpo": grpo,
    "dr_grpo": dr_grpo,
    "rloo": rloo,
    "reinforce": reinforce,
    "reinforce++-baseline": reinforce_pp_baseline,
    "mapp": mapp,
}


def kl_penalty(b: RolloutBatch) -> Tensor:
    """log pi_old - log pi_ref of each written token, (N, T - 1) float64: the k1 estimate of KL(pi_old || pi_ref)."""
    if b.ref_logprobs is None:
        return torch.zeros_like(b.mask, dtype=torch.float64)
    return (b.logprobs.double() - b.ref_logprobs.double()) * b.mask


def token_rewards(b: RolloutBatch, beta: float = 0.0) -> Tensor:
    """r_t = 1[t = last] r - beta KL_t, (N, T - 1) float64 (arXiv 2203.02155, eq. 2, spread over the tokens)."""
    rewards = -beta * kl_penalty(b) if beta else torch.zeros_like(b.mask, dtype=torch.float64)
    # The last written column of each row; a completion always has one token or more.
    last = b.mask.shape[1] - 1 - b.mask.flip(1).argmax(1)
    rows = torch.arange(len(b), device=last.device)
    rewards[rows, last] += b.rewards
    return rewards


def reinforce_pp(b: RolloutBatch, beta: float) -> Tensor:
    """A_t = whiten(r - beta sum_{i >= t} KL_i), over the written tokens of the batch (arXiv 2501.03262, eq. 8 to 10)."""
    returns = token_rewards(b, beta).flip(1).cumsum(1).flip(1)
    return whiten(returns, b.mask.double())


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Tensor:
    """Generalised advantage estimation (arXiv 1506.02438, eq. 11, 12 and 16).

        delta_t = r_t + gamma V_{t+1} - V_t
        A_t     = sum_l (gamma lam)^l delta_{t+l}

    Args:
        rewards: r_t, (N, T).
        values: V_t, (N, T); V behind the last written token is 0.
        mask: 1 where a token was written, one run of ones a row, (N, T).
        gamma: discount in [0, 1].
        lam: lambda in [0, 1]; 1: returns minus values, 0: one-step errors.

    Returns:
        advantages (N, T) float64, 0 outside the mask.

    Example:
        >>> r, v, m = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.25]]), torch.ones(1, 2)
        >>> gae(r, v, m, gamma=1.0, lam=0.5)  # delta = (-0.25, 0.75)
        tensor([[0.1250, 0.7500]], dtype=torch.float64)
    """
    inside = mask.double()
    v = values.double() * inside
    after = torch.nn.functional.pad(v[:, 1:], (0, 1))
    advantage = (rewards.double() + gamma * after - v) * inside
    # Sums of 1, 2, 4, ... terms: as many rounds as the length has bits instead of one a token.
    reach, factor = 1, gamma * lam
    while reach < advantage.shape[1] and factor > 0:
        advantage = advantage + factor * torch.nn.functional.pad(advantage[:, reach:], (0, reach))
        reach, factor = 2 * reach, factor * factor
    return advantage * inside


def whiten(x: Tensor, weight: Tensor) -> Tensor:
    """(x - mean) / std under the weights, 0 where x does not vary; shapes alike."""
    total = weight.sum()
    centred = x - (x * weight).sum() / total
    std = ((centred**2 * weight).sum() / total).sqrt()
    return torch.where(weight > 0, centred / std, 0.0) if std > NOISE else torch.zeros_like(x)
