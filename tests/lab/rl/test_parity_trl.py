"""Loss and gradient of an update against TRL's own loss code, on the same model, batch and rewards."""

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from edgewise.lab.model import Decoder, ModelConfig
from edgewise.lab.model.generate import Rollouts, sequence_logprobs
from edgewise.lab.rl.algorithms import Algorithm
from edgewise.lab.rl.batch import RolloutBatch
from edgewise.lab.rl.update import Learner, UpdateSettings

pytest.importorskip("trl")

PROMPT, LONGEST, K = 3, 6, 4
LENGTHS = [6, 2, 5, 1, 3, 6, 4, 2]
REWARDS = [1.0, 0.0, 0.0, 1.0, 0.25, 0.5, 1.0, 0.0]


@pytest.fixture(scope="module")
def model() -> Decoder:
    return Decoder(ModelConfig(vocab_size=13, hidden_size=16, intermediate_size=24, num_hidden_layers=2), seed=1)


@pytest.fixture(scope="module")
def reference(model: Decoder) -> Decoder:
    other = copy.deepcopy(model)
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for value in other.parameters():
            value.add_(0.05 * torch.randn(value.shape, generator=draw))
    return other


@pytest.fixture(scope="module")
def batch(model: Decoder) -> RolloutBatch:
    """Two groups; old log-probabilities a little off the policy's, so that ratios differ from 1 on both sides of a clip."""
    draw = torch.Generator().manual_seed(3)
    tokens = torch.randint(3, 13, (len(LENGTHS), LONGEST), generator=draw)
    prompts = torch.randint(3, 13, (2, PROMPT), generator=draw).repeat_interleave(K, 0)
    with torch.no_grad():
        now = sequence_logprobs(model, torch.cat([prompts, tokens], 1))[:, PROMPT - 1 :]
    old = now + 0.3 * torch.randn(now.shape, generator=draw)
    rollouts = Rollouts(tokens, torch.tensor(LENGTHS), old)
    return RolloutBatch.of(prompts.tolist(), rollouts, REWARDS, torch.arange(2).repeat_interleave(K).numpy())


class HuggingFace(torch.nn.Module):
    """The decoder behind the interface that TRL's loss calls."""

    def __init__(self, decoder: Decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, fused_lm_head: bool) -> Any:
        logps = (self.decoder(input_ids[:, :-1])).log_softmax(-1)
        picked = logps.gather(-1, input_ids[:, 1:, None])[..., 0]
        zero = torch.zeros(len(input_ids), 1)
        entropy = -(logps.exp() * logps).sum(-1)
        # Column t holds the log-probability of token t and the entropy of its distribution.
        return SimpleNamespace(log_probs=torch.cat([zero, picked], 1), entropy=torch.cat([zero, entropy], 1))


class Accelerator:
    """The parts of accelerate that a loss in one process uses."""

    num_processes = 1
    sync_gradients = True
    is_main_process = True

    def autocast(self) -> Any:
        return nullcontext()

    def reduce(self, value: Tensor, reduction: str = "sum") -> Tensor:
        return value

    def gather(self, value: Tensor) -> Tensor:
        return value


def trl_advantages(scale: bool) -> Tensor:
    """TRL's lines, with its functions: r - mean, divided by std + 1e-4 where `scale_rewards` is "group"."""
    from trl.trainer.utils import nanstd

    rewards = torch.tensor(REWARDS)
    mean = torch.nanmean(rewards.view(-1, K), dim=1).repeat_interleave(K, dim=0)
    advantages = rewards - mean
    if scale:
        advantages = advantages / (nanstd(rewards.view(-1, K), dim=1).repeat_interleave(K, dim=0) + 1e-4)
    return advantages


def trl_inputs(batch: RolloutBatch, advantages: Tensor, reference: Decoder) -> dict[str, Tensor]:
    mask = batch.mask[:, PROMPT - 1 :]
    with torch.no_grad():
        ref = sequence_logprobs(reference, batch.tokens)[:, PROMPT - 1 :]
    return {
        "prompt_ids": batch.tokens[:, :PROMPT],
        "prompt_mask": torch.ones(len(batch), PROMPT, dtype=torch.int64),
        "completion_ids": batch.tokens[:, PROMPT:],
        "completion_mask": mask.long(),
        "advantages": advantages,
        "old_per_token_logps": batch.logprobs[:, PROMPT - 1 :],
        "old_logps": (batch.logprobs * batch.mask).sum(1),
        "ref_per_token_logps": ref,
        "num_items_in_batch": mask.sum(),
    }


def trl_loss(kind: Any, decoder: Decoder, inputs: dict[str, Tensor], **settings: Any) -> Tensor:
    """`_compute_loss` of a TRL trainer that was never set up but for the settings that the loss reads."""
    from collections import defaultdict

    trainer = object.__new__(kind)
    defaults = {
        "accelerator": Accelerator(),
        "model": HuggingFace(decoder),
        "aux_loss_enabled": False,
        "top_entropy_quantile": 1.0,
        "off_policy_mask_threshold": None,
        "importance_sampling_level": "token",
        "use_vllm": False,
        "vllm_importance_sampling_correction": False,
        "beta": 0.0,
        "epsilon_low": 0.2,
        "epsilon_high": 0.2,
        "current_gradient_accumulation_steps": 1,
        "max_completion_length": LONGEST,
        "_entropy_bonus_enabled": False,
        "args": SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1),
        "_metrics": {"train": defaultdict(list), "eval": defaultdict(list)},
    }
    for name, value in {**defaults, **settings}.items():
        object.__setattr__(trainer, name, value)
    return kind._compute_loss(trainer, trainer.model, inputs)


