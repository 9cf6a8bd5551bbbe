"""One token a step with a KV cache: the decoder's forward pass with fewer, larger operations.

Small models on a CPU are bound by the number of operations, not by arithmetic. For one generation the projections of q, k
and v are joined, and those of gate and up; the arithmetic is the decoder's own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgewise.lab.model.decoder import JOINED, Cache, Decoder, Layer


class Stepper:
    """Advances every row of a cache by one token; holds the joined weights of one policy."""

    def __init__(self, model: Decoder, cache: Cache):
        self.model, self.cache = model, cache
        self.turns = model.turns(cache.valid.shape[1])
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
        rope = (self.turns[0, column], self.turns[1, column])
        blocked = self.blocked[..., : column + 1]
        size, kv_heads = config.head_dim, config.num_key_value_heads
        rows = len(tokens)
        x = self.model.embed(tokens)
        for joined, store in zip(self.layers, self.cache.store, strict=True):
            layer = joined.layer
            q, k, v = layer.self_attn.project(layer.input_layernorm(x), rope, joined.qkv)
            store[0, :, :, column], store[1, :, :, column] = k, v
            # Query heads that share a key head are the rows of one small matrix product.
            query = q.reshape(rows, kv_heads, -1, size) * size**-0.5
            scores = query @ store[0, :, :, : column + 1].transpose(2, 3)
            mixed = (scores + blocked).softmax(-1) @ store[1, :, :, : column + 1]
            x = x + layer.self_attn.o_proj(mixed.view(rows, -1))
            x = x + joined.mlp(layer.post_attention_layernorm(x))
        return self.model.model.norm(x)


class _Joined:
    def __init__(self, layer: Layer):
        self.layer = layer
        self.qkv = self.gate_up = None
        mlp = layer.mlp
        if layer.self_attn.joins:
            self.qkv = layer.self_attn.joined()
        if mlp.gate_proj.in_features < JOINED and type(mlp.gate_proj) is type(mlp.up_proj) is nn.Linear:
            self.gate_up = torch.cat([layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight])

    def mlp(self, x: Tensor) -> Tensor:
        if self.gate_up is None:
            return self.layer.mlp(x)
        gate, up = F.linear(x, self.gate_up).chunk(2, -1)
        return self.layer.mlp.down_proj(F.silu(gate) * up)
