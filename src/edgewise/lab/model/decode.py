"""One token a step with a KV cache: the decoder's forward pass with fewer, larger operations.

Small models on a CPU are bound by the number of operations, not by arithmetic. For one generation the projections of q, k
and v are joined, and those of gate and up; the arithmetic is the decoder's own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgewise.lab.model.decoder import Cache, Decoder, Layer, rotate


class Stepper:
    """Advances every row of a cache by one token; holds the joined weights of one policy."""

    def __init__(self, model: Decoder, cache: Cache):
        self.model, self.cache = model, cache
        self.layers = [_Joined(layer) for layer in model.model.layers if isinstance(layer, Layer)]
        # Added to the scores: -inf where a column is left padding, (rows, 1, 1, time).
        self.blocked = torch.zeros(cache.valid.shape, device=cache.valid.device)
        self.blocked.masked_fill_(~cache.valid, float("-inf"))
        self.blocked = self.blocked[:, None, None]

    def retire(self, going: Tensor, columns: int) -> Tensor:
        """Drop finished rows; returns which row now stands in each place."""
        order = self.cache.retire(going, columns)
        self.blocked = self.blocked[order]
        return order

    def step(self, tokens: Tensor, column: int) -> Tensor:
        """Hidden states (rows, hidden) of one token a row, (rows,), that stands in `column` of the cache."""
        config = self.model.config
        rope = (self.model.rope[0, column], self.model.rope[1, column])
        blocked = self.blocked[..., : column + 1]
        size, heads, kv_heads = config.head_dim, config.num_attention_heads, config.num_key_value_heads
        rows = len(tokens)
        x = self.model.model.embed_tokens(tokens)
        for joined, store in zip(self.layers, self.cache.store, strict=True):
            layer = joined.layer
            mixed = F.linear(layer.input_layernorm(x), joined.qkv, joined.bias).view(rows, -1, size)
            turned = rotate(mixed[:, : heads + kv_heads], rope)
            store[0, :, :, column] = turned[:, heads:]
            store[1, :, :, column] = mixed[:, heads + kv_heads :]
            # Query heads that share a key head are the rows of one small matrix product.
            query = turned[:, :heads].reshape(rows, kv_heads, -1, size) * size**-0.5
            scores = query @ store[0, :, :, : column + 1].transpose(2, 3)
            heard = (scores + blocked).softmax(-1) @ store[1, :, :, : column + 1]
            x = x + layer.self_attn.o_proj(heard.view(rows, -1))
            gate, up = F.linear(layer.post_attention_layernorm(x), joined.gate_up).chunk(2, -1)
            x = x + layer.mlp.down_proj(F.silu(gate) * up)
        return self.model.model.norm(x)


class _Joined:
    def __init__(self, layer: Layer):
        attention = layer.self_attn
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        self.layer = layer
        self.qkv = torch.cat([part.weight for part in parts])
        self.bias = torch.cat([part.bias for part in parts])
        self.gate_up = torch.cat([layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight])
