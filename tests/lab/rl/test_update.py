"""Advantages and the clipped loss against their published formulas."""

import numpy as np
import pytest
import torch

from edgewise.errors import ConfigError
from edgewise.lab.model import Decoder, ModelConfig
from edgewise.lab.rl import advantages
from edgewise.lab.rl.update import Sample, clipped_loss, update

REWARDS = np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])


def test_grpo_divides_by_the_group_and_leaves_equal_groups_at_zero() -> None:
    result = advantages.estimator("grpo")(REWARDS)
    # mean 1/4, sample standard deviation 1/2.
    np.testing.assert_allclose(result[0], [1.5, -0.5, -0.5, -0.5], rtol=1e-3)
    assert (result[1] == 0).all()


def test_the_other_estimators_follow_their_formulas() -> None:
    np.testing.assert_allclose(advantages.estimator("dr_grpo")(REWARDS)[0], [0.75, -0.25, -0.25, -0.25])
    # Against the mean of the other three: 1 - 0, and 0 - 1/3.
    np.testing.assert_allclose(advantages.estimator("rloo")(REWARDS)[0], [1.0, -1 / 3, -1 / 3, -1 / 3])
    spread = np.std([0.75, -0.25, -0.25, -0.25, 0, 0, 0, 0])
    np.testing.assert_allclose(advantages.estimator("reinforce++")(REWARDS)[0, 0], 0.75 / spread, rtol=1e-3)


def test_float_noise_is_not_an_advantage() -> None:
    assert (advantages.estimator("grpo")(np.array([[0.1 + 0.2, 0.3, 0.3, 0.3]])) == 0).all()


def test_an_unknown_algorithm_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'grpo'"):
        advantages.estimator("gprо".replace("о", "o"))


def test_clipped_loss_by_hand() -> None:
    old = torch.log(torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
    new = torch.log(torch.tensor([[0.75, 0.5], [0.25, 0.5]]))
    weights = torch.tensor([1.0, -1.0])
    counted = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    # Ratios 1.5, 1 | 0.5: min(1.5, 1.28) + 1, and min(-0.5, -0.8); over three tokens.
    loss = clipped_loss(new, old, weights, counted, 0.2, 0.28, 3)
    assert loss.item() == pytest.approx(-(1.28 + 1.0 - 0.8) / 3)


def test_an_update_raises_what_was_rewarded_and_skips_groups_without_advantage() -> None:
    model = Decoder(ModelConfig(vocab_size=11, hidden_size=16, intermediate_size=16, num_hidden_layers=1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    good, bad = [4, 1], [5, 6, 1]
    sequences = [torch.tensor([[2, 3, *completion]]) for completion in (good, bad)]

    def logprob(index: int) -> list[float]:
        from edgewise.lab.model.generate import sequence_logprobs

        with torch.no_grad():
            return sequence_logprobs(model, sequences[index])[0, 1:].tolist()

    before = [sum(logprob(0)), sum(logprob(1))]
    sample = Sample([2, 3], [good, bad], [logprob(0), logprob(1)], np.array([1.0, 0.0]))
    dull = Sample([7], [[8, 1], [9, 1]], [[-1.0, -1.0], [-1.0, -1.0]], np.array([1.0, 1.0]))
    stats = update(model, optimizer, [sample, dull], np.array([[1.0, -1.0], [0.0, 0.0]]), (0.2, 0.28), 1.0)
    assert stats["grad_norm"] > 0
    assert sum(logprob(0)) > before[0]
    assert sum(logprob(1)) < before[1]
    frozen = {name: value.clone() for name, value in model.state_dict().items()}
    stats = update(model, optimizer, [dull], np.zeros((1, 2)), (0.2, 0.28), 1.0)
    assert stats["loss"] == 0
    assert all(torch.equal(value, frozen[name]) for name, value in model.state_dict().items())
