"""Log-probabilities, values and entropies of the written tokens of a batch, under a policy and a critic.

Sequences are computed side by side, or by groups with each prompt once (`lab.model.groups`); the results are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from edgewise.lab.model.decoder import Decoder
from edgewise.lab.model.groups import GroupPack, hidden_states
from edgewise.lab.model.vocabulary import token_logprobs
from edgewise.lab.rl import losses
from edgewise.lab.rl.critic import ValueModel
from edgewise.lab.rl.shares import totals


@dataclass(frozen=True)
class Output:
    """Of each written token: log-probability (n, t - 1), 0 elsewhere; value (n, t - 1), 0 elsewhere if computed by groups;
    entropy on demand."""

    logprobs: Tensor
    values: Tensor | None
    entropy: Callable[[], Tensor]


@dataclass(frozen=True)
class Forward:
    """Form of a forward pass.

    Attributes:
        temperature: of the sampling distribution.
        grouped: whether a prompt is computed once for its whole group.
        recompute: activation checkpointing of groups.
    """

    temperature: float = 1.0
    grouped: bool = False
    recompute: bool = False

    def output(
        self, model: Decoder, tokens: Tensor, mask: Tensor, group: Tensor, critic: ValueModel | None = None
    ) -> Output:
        """Log-probabilities under a model, and values, of tokens (n, t) at the places of a mask (n, t - 1)."""
        if not self.grouped:
            hidden = model.hidden(tokens[:, :-1])
            scores = model.logits(hidden) / self.temperature
            # Patches of pictures are no words; their places are in the prompt and count nowhere.
            targets = tokens[:, 1:].clamp_max(model.config.vocab_size - 1)
            nats = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none").view(len(tokens), -1)
            values = (
                None
                if critic is None
                else critic(hidden if critic.body is None else critic.body.hidden(tokens[:, :-1]))
            )
            # Prompts and padding can be so unlikely that exp(-log p) of a loss overflows, and inf * 0 of its mask is NaN.
            return Output((-nats).masked_fill(mask == 0, 0.0), values, lambda: losses.entropy(scores))
        pack = _packed(tokens, mask, group)
        states = model.model.norm(hidden_states(model, pack, self.recompute))
        logprobs, entropies = token_logprobs(states, model.head, pack.places, pack.targets, self.temperature)
        values = None
        if critic is not None:
            own = states if critic.body is None else critic.body.model.norm(hidden_states(critic.body, pack))
            values = _spread(critic(own)[pack.places], mask)
        return Output(_spread(logprobs, mask), values, lambda: _spread(entropies, mask))

    def values(self, policy: Decoder, critic: ValueModel, tokens: Tensor, mask: Tensor, group: Tensor) -> Tensor:
        """Values (n, t - 1) alone: no logits, and the policy is computed only where the critic reads its states."""
        body = policy if critic.body is None else critic.body
        if not self.grouped:
            values: Tensor = critic(body.hidden(tokens[:, :-1]))
            return values
        pack = _packed(tokens, mask, group)
        return _spread(critic(body.model.norm(hidden_states(body, pack)))[pack.places], mask)


def _spread(values: Tensor, mask: Tensor) -> Tensor:
    return torch.zeros_like(mask).masked_scatter(mask.bool(), values)


def _packed(tokens: Tensor, mask: Tensor, group: Tensor) -> GroupPack:
    """Rows as groups that share their prompt; the rows of a group stand together."""
    begins = (mask.argmax(1) + 1).tolist()
    ends = totals(mask).tolist()
    rows, names = tokens.tolist(), group.tolist()
    prompts: list[list[int]] = []
    completions: list[list[list[int]]] = []
    for index, (row, begin, end) in enumerate(zip(rows, begins, ends, strict=True)):
        if not index or names[index] != names[index - 1]:
            prompts.append(row[:begin])
            completions.append([])
        completions[-1].append(row[begin:end])
    return GroupPack.of(prompts, completions).to(tokens.device)
