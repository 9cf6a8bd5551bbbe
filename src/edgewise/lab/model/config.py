"""Sizes and features of a decoder, and their translation from and to Hugging Face's config.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgewise.errors import ConfigError
from edgewise.lab.model.rope import check_positive, check_scaling

FAMILIES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
"""Model types that are read, and the classes of transformers that read what is written."""

LARGEST = {"num_hidden_layers": 10_000, "width": 2**24}
"""Of a model's layers, and of each of its other sizes: a damaged file must not ask for the memory of more."""

OPEN = ("vocab_size", "head_dim", "image_size", "patch_size")
"""Sizes that may be 0: they follow from others, or the model reads no pictures."""
NEEDED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
)
"""Sizes that a config.json must have: the defaults here are those of a fresh model."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and features of the decoder, in Hugging Face's words."""

    vocab_size: int = 0
    """Number of tokens; 0: as many as the task's vocabulary has."""
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
    head_dim: int = 0
    """Size of one attention head, even; 0: hidden_size / num_attention_heads."""
    rope_scaling: dict[str, Any] | None = None
    """Scaling of the rotary embedding for long contexts: `rope_type` "linear" or "llama3" with its numbers."""
    attention_bias: bool = True
    """Biases on the projections of q, k and v (Qwen2)."""
    output_bias: bool = False
    """Bias on the output projection of the attention (Llama with biases)."""
    query_key_norm: bool = False
    """RMSNorm on every head of q and k (Qwen3)."""
    tie_word_embeddings: bool = True
    image_size: int = 0
    """Pixels of a side of the pictures that the model reads; 0: it reads none."""
    patch_size: int = 0
    """Pixels of a side of a patch of a picture, which is one token."""

    def __post_init__(self) -> None:
        sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
        for name in (*sizes, "max_position_embeddings", *OPEN):
            value, most = getattr(self, name), LARGEST["num_hidden_layers" if name == "num_hidden_layers" else "width"]
            least = 0 if name in OPEN else 1
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ConfigError(f"{name} must be a whole number from {least} to {most}, got {value!r:.80}")
        for name in ("rope_theta", "rms_norm_eps"):
            check_positive(name, getattr(self, name))
        if self.initializer_range:
            check_positive("initializer_range", self.initializer_range)
        if not self.head_dim:
            if self.hidden_size % self.num_attention_heads or (self.hidden_size // self.num_attention_heads) % 2:
                raise ConfigError(
                    f"hidden_size {self.hidden_size} must be an even multiple of"
                    f" num_attention_heads {self.num_attention_heads}"
                )
            object.__setattr__(self, "head_dim", self.hidden_size // self.num_attention_heads)
        if self.head_dim < 2 or self.head_dim % 2:
            raise ConfigError(f"head_dim must be an even number of at least 2, got {self.head_dim}")
        if self.num_attention_heads % self.num_key_value_heads:
            raise ConfigError(
                f"num_attention_heads {self.num_attention_heads} must be a multiple of"
                f" num_key_value_heads {self.num_key_value_heads}"
            )
        if self.output_bias and not self.attention_bias:
            raise ConfigError(
                "output_bias needs attention_bias: no model type has a bias on the output projection of the attention alone"
            )
        if self.image_size and (self.patch_size < 1 or self.image_size % self.patch_size):
            raise ConfigError(f"image_size {self.image_size} must be a multiple of patch_size, got {self.patch_size}")
        if self.rope_scaling is not None:
            check_scaling(self.rope_scaling)

    @property
    def family(self) -> str:
        """The narrowest of `FAMILIES` that has these features."""
        if self.query_key_norm:
            return "qwen3"
        return "qwen2" if self.attention_bias and not self.output_bias else "llama"

    def to_hugging_face(
        self, ends: Sequence[int], pad: int, family: str = "", bos: int | None = None
    ) -> dict[str, Any]:
        """The content of config.json for a model type of `FAMILIES`, `self.family` by default.

        "llama" and "qwen3" have biases on all four projections of the attention or on none: where a model has them on
        q, k and v alone, the weights are to be completed by zeros (`checkpoints.write_model`).
        """
        family = family or self.family
        sizes = asdict(self)
        biases = {name: sizes.pop(name) for name in ("attention_bias", "output_bias", "query_key_norm")}
        scaling = sizes.pop("rope_scaling")
        if not self.image_size:
            del sizes["image_size"], sizes["patch_size"]
        if family != "qwen2":
            sizes["attention_bias"] = biases["attention_bias"] or biases["output_bias"]
        return {
            "architectures": [FAMILIES[family]],
            "model_type": family,
            **sizes,
            "rope_parameters": {"rope_type": "default", **(scaling or {}), "rope_theta": self.rope_theta},
            # Read by versions of transformers before 5.
            "rope_scaling": scaling,
            "hidden_act": "silu",
            **({"mlp_bias": False} if family == "llama" else {"use_sliding_window": False}),
            "attention_dropout": 0.0,
            "bos_token_id": bos,
            "eos_token_id": ends[0] if len(ends) == 1 else list(ends),
            "pad_token_id": pad,
            "dtype": "float32",
        }

    @classmethod
    def from_hugging_face(cls, config: dict[str, Any]) -> ModelConfig:
        """The sizes and features in the content of a config.json.

        Raises:
            ConfigError: the model type or one of its features is not read.
        """
        family = config.get("model_type")
        if not isinstance(family, str) or family not in FAMILIES:
            raise ConfigError(f"models of type '{family}' are not read; those read are {', '.join(FAMILIES)}")
        try:
            _refuse_unread(config)
            return cls(**cls._read(config, family))
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            raise ConfigError(f"config.json holds a value of the wrong kind: {error}") from error

    @classmethod
    def _read(cls, config: dict[str, Any], family: str) -> dict[str, Any]:
        rope = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
        # null stands for a setting that is absent, here as everywhere in the file.
        rope = {name: value for name, value in rope.items() if value is not None}
        theta = rope.pop("rope_theta", 10000.0 if config.get("rope_theta") is None else config["rope_theta"])
        kind = rope.pop("rope_type", rope.pop("type", "default"))
        fields = {name: config[name] for name in cls.__dataclass_fields__ if config.get(name) is not None}
        if missing := [name for name in NEEDED if name not in fields]:
            raise ConfigError(f"config.json lacks {', '.join(missing)}")
        bias = family == "qwen2" or bool(config.get("attention_bias", False))
        heads = fields.get("num_attention_heads", cls.num_attention_heads)
        return fields | {
            "num_key_value_heads": fields.get("num_key_value_heads", heads),
            "rope_theta": float(theta),
            "rope_scaling": None if kind == "default" else {"rope_type": kind, **rope},
            "attention_bias": bias,
            "output_bias": bias and family != "qwen2",
            "query_key_norm": family == "qwen3",
            # transformers leaves default values out of the file: 128 is Qwen3's head size, whatever its hidden size.
            "head_dim": fields.get("head_dim", 128 if family == "qwen3" else 0),
            "tie_word_embeddings": bool(config.get("tie_word_embeddings", False)),
        }


def _refuse_unread(config: dict[str, Any]) -> None:
    activation = config.get("hidden_act", "silu")
    if activation != "silu":
        raise ConfigError(f"the activation must be silu, config.json says '{activation}'")
    if config.get("quantization_config"):
        raise ConfigError(
            "quantised weights are read from GGUF files only (config.json has a quantization_config);"
            " import the model that was quantised, or its GGUF file"
        )
    if any(isinstance(value, dict) for value in (config.get("rope_parameters") or {}).values()):
        raise ConfigError(
            "rotary embeddings that differ by the type of layer are not read (rope_parameters in config.json)"
        )
    if config.get("mlp_bias"):
        raise ConfigError("biases in the MLP are not read (mlp_bias in config.json)")
    layers = config.get("layer_types") or []
    if config.get("use_sliding_window") or any(kind != "full_attention" for kind in layers):
        raise ConfigError("sliding windows are not read (use_sliding_window or layer_types in config.json)")
    if config.get("pretraining_tp", 1) not in (None, 1):
        raise ConfigError("models split by pretraining_tp are not read")
