"""Algorithms: the table, what can be changed of a row, losses by hand."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgewise.errors import ConfigError
from edgewise.lab.rl import losses
from edgewise.lab.rl.algorithms import ALGORITHMS, Algorithm, Critic, Overlong
from edgewise.lab.rl.config import RLConfig
from edgewise.lab.run.config import from_dict, to_dict


def test_the_table_has_the_published_algorithms_under_their_names() -> None:
    assert list(ALGORITHMS) == [
        "grpo", "dr_grpo", "dapo", "rloo", "reinforce", "reinforce++", "reinforce++-baseline", "ppo", "gspo", "cispo",
        "mapp",
    ]  # fmt: skip
    assert all(Algorithm.parse(name) == row and row.like == name for name, row in ALGORITHMS.items())


@pytest.mark.parametrize(
    "value",
    [*ALGORITHMS, {"like": "grpo", "kl": 0.0}, {"like": "ppo", "critic": {"network": "own"}}, {"like": "dapo", "overlong": None},
     {"like": "rloo", "surrogate": "clipped", "clip": [0.1, 0.3]}],
)  # fmt: skip
def test_an_algorithm_survives_its_plain_form(value) -> None:
    algorithm = Algorithm.parse(value)
    plain = algorithm.to_plain()
    assert Algorithm.parse(plain) == algorithm
    config = from_dict(RLConfig, {"algorithm": value})
    assert from_dict(RLConfig, to_dict(config)) == config
    if isinstance(value, str):
        assert plain == value


def test_like_keeps_what_is_not_named() -> None:
    changed = Algorithm.parse({"like": "ppo", "critic": {"lam": 1.0}})
    assert changed.critic == dataclasses.replace(Critic(), lam=1.0)
    assert dataclasses.replace(changed, critic=Critic()) == ALGORITHMS["ppo"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("gpro", "Did you mean 'gspo'"),
        ({"like": "gpro"}, "Did you mean 'gspo'"),
        ({"kl": 0.0}, "like: grpo"),
        (3, "must be a name such as 'dapo'"),
        ({"like": "grpo", "klx": 0.0}, "Did you mean 'kl'"),
        ({"like": "grpo", "kl": -1.0}, r"algorithm.kl must be a number of at least 0, got -1.0"),
        ({"like": "grpo", "kl": float("nan")}, "algorithm.kl"),
        ({"like": "grpo", "entropy": float("-inf")}, "algorithm.entropy must be a number that is finite, got -inf"),
        ({"like": "grpo", "clip": 0.2}, r"algorithm.clip must be a list such as \[0.2\]"),
        ({"like": "grpo", "clip": [0.2]}, "algorithm.clip must be a list of 2 values"),
        ({"like": "mapp", "overlong": {}}, "overlong and kl_in_reward, which change the reward, have no place in it"),
        ({"like": "mapp", "kl_in_reward": 0.1}, "counts right and wrong rollouts"),
        ({"like": "grpo", "clip": None}, "surrogate 'clipped' and clip None contradict"),
        ({"like": "rloo", "clip": [0.2, 0.2]}, "surrogate 'plain' and clip"),
        ({"like": "grpo", "critic": {}}, "generalised advantage estimation"),
        ({"like": "ppo", "critic": None}, "generalised advantage estimation"),
        ({"like": "ppo", "critic": {"network": "big"}}, "algorithm.critic.network must be one of head, own"),
        ({"like": "ppo", "critic": {"lam": 1.5}}, "algorithm.critic.lam must be a number between 0 and 1"),
        ({"like": "gspo", "average": "token_mean"}, "one value a completion"),
        ({"like": "reinforce++", "ratio": "sequence", "average": "sequence_mean"}, "one advantage a completion"),
        ({"like": "grpo", "kl_estimator": "k1"}, "algorithm.kl_estimator must be one of k2, k3, got 'k1'"),
        ({"like": "grpo", "decay": 0.9}, "decay is of advantage 'mapp'"),
        ({"like": "grpo", "average": "mean"}, "algorithm.average must be one of token_mean"),
    ],
)  # fmt: skip
def test_a_contradiction_or_a_wrong_value_is_one_sentence(value, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        from_dict(RLConfig, {"algorithm": value})
    assert "\n" not in str(caught.value)


def test_one_rollout_a_prompt_is_refused_where_the_group_is_the_baseline() -> None:
    for name, row in ALGORITHMS.items():
        if row.needs_groups:
            with pytest.raises(ConfigError, match="use one of reinforce, "):
                from_dict(RLConfig, {"algorithm": name, "rollouts": 1})
        else:
            assert from_dict(RLConfig, {"algorithm": name, "rollouts": 1}).rollouts == 1


@pytest.mark.parametrize("selector", ["ds", "edge+ds"])
def test_one_rollout_a_prompt_is_refused_with_dynamic_sampling(selector: str) -> None:
    with pytest.raises(ConfigError, match="at least 2 with the informative gate, got 1"):
        from_dict(RLConfig, {"algorithm": "ppo", "selector": selector, "rollouts": 1})


def test_clipped_surrogate_by_hand() -> None:
    ratio, a = torch.tensor([[1.5, 1.0], [0.5, 1.0]]), torch.tensor([[1.0], [-1.0]])
    expected = torch.tensor([[-1.28, -1.0], [0.8, 1.0]])
    torch.testing.assert_close(losses.clipped_surrogate(ratio, a, 0.2, 0.28), expected)
    torch.testing.assert_close(losses.plain_surrogate(ratio, a), torch.tensor([[-1.5, -1.0], [0.5, 1.0]]))


def test_ratios_by_hand() -> None:
    new, old = torch.log(torch.tensor([[0.5, 0.4, 9.0]])), torch.log(torch.tensor([[0.25, 0.8, 1.0]]))
    mask = torch.tensor([[1.0, 1.0, 0.0]])
    torch.testing.assert_close(losses.importance_ratio(new, old, mask), torch.tensor([[2.0, 0.5, 1.0]]))
    torch.testing.assert_close(losses.importance_ratio(new, old, mask, "completion"), torch.tensor([[1.0]]))
    new = torch.log(torch.tensor([[0.5, 0.8, 9.0]]))
    torch.testing.assert_close(losses.importance_ratio(new, old, mask, "sequence"), torch.tensor([[2.0**0.5]]))


def test_kl_estimators_as_losses_have_the_gradient_of_a_kl() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.4, 0.4, 0.2])
    exact = float((p * (p / q).log()).sum())
    assert float((p * losses.kl(p.log(), q.log(), "k3")).sum()) == pytest.approx(exact, abs=1e-6)

    def gradient(loss: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        theta = p.log().clone().requires_grad_()
        return torch.autograd.grad(loss(theta.log_softmax(0)).sum(), theta)[0]

    exact_gradients = {
        "k2": gradient(lambda logp: logp.exp() * (logp - q.log())),
        "k3": gradient(lambda logp: q * (q.log() - logp)),
    }
    for name, wanted in exact_gradients.items():
        # Of the loss over tokens sampled from p, which are not differentiated through.
        torch.testing.assert_close(gradient(lambda logp, name=name: p * losses.kl(logp, q.log(), name)), wanted)


def test_value_loss_takes_the_worse_of_clipped_and_unclipped() -> None:
    new, old, target = torch.tensor([1.0, 0.1]), torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0])
    # Clipped to 0.2: (0.2 - 1)^2 = 0.64 against 0; within the clip: (0.1 - 1)^2.
    torch.testing.assert_close(losses.value_loss(new, old, target, 0.2), torch.tensor([0.32, 0.405]))
    torch.testing.assert_close(losses.value_loss(new, old, target, None), torch.tensor([0.0, 0.405]))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_averages_of_ones_are_what_they_count(lengths: list[int]) -> None:
    n, total, longest = len(lengths), sum(lengths), 10
    sums = torch.tensor(lengths, dtype=torch.float32)
    expected = {
        "token_mean": 1.0,
        "sequence_mean": 1.0,
        "constant_length": total / (n * longest),
        "sequence_sum": total / n,
    }
    for name, value in expected.items():
        weight, divisor = losses.AVERAGES[name](sums, longest)
        result = (sums if weight is None else sums * weight).sum() / divisor
        assert float(result) == pytest.approx(value, rel=1e-5), name


def test_overlong_completions_are_punished_linearly_over_the_buffer() -> None:
    lengths = torch.tensor([1.0, 15.0, 16.0, 18.0, 20.0])
    torch.testing.assert_close(
        Overlong(buffer=0.25).punishment(lengths, 20), torch.tensor([0.0, 0.0, -0.2, -0.6, -1.0], dtype=torch.float64)
    )
    assert (Overlong(buffer=0.0).punishment(lengths, 20) == 0).all()
