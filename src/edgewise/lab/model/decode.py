"""One token a step with a KV cache: the decoder's forward pass with fewer, larger operations.

Small models are bound by the number of operations, not by arithmetic. On a CPU, for one generation the projections of q, k
and v are joined, and those of gate and up; on a GPU a step is recorded once as a CUDA graph and played again for each token.
The arithmetic is the decoder's own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgewise.lab.model.decoder import JOINED, Cache, Decoder, Layer

GRAPH_TOKENS = 32
"""New tokens from which the recording of a graph, which takes as long as a few steps, pays."""
RETIRE, RETIRE_GRAPH = 0.9, 0.5
"""Finished rows are dropped when at most this share is still being written; a graph must be recorded anew then."""


class Stepper:
    """Advances every row of a cache by one token; holds the joined weights of one policy."""

    share = RETIRE
    """Rows are retired when at most this share is still being written."""

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

        def write(place: Tensor, part: Tensor) -> None:
            place[:, :, column] = part

        rope = (self.turns[0, column], self.turns[1, column])
        return self._hidden(tokens, rope, self.blocked[..., : column + 1], write)

    def _hidden(
        self,
        tokens: Tensor,
        rope: tuple[Tensor, Tensor],
        blocked: Tensor,
        write: Callable[[Tensor, Tensor], None],
    ) -> Tensor:
        """Through all layers; `blocked` has the columns that are seen, and `write` puts a key or value into the cache."""
        config, rows, seen = self.model.config, len(tokens), blocked.shape[-1]
        size, kv_heads = config.head_dim, config.num_key_value_heads
        x = self.model.embed(tokens)
        for joined, store in zip(self.layers, self.cache.store, strict=True):
            layer = joined.layer
            q, k, v = layer.self_attn.project(layer.input_layernorm(x), rope, joined.qkv)
            write(store[0], k)
            write(store[1], v)
            # Query heads that share a key head are the rows of one small matrix product.
            query = q.reshape(rows, kv_heads, -1, size) * size**-0.5
            scores = query @ store[0, :, :, :seen].transpose(2, 3)
            mixed = (scores + blocked).softmax(-1) @ store[1, :, :, :seen]
            x = x + layer.self_attn.o_proj(mixed.view(rows, -1))
            x = x + joined.mlp(layer.post_attention_layernorm(x))
        return self.model.model.norm(x)


class GraphStepper(Stepper):
    """The same with shapes that do not depend on the column: one recording serves every step until rows are retired.

    Attention sees the whole length of the cache, and columns that are not written yet are blocked. On a CPU, where there are
    no graphs, each step is computed anew.
    """

    share = RETIRE_GRAPH

    def __init__(self, model: Decoder, cache: Cache):
        super().__init__(model, cache)
        # What a recorded step reads and gives.
        self.tokens: Tensor | None = None
        self.column = self.hidden = torch.empty(0)
        self.graph: torch.cuda.CUDAGraph | None = None

    def retire(self, going: Tensor, columns: int) -> Tensor:
        self.tokens = self.graph = None
        return super().retire(going, columns)

    def step(self, tokens: Tensor, column: int) -> Tensor:
        if self.tokens is None:
            self.tokens, self.column = tokens.clone(), torch.full((1,), column, device=tokens.device)
            self.blocked[..., column:] = float("-inf")
            if tokens.is_cuda:
                self._record(self.tokens)
        self.tokens.copy_(tokens)
        self.column.fill_(column)
        if self.graph is None:
            return self._compute(self.tokens)
        self.graph.replay()
        # The next replay writes to the same memory, but only after the caller has sampled from it.
        return self.hidden

    def _record(self, tokens: Tensor) -> None:
        # Once without recording: it loads kernels, and fills the cache of autocast. What it writes is written again.
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            self._compute(tokens)
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.hidden = self._compute(tokens)

    def _compute(self, tokens: Tensor) -> Tensor:
        def write(place: Tensor, part: Tensor) -> None:
            place.index_copy_(2, self.column, part[:, :, None].to(place.dtype))

        self.blocked.index_fill_(3, self.column, 0.0)
        rope = (self.turns[0].index_select(0, self.column), self.turns[1].index_select(0, self.column))
        return self._hidden(tokens, rope, self.blocked, write)


def make_stepper(model: Decoder, cache: Cache, new_tokens: int) -> Stepper:
    """The stepper for a generation of so many tokens on the cache's device."""
    # Where a model reads pictures, embedding a token looks at its value, which a graph cannot.
    if cache.store.is_cuda and new_tokens >= GRAPH_TOKENS and model.vision is None:
        return GraphStepper(model, cache)
    return Stepper(model, cache)


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
