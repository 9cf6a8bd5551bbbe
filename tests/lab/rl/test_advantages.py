"""Advantages against their equations, worked out in another way."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edgewise.lab.model.generate import Rollouts
from edgewise.lab.rl import advantages
from edgewise.lab.rl.batch import RolloutBatch

LENGTHS = [2, 3, 1, 4, 2, 2, 3]
GROUP = [0, 0, 0, 5, 5, 2, 5]
REWARDS = [1.0, 0.0, 0.25, 1.0, 0.0, 1.0, 0.5]


def made(rewards=REWARDS, group=GROUP, lengths=LENGTHS, seed: int = 0, prompt: int = 2) -> RolloutBatch:
    draw = torch.Generator().manual_seed(seed)
    count, longest = len(rewards), max(lengths)
    logprobs = -torch.rand(count, longest, generator=draw)
    tokens = torch.randint(3, 9, (count, longest), generator=draw)
    prompts = [list(range(3, 3 + prompt + i % 2)) for i in range(count)]
    batch = RolloutBatch.of(prompts, Rollouts(tokens, torch.tensor(lengths), logprobs), rewards, group)
    noise = 0.3 * torch.randn(2, *batch.mask.shape, generator=draw) * batch.mask
    return RolloutBatch(
        batch.tokens, batch.mask, batch.logprobs, batch.rewards, batch.group, noise[0], batch.logprobs + noise[1]
    )


def groups() -> list[list[int]]:
    return [[i for i, g in enumerate(GROUP) if g == name] for name in (0, 5, 2)]


def test_group_baselines_with_groups_of_any_size() -> None:
    b = made()
    expected = {"grpo": np.zeros(7), "dr_grpo": np.zeros(7), "rloo": np.zeros(7)}
    for rows in groups():
        paid = np.array([REWARDS[i] for i in rows])
        for i, r in zip(rows, paid, strict=True):
            others = [REWARDS[j] for j in rows if j != i]
            expected["dr_grpo"][i] = r - paid.mean()
            expected["rloo"][i] = r - np.mean(others) if others else 0.0
            expected["grpo"][i] = (r - paid.mean()) / (np.std(paid, ddof=1) + 1e-4) if others else 0.0
    for name, values in expected.items():
        np.testing.assert_allclose(advantages.OUTCOME[name](b).numpy(), values, atol=1e-12, err_msg=name)


def test_the_batch_baseline() -> None:
    np.testing.assert_allclose(advantages.reinforce(made()).numpy(), np.array(REWARDS) - np.mean(REWARDS), atol=1e-12)


def test_a_group_of_equal_rewards_has_no_advantage_whatever_the_float_noise() -> None:
    b = made([0.1 + 0.2, 0.3, 0.3, 1.0, 1.0], [0, 0, 0, 1, 1], [1] * 5)
    assert (advantages.grpo(b) == 0).all()


def test_grpo_on_every_group_of_eight_binary_rewards_equals_the_formula_to_the_last_bit_of_float32() -> None:
    rewards = np.array(list(itertools.product([0.0, 1.0], repeat=8)))
    b = made(rewards.ravel().tolist(), np.repeat(np.arange(256), 8).tolist(), [1] * 2048)
    centred = rewards - rewards.mean(1, keepdims=True)
    spread = rewards.std(1, ddof=1, keepdims=True)
    expected = np.where(np.ptp(rewards, 1)[:, None] > 1e-6, centred / (spread + 1e-4), 0.0).astype(np.float32)
    assert np.array_equal(advantages.grpo(b).float().numpy().reshape(256, 8), expected)


def test_reinforce_pp_against_its_equation_written_out_token_by_token() -> None:
    b, beta = made(), 0.07
    raw, where = [], []
    for i in range(len(b)):
        columns = [t for t in range(b.mask.shape[1]) if b.mask[i, t]]
        for t in columns:
            penalty = sum(float(b.logprobs[i, u]) - float(b.ref_logprobs[i, u]) for u in columns if u >= t)
            raw.append(REWARDS[i] - beta * penalty)
            where.append((i, t))
    mean = sum(raw) / len(raw)
    std = (sum((x - mean) ** 2 for x in raw) / len(raw)) ** 0.5
    result = advantages.reinforce_pp(b, beta)
    for (i, t), x in zip(where, raw, strict=True):
        assert float(result[i, t]) == pytest.approx((x - mean) / std, abs=1e-9)
    assert (result[b.mask == 0] == 0).all()


def test_reinforce_pp_baseline_normalises_over_tokens() -> None:
    b = made()
    centred = advantages.dr_grpo(b).numpy()
    tokens = np.repeat(centred, LENGTHS)
    expected = (centred - tokens.mean()) / tokens.std()
    np.testing.assert_allclose(advantages.reinforce_pp_baseline(b).numpy(), expected, atol=1e-9)


def test_gae_by_hand() -> None:
    # Two tokens: delta = (0 + 0.9 * 0.5 - 0.25, 1 - 0.5) = (0.2, 0.5); A = (0.2 + 0.9 * 0.5 * 0.5, 0.5).
    rewards, values = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.25, 0.5]])
    result = advantages.gae(rewards, values, torch.ones(1, 2), gamma=0.9, lam=0.5)
    torch.testing.assert_close(result, torch.tensor([[0.425, 0.5]], dtype=torch.float64))


def slow_gae(rewards, values, begin: int, end: int, gamma: float, lam: float) -> dict[int, float]:
    """The recursion A_t = delta_t + gamma lam A_{t+1}, from the last token back."""
    after, value_after, result = 0.0, 0.0, {}
    for t in reversed(range(begin, end)):
        delta = rewards[t] + gamma * value_after - values[t]
        after = delta + gamma * lam * after
        value_after, result[t] = values[t], after
    return result


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 2**16),
)
def test_gae_against_the_recursion(lengths: list[int], gamma: float, lam: float, seed: int) -> None:
    b = made([0.5] * len(lengths), list(range(len(lengths))), lengths, seed)
    rewards = torch.randn(b.mask.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    result = advantages.gae(rewards, b.values, b.mask, gamma, lam)
    for i in range(len(b)):
        columns = b.mask[i].nonzero()[:, 0].tolist()
        expected = slow_gae(rewards[i].tolist(), b.values[i].tolist(), columns[0], columns[-1] + 1, gamma, lam)
        for t, value in expected.items():
            assert float(result[i, t]) == pytest.approx(value, abs=1e-9)
    assert (result[b.mask == 0] == 0).all()


def test_token_rewards_sum_to_the_reward_less_the_penalty() -> None:
    b = made()
    paid = advantages.token_rewards(b, 0.2)
    penalty = ((b.logprobs - b.ref_logprobs) * b.mask).double().sum(1)
    torch.testing.assert_close(paid.sum(1), b.rewards - 0.2 * penalty)
    assert (advantages.token_rewards(b).sum(1) == b.rewards).all()


def test_advantages_that_do_not_vary_are_zero_after_whitening() -> None:
    assert (advantages.whiten(torch.full((3, 2), 0.3), torch.ones(3, 2)) == 0).all()


def test_batches_are_cut_and_joined_without_change() -> None:
    b = made()
    parts = [b.take(torch.tensor([0, 1, 2])), b.take(torch.tensor([3, 4, 5, 6]))]
    joined = RolloutBatch.cat(parts)
    for name in ("tokens", "mask", "logprobs", "rewards", "values", "ref_logprobs"):
        assert torch.equal(getattr(joined, name), getattr(b, name)), name
    np.testing.assert_allclose(advantages.rloo(joined).numpy(), advantages.rloo(b).numpy())
    assert parts[0].tokens.shape[1] < b.tokens.shape[1]
    # Two groups of the same number in different parts stay two groups.
    twice = RolloutBatch.cat([parts[0], parts[0]])
    assert len(torch.unique(twice.group)) == 2


@pytest.mark.parametrize("k", [2, 5, 8])
def test_mapp_is_the_mean_of_grpo_over_the_posterior_of_the_others(k: int) -> None:
    """Numerical integration over the success rate, and all outcomes of the other rollouts, against the closed form."""
    rng = np.random.default_rng(k)
    for right in range(k + 1):
        rewards = [1.0] * right + [0.0] * (k - right)
        before = rng.uniform(0.5, 6.0, 2)
        batch = dataclasses.replace(
            made(rewards, [3] * k, [1] * k),
            alpha=torch.full((k,), before[0] + right).double(),
            beta=torch.full((k,), before[1] + k - right).double(),
        )
        found = advantages.mapp(batch).numpy()
        for i, own in enumerate(rewards):
            a, b = before[0] + right - own, before[1] + (k - right) - (1.0 - own)

            def intrinsic(rate: float, own: float = own) -> float:
                total = 0.0
                for others in range(k):
                    group = np.array([own] + [1.0] * others + [0.0] * (k - 1 - others))
                    if group.std() > 0:
                        total += stats.binom.pmf(others, k - 1, rate) * (own - group.mean()) / group.std()
                return total

            rates = (np.arange(4000) + 0.5) / 4000
            weight = stats.beta.pdf(rates, a, b)
            expected = (np.array([intrinsic(rate) for rate in rates[::40]]) * weight[::40]).sum() / weight[::40].sum()
            assert found[i] == pytest.approx(expected, abs=0.02)


def test_mapp_without_a_history_starts_from_the_uniform_prior_in_groups_of_any_size() -> None:
    b = made([1.0, 0.0, 0.0, 1.0, 1.0, 1.0], [0, 0, 0, 1, 2, 2], [1] * 6)
    given = dataclasses.replace(
        b, alpha=torch.tensor([2.0, 2, 2, 2, 3, 3]).double(), beta=torch.tensor([3.0, 3, 3, 1, 1, 1]).double()
    )
    found = advantages.mapp(b)
    torch.testing.assert_close(found, advantages.mapp(given))
    # Of two rollouts, both right: P(the other is wrong | Beta(2, 1)) sqrt(1) = 1/3; of one rollout there are no others.
    torch.testing.assert_close(found[3:], torch.tensor([0.0, 1 / 3, 1 / 3]).double())
    # Of three with one right: alone under Beta(1, 3), P(0 of 2) sqrt(2) + P(1 of 2) sqrt(1/2).
    assert float(found[0]) == pytest.approx(0.6 * 2**0.5 + 0.3 * 0.5**0.5)
