"""A decoder in the Qwen2 architecture: RoPE, RMSNorm, SwiGLU, grouped-query attention, tied embeddings.

Parameter names and config.json are Hugging Face's, so that transformers, TRL and vLLM load a checkpoint as it is. Left
out: dropout, sliding windows and untied embeddings, which the small models of the laboratory never use.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgewise.errors import ConfigError


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the decoder, in Hugging Face's words."""

    vocab_size: int = 0
    """Words known; 0: as many as the task's vocabulary has."""
    hidden_size: int = 64
    intermediate_size: int = 192
    num_hidden_layers: int = 3
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    max_position_embeddings: int = 128
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-6
    initializer_range: float = 0.1
    """Standard deviation of the embeddings at the start; 0.02 does not learn at these sizes."""

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads or (self.hidden_size // self.num_attention_heads) % 2:
            raise ConfigError(
                f"hidden_size {self.hidden_size} must be an even multiple of num_attention_heads {self.num_attention_heads}"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ConfigError(
                f"num_attention_heads {self.num_attention_heads} must be a multiple of"
                f" num_key_value_heads {self.num_key_value_heads}"
            )

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    def to_hugging_face(self, eos: int, pad: int) -> dict[str, Any]:
        """The content of config.json."""
        return {
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            **asdict(self),
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "use_sliding_window": False,
            "attention_dropout": 0.0,
            "bos_token_id": None,
            "eos_token_id": eos,
            "pad_token_id": pad,
            "dtype": "float32",
        }

    @classmethod
    def from_hugging_face(cls, config: dict[str, Any]) -> ModelConfig:
        if config.get("model_type") != "qwen2" or not config.get("tie_word_embeddings", False):
            raise ConfigError(
                f"the laboratory reads Qwen2 checkpoints with tied embeddings, this one is '{config.get('model_type')}'"
            )
        fields = {name: config[name] for name in cls.__dataclass_fields__ if name in config}
        rope = config.get("rope_parameters") or {}
        fields["rope_theta"] = rope.get("rope_theta", fields.get("rope_theta", 10000.0))
        return cls(**fields)


class Cache:
    """Keys and values of every layer, allocated once for the longest sequence: (layers, 2, rows, kv heads, time, head)."""

    def __init__(self, config: ModelConfig, rows: int, length: int, like: Tensor):
        shape = (config.num_hidden_layers, 2, rows, config.num_key_value_heads, length, config.head_dim)
        self.store = like.new_zeros(shape)
        # Which columns hold real tokens of each row; left padding is False: (rows, time).
        self.valid = torch.ones(rows, length, dtype=torch.bool, device=like.device)

    def keep(self, rows: Tensor) -> None:
        """Keep these rows, in this order; a row may be kept several times."""
        self.store = self.store[:, :, rows]
        self.valid = self.valid[rows]

    def part(self, first: int, last: int) -> Cache:
        """Rows first..last - 1 as a cache of their own; what is written there is written here."""
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
    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads, self.kv_heads, self.size = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        self.q_proj = nn.Linear(config.hidden_size, self.heads * self.size)
        self.k_proj = nn.Linear(config.hidden_size, self.kv_heads * self.size)
        self.v_proj = nn.Linear(config.hidden_size, self.kv_heads * self.size)
        self.o_proj = nn.Linear(self.heads * self.size, config.hidden_size, bias=False)

    def forward(
        self, x: Tensor, rope: tuple[Tensor, Tensor], past: Tensor | None, start: int, mask: Tensor | None
    ) -> Tensor:
        rows, time, _ = x.shape
        q = rotate(self.q_proj(x).view(rows, time, self.heads, self.size).transpose(1, 2), rope)
        k = rotate(self.k_proj(x).view(rows, time, self.kv_heads, self.size).transpose(1, 2), rope)
        v = self.v_proj(x).view(rows, time, self.kv_heads, self.size).transpose(1, 2)
        if past is not None:
            past[0, :, :, start : start + time] = k
            past[1, :, :, start : start + time] = v
            k, v = past[0, :, :, : start + time], past[1, :, :, : start + time]
        groups = self.heads // self.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.o_proj(out.transpose(1, 2).reshape(rows, time, -1))


class MLP(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
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
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Decoder(nn.Module):
    """The whole model: tokens (rows, time) int64 -> hidden states or logits."""

    rope: Tensor

    def __init__(self, config: ModelConfig, seed: int = 0):
        super().__init__()
        if config.vocab_size < 1:
            raise ConfigError("the model needs a vocab_size")
        self.config = config
        self.model = Backbone(config)
        angle = config.rope_theta ** (-torch.arange(0, config.head_dim, 2) / config.head_dim)
        angle = torch.outer(torch.arange(config.max_position_embeddings).float(), angle).repeat(1, 2)
        self.register_buffer("rope", torch.stack([angle.cos(), angle.sin()]), persistent=False)
        self._initialise(seed)

    @property
    def parameters_count(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (rows, time, vocabulary) of left-aligned tokens (rows, time)."""
        return self.logits(self.hidden(tokens))

    def hidden(self, tokens: Tensor, cache: Cache | None = None, start: int = 0) -> Tensor:
        """Hidden states (rows, time, hidden) after the last norm.

        Without a cache, attention is causal and rows are left-aligned. With one, the tokens stand in columns start..,
        `cache.valid` says which columns count, and keys and values are kept. RoPE sees relative positions only, so left
        padding changes nothing.
        """
        time = tokens.shape[1]
        if start + time > self.config.max_position_embeddings:
            raise ConfigError(
                f"a sequence of {start + time} tokens is longer than the model's {self.config.max_position_embeddings}"
            )
        rope = (self.rope[0, start : start + time], self.rope[1, start : start + time])
        mask = None
        if cache is not None:
            causal = torch.ones(time, start + time, dtype=torch.bool, device=tokens.device).tril(start)
            own = torch.ones_like(causal).triu(start) & causal
            # Padding looks at itself, or its softmax would be 0/0.
            mask = cache.valid[:, None, None, : start + time] & causal | own
        x = self.model.embed_tokens(tokens)
        for index, layer in enumerate(self.model.layers):
            x = layer(x, rope, None if cache is None else cache.store[index], start, mask)
        return self.model.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.model.embed_tokens.weight)

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


def rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * rope[0] + turned * rope[1]
