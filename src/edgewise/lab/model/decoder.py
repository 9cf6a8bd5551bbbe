"""Decoder of the Llama, Qwen2 and Qwen3 families: RoPE, RMSNorm, SwiGLU, grouped-query attention.

Parameter names are Hugging Face's, so that transformers, TRL and vLLM load a checkpoint as it is. Left out: dropout, sliding
windows, mixtures of experts and biases in the MLP.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgewise.errors import ConfigError
from edgewise.lab.model.config import ModelConfig
from edgewise.lab.model.rope import frequencies
from edgewise.lab.model.vision import Vision

ROPE_BLOCK = 4096
"""The table of rotations grows by multiples of this many positions."""

JOINED = 512
"""Projections are joined in models of a smaller hidden size; in larger ones the copies would cost memory and gain nothing."""


class Cache:
    """Keys and values of every layer, allocated once for the longest sequence: (layers, 2, rows, kv heads, time, head).

    In the precision of the weights `like`, or that of autocast: each step reads all of it.
    """

    def __init__(self, config: ModelConfig, rows: int, length: int, like: Tensor):
        shape = (config.num_hidden_layers, 2, rows, config.num_key_value_heads, length, config.head_dim)
        kind = like.device.type
        precision = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else like.dtype
        self.store = like.new_zeros(shape, dtype=precision)
        # Which columns hold real tokens of each row; left padding is False: (rows, time).
        self.valid = torch.ones(rows, length, dtype=torch.bool, device=like.device)

    def spread(self, rows: Tensor, length: int) -> None:
        """Have these rows, in this order and any of them several times, and `length` columns; new ones are empty."""
        layers, kinds, _, heads, own, size = self.store.shape
        store = self.store.new_zeros(layers, kinds, len(rows), heads, length, size)
        for layer, before in zip(store, self.store, strict=True):
            # A layer at a time: a copy of everything would double the memory.
            layer[..., :own, :] = before[:, rows]
        valid = torch.ones(len(rows), length, dtype=torch.bool, device=rows.device)
        valid[:, :own] = self.valid[rows]
        self.store, self.valid = store, valid

    def part(self, first: int, last: int) -> Cache:
        """View of rows first..last - 1; what is written to it is written to this cache."""
        view = object.__new__(Cache)
        view.store, view.valid = self.store[:, :, first:last], self.valid[first:last]
        return view

    def retire(self, going: Tensor, columns: int) -> Tensor:
        """Drop the rows that are not going, bool (rows,), by moving the last ones into their places.

        Only `columns` columns have been written and are moved. Returns which row now stands in each place, (kept,).
        """
        kept = int(going.sum())
        order = torch.arange(kept, device=going.device)
        holes, movers = (~going[:kept]).nonzero()[:, 0], going[kept:].nonzero()[:, 0] + kept
        order[holes] = movers
        self.store[:, :, holes, :, :columns] = self.store[:, :, movers, :, :columns]
        self.store, self.valid = self.store[:, :, :kept], self.valid[order]
        return order


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last dimension."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        # In the precision of the weights, whatever autocast made of x.
        return F.rms_norm(x.to(self.weight.dtype), self.weight.shape, self.weight, self.eps).to(x.dtype)


class Attention(nn.Module):
    """Grouped-query attention; q and k may be normalised head by head (Qwen3)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads, self.kv_heads, self.size = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        bias = config.attention_bias
        self.q_proj = nn.Linear(config.hidden_size, self.heads * self.size, bias=bias)
        self.k_proj = nn.Linear(config.hidden_size, self.kv_heads * self.size, bias=bias)
        self.v_proj = nn.Linear(config.hidden_size, self.kv_heads * self.size, bias=bias)
        self.o_proj = nn.Linear(self.heads * self.size, config.hidden_size, bias=config.output_bias)
        self.normed = config.query_key_norm
        if self.normed:
            self.q_norm = RMSNorm(self.size, config.rms_norm_eps)
            self.k_norm = RMSNorm(self.size, config.rms_norm_eps)

    @property
    def joins(self) -> bool:
        """Whether one product of the joined weights is faster than three; adapters are not part of the weights."""
        return self.q_proj.in_features < JOINED and all(
            type(part) is nn.Linear for part in (self.q_proj, self.k_proj, self.v_proj)
        )

    def joined(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the projections of q, k and v as one: small models are bound by the number of operations."""
        parts = (self.q_proj, self.k_proj, self.v_proj)
        bias = None if self.q_proj.bias is None else torch.cat([part.bias for part in parts])
        return torch.cat([part.weight for part in parts]), bias

    def project(
        self, x: Tensor, rope: tuple[Tensor, Tensor], joined: tuple[Tensor, Tensor | None] | None = None
    ) -> tuple[Tensor, ...]:
        """Query, key (both rotated) and value heads of x (..., hidden): each (..., heads, size).

        `rope` broadcasts against (..., heads, size); `joined` is what `joined()` returned, if it is at hand.
        """
        if joined is None and self.joins:
            joined = self.joined()
        if joined is not None:
            mixed = F.linear(x, *joined)
        else:
            mixed = torch.cat([self.q_proj(x), self.k_proj(x), self.v_proj(x)], -1)
        mixed = mixed.unflatten(-1, (-1, self.size))
        turning = self.heads + self.kv_heads
        if self.normed:
            q, k = self.q_norm(mixed[..., : self.heads, :]), self.k_norm(mixed[..., self.heads : turning, :])
            turned = rotate(torch.cat([q, k], -2), rope)
        else:
            turned = rotate(mixed[..., :turning, :], rope)
        return turned[..., : self.heads, :], turned[..., self.heads :, :], mixed[..., turning:, :]

    def forward(
        self, x: Tensor, rope: tuple[Tensor, Tensor], past: Tensor | None, start: int, mask: Tensor | None
    ) -> Tensor:
        rows, time, _ = x.shape
        q, k, v = (part.transpose(1, 2) for part in self.project(x, rope))
        if past is not None:
            past[0, :, :, start : start + time] = k
            past[1, :, :, start : start + time] = v
            k, v = past[0, :, :, : start + time], past[1, :, :, : start + time]
        out = attend(q, k, v.to(q.dtype), mask)
        return self.o_proj(out.transpose(1, 2).reshape(rows, time, -1))


class MLP(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One block: attention and MLP, each behind its norm and added to its input."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(
        self, x: Tensor, rope: tuple[Tensor, Tensor], past: Tensor | None, start: int, mask: Tensor | None
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rope, past, start, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Backbone(nn.Module):
    """Embeddings, layers and the last norm, under the names of Hugging Face's `model`."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Decoder(nn.Module):
    """The whole model: tokens (rows, time) int64 -> hidden states or logits.

    Example:
        >>> import torch
        >>> from edgewise.lab.model import Decoder, ModelConfig
        >>> model = Decoder(ModelConfig(vocab_size=11, num_hidden_layers=1))
        >>> model(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 11])
    """

    rope: Tensor

    def __init__(self, config: ModelConfig, seed: int | None = 0):
        """Args:
        config: sizes and features.
        seed: seed of the initial weights; None leaves them as torch makes them.
        """
        super().__init__()
        if config.vocab_size < 1:
            raise ConfigError("the model needs a vocab_size")
        self.config = config
        self.model = Backbone(config)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.vision = Vision(config.image_size, config.patch_size, config.hidden_size) if config.image_size else None
        self.register_buffer("rope", torch.empty(2, 0, config.head_dim), persistent=False)
        self.turns(1)
        if seed is not None:
            self._initialise(seed)

    @classmethod
    def empty(cls, config: ModelConfig) -> Decoder:
        """A decoder whose weights have no values yet."""
        with torch.device("meta"):
            model = cls(config, None)
        model.to_empty(device="cpu")
        model.rope = torch.empty(2, 0, config.head_dim)
        model.turns(1)
        return model

    @property
    def parameters_count(self) -> int:
        return sum(p.numel() for p in self.parameters())

    @property
    def head(self) -> Tensor:
        """Weight of the projection to the vocabulary, (vocabulary, hidden)."""
        return self.model.embed_tokens.weight if self.config.tie_word_embeddings else self.lm_head.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (rows, time, vocabulary) of left-aligned tokens (rows, time)."""
        return self.logits(self.hidden(tokens))

    def embed(self, tokens: Tensor, patches: Tensor | None = None) -> Tensor:
        """Embeddings (..., hidden) of tokens (...): what the first layer reads.

        Tokens beyond the vocabulary are patches of pictures: rows of `patches`, by default of the model's gallery.
        """
        if self.vision is None:
            return self.model.embed_tokens(tokens)
        pictured = tokens >= self.config.vocab_size
        if not pictured.any():
            return self.model.embed_tokens(tokens)
        x = self.model.embed_tokens(tokens.masked_fill(pictured, 0))
        seen = self.vision(tokens[pictured] - self.config.vocab_size, patches)
        return x.masked_scatter(pictured[..., None], seen.to(x.dtype))

    def turns(self, length: int) -> Tensor:
        """Cosines and sines of positions 0..length - 1 and above, (2, >= length, head).

        Raises:
            ConfigError: the model has fewer positions.
        """
        if length > self.config.max_position_embeddings:
            raise ConfigError(
                f"a sequence of {length} tokens is longer than the model's {self.config.max_position_embeddings} positions"
            )
        if length > self.rope.shape[1]:
            self._grow_rope(min(self.config.max_position_embeddings, -(-length // ROPE_BLOCK) * ROPE_BLOCK))
        return self.rope

    def hidden(self, tokens: Tensor, cache: Cache | None = None, start: int = 0) -> Tensor:
        """Hidden states (rows, time, hidden) after the last norm.

        Without a cache, attention is causal and rows are left-aligned. With one, the tokens stand in columns start..,
        `cache.valid` says which columns count, and keys and values are kept. RoPE sees relative positions only, so left
        padding changes nothing.
        """
        time = tokens.shape[1]
        turns = self.turns(start + time)[:, start : start + time, None]
        rope = (turns[0], turns[1])
        mask = None
        if cache is not None:
            causal = torch.ones(time, start + time, dtype=torch.bool, device=tokens.device).tril(start)
            own = torch.ones_like(causal).triu(start) & causal
            # Padding attends to itself, or its softmax would be 0/0.
            mask = cache.valid[:, None, None, : start + time] & causal | own
        x = self.embed(tokens)
        for index, layer in enumerate(self.model.layers):
            x = layer(x, rope, None if cache is None else cache.store[index], start, mask)
        return self.model.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (..., vocabulary) of hidden states (..., hidden)."""
        return F.linear(hidden, self.head)

    def _grow_rope(self, length: int) -> None:
        angle = torch.outer(torch.arange(length).float(), frequencies(self.config)).repeat(1, 2)
        self.rope = torch.stack([angle.cos(), angle.sin()]).to(self.rope.device)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif "embed_tokens" in name:
                parameter.normal_(0.0, self.config.initializer_range, generator=generator)
            elif parameter.dim() == 2:
                parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of q (rows, heads, time, size) to k and v (rows, kv heads, keys, size); causal where there is no mask.

    A mask is (rows or 1, 1, time, keys), or what `fold_mask` made of it.
    """
    groups = q.shape[1] // k.shape[1]
    if mask is None:
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    # Query heads that share a key head stand one below the other, so that keys and values are not repeated.
    time = q.shape[2]
    if mask.dim() == 2:
        mask = mask[None, None]
    if mask.shape[2] == time:
        mask = fold_mask(mask, groups)
    folded = q.unflatten(1, (-1, groups)).flatten(2, 3)
    out = F.scaled_dot_product_attention(folded, k, v, attn_mask=mask)
    return out.unflatten(2, (groups, time)).flatten(1, 2)


def fold_mask(mask: Tensor, groups: int) -> Tensor:
    """The mask (rows, 1, time, keys) of `groups` query heads that stand one below the other: (rows, 1, groups * time, keys)."""
    return mask.repeat(1, 1, groups, 1)


def rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """RoPE of x (..., size) by cosines and sines that broadcast against it."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * rope[0] + turned * rope[1]