CASES: dict[str, tuple[Any, bool, dict[str, Any]]] = {
    "grpo": ("grpo", True, {"loss_type": "grpo", "beta": 0.04}),
    "grpo without KL": ({"like": "grpo", "kl": 0.0}, True, {"loss_type": "grpo"}),
    "dr_grpo": ("dr_grpo", False, {"loss_type": "dr_grpo"}),
    "dapo": ({"like": "dapo", "overlong": None}, True, {"loss_type": "dapo", "epsilon_high": 0.28}),
    "dapo with entropy": (
        {"like": "dapo", "overlong": None, "entropy": 0.01},
        True,
        {"loss_type": "dapo", "epsilon_high": 0.28, "_entropy_bonus_enabled": True, "use_adaptive_entropy": False, "entropy_coef": 0.01},
    ),
    "cispo": ("cispo", True, {"loss_type": "cispo", "epsilon_high": 5.0}),
    "cispo that clips": ({"like": "cispo", "clip": [1.0, 0.1]}, True, {"loss_type": "cispo", "epsilon_high": 1.1}),
    "gspo": ("gspo", True, {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon_low": 3e-4, "epsilon_high": 4e-4}),
    "gspo with KL": (
        {"like": "gspo", "clip": [0.1, 0.1], "kl": 0.1},
        True,
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon_low": 0.1, "epsilon_high": 0.1, "beta": 0.1},
    ),
}  # fmt: skip


def gradients(module: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, value in module.named_parameters():
        yield name.removeprefix("decoder."), value.grad


def compare(
    model: Decoder, reference: Decoder, batch: RolloutBatch, algorithm: Any, expected: Tensor, theirs: Decoder
) -> None:
    """Loss to 1e-5, gradient to 1e-5 of its largest entry."""
    expected.backward()
    mine = copy.deepcopy(model)
    mine.zero_grad()
    settings = UpdateSettings(1e-3, LONGEST, max_grad_norm=1e9)
    learner = Learner(mine, Algorithm.parse(algorithm), settings, reference=copy.deepcopy(reference))
    # No step: the gradients stay where the backward pass put them.
    learner.optimizer = torch.optim.SGD(mine.parameters(), lr=0.0)
    stats = learner.update(batch)
    assert stats["loss"] == pytest.approx(expected.item(), abs=1e-5)
    assert stats["grad_norm"] > 1e-3
    for (name, ours), (other, grad) in zip(gradients(mine), gradients(theirs), strict=True):
        assert name == other
        torch.testing.assert_close(ours, grad, atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_equal_trl(model: Decoder, reference: Decoder, batch: RolloutBatch, name: str) -> None:
    from trl import GRPOTrainer

    algorithm, scale, settings = CASES[name]
    theirs = copy.deepcopy(model)
    inputs = trl_inputs(batch, trl_advantages(scale), reference)
    compare(model, reference, batch, algorithm, trl_loss(GRPOTrainer, theirs, inputs, **settings), theirs)


@pytest.mark.parametrize("beta", [0.0, 0.05])
@pytest.mark.parametrize("clipped", [False, True])
def test_rloo_equals_trl(model: Decoder, reference: Decoder, batch: RolloutBatch, beta: float, clipped: bool) -> None:
    from trl import RLOOTrainer

    inputs = trl_inputs(batch, torch.zeros(0), reference)
    # The KL penalty of a completion is part of its reward, then the mean of the others is taken off.
    penalty = ((batch.logprobs[:, PROMPT - 1 :] - inputs["ref_per_token_logps"]) * inputs["completion_mask"]).sum(1)
    rewards = (torch.tensor(REWARDS) - beta * penalty).view(-1, K)
    inputs["advantages"] = (rewards - (rewards.sum(1, keepdim=True) - rewards) / (K - 1)).flatten()
    low, high = (0.2, 0.2) if clipped else (1e9, 1e9)
    algorithm: dict[str, Any] = {"like": "rloo", "kl_in_reward": beta}
    if clipped:
        algorithm |= {"surrogate": "clipped", "clip": [0.2, 0.2]}
    theirs = copy.deepcopy(model)
    expected = trl_loss(RLOOTrainer, theirs, inputs, epsilon_low=low, epsilon_high=high)
    compare(model, reference, batch, algorithm, expected, theirs)


def test_the_batch_has_ratios_that_are_clipped_on_both_sides(model: Decoder, batch: RolloutBatch) -> None:
    with torch.no_grad():
        ratio = ((sequence_logprobs(model, batch.tokens) - batch.logprobs) * batch.mask).exp()
    inside = batch.mask.bool()
    assert (ratio[inside] < 0.8).any()
    assert (ratio[inside] > 1.28).any()
