"""Value functions over the tokens of a completion."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from edgewise.lab.model.decoder import Decoder


class ValueModel(nn.Module):
    """V(s_t) of every prefix of a sequence: a linear head, on the policy's hidden states or on a network of its own.

    Args:
        policy: the decoder whose states are read ("head"), or whose weights the critic's network begins with ("own").
        network: "head" or "own".
    """

    def __init__(self, policy: Decoder, network: Literal["head", "own"]):
        super().__init__()
        self.body = copy.deepcopy(policy) if network == "own" else None
        weight = policy.model.embed_tokens.weight
        self.head = nn.Linear(policy.config.hidden_size, 1, device=weight.device)
        with torch.no_grad():
            # Values of 0 at the start: the first advantages are returns.
            self.head.weight.zero_()
            self.head.bias.zero_()

    def forward(self, hidden: Tensor) -> Tensor:
        """Values (...) of hidden states (..., hidden): the policy's, or those of `body` where there is one."""
        # A value and its advantage are differences of returns: not in autocast's eight bits.
        with torch.autocast(hidden.device.type, enabled=False):
            return self.head(hidden.float())[..., 0]
