"""GGUF files of the Llama, Qwen2 and Qwen3 families: de-quantised weights, sizes and tokenizer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Core
from torch import Tensor

from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.lab.model.config import FAMILIES, ModelConfig
from edgewise.lab.model.decoder import Decoder
from edgewise.lab.model.hugging_face import fill
from edgewise.lab.model.rope import frequencies
from edgewise.lab.model.tokenizer import QWEN2_PIECES, Tokenizer

NEEDED = "reading a GGUF file needs the package gguf: pip install 'edgewise[models]'"
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
TURN_ENDS = ("<|eot_id|>", "<|im_end|>")
"""Ends of a turn of Llama 3, and of Qwen and SmolLM2."""
ROPE_FACTORS = "rope_freqs.weight"
LLAMA3 = {
    "rope_type": "llama3",
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
LLAMA3_PIECES = QWEN2_PIECES.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
CONTROL, USER_DEFINED = 3, 4


def read_gguf(path: Path) -> tuple[Decoder, Tokenizer]:
    """The decoder, in float32, and the tokenizer of a GGUF file.

    Raises:
        CheckpointError: the file is damaged or holds NaN.
        ConfigError: the package `gguf` is missing, or the architecture or the tokenizer is not read.
    """
    try:
        import gguf
    except ModuleNotFoundError as error:
        raise ConfigError(NEEDED) from error
    try:
        return _read(path, gguf)
    except EdgewiseError:
        raise
    except Exception as error:  # the reader, and those of its parts, raise whatever parsing the bytes comes to
        raise CheckpointError(f"{path} is not a readable GGUF file: {error}") from error


def _read(path: Path, gguf: Any) -> tuple[Decoder, Tokenizer]:
    reader = gguf.GGUFReader(path)
    facts = {name: field.contents() for name, field in reader.fields.items() if not _is_list(field)}

    def table(name: str) -> list[Any]:
        field = reader.fields.get(name)
        if field is None:
            raise ConfigError(f"{path} holds no {name}")
        return field.contents()

    tokenizer = _tokenizer(facts, table)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    config = _config(facts, stored, len(tokenizer))

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, tensor in stored.items():
            if name == ROPE_FACTORS:
                continue
            values = torch.from_numpy(np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), np.float32))
            yield _translate(name, path), _unpermute(name, values, config, facts["general.architecture"])

    model = fill(_with_rope(config, stored, gguf), tensors(), str(path))
    return model, tokenizer


def _config(facts: dict[str, Any], stored: dict[str, Any], vocabulary: int) -> ModelConfig:
    family = facts.get("general.architecture")
    if family not in FAMILIES:
        raise ConfigError(f"models of type '{family}' are not read; those read are {', '.join(FAMILIES)}")

    def fact(name: str, default: Any = None) -> Any:
        value = facts.get(f"{family}.{name}", default)
        if value is None:
            raise ConfigError(f"the GGUF file holds no {family}.{name}")
        return value

    scaling = facts.get(f"{family}.rope.scaling.type", "none")
    if scaling not in ("none", "linear"):
        raise ConfigError(f"rope scaling '{scaling}' of a GGUF file is not read")
    heads = int(fact("attention.head_count"))
    width = int(fact("embedding_length"))
    size = int(fact("attention.key_length", width // heads))
    usual = dict.fromkeys(("logit_scale", "residual_scale", "embedding_scale"), 1.0)
    usual |= {"rope.dimension_count": size, "attention.scale": size**-0.5, "attention.sliding_window": 0}
    for name, value in usual.items():
        given = fact(name, value)
        # 0 stands for none.
        if given and not math.isclose(given, value, rel_tol=1e-4):
            raise ConfigError(f"{family}.{name} {given} of a GGUF file is not read, which the model was trained with")
    return ModelConfig(
        vocab_size=int(stored["token_embd.weight"].shape[1]) if "token_embd.weight" in stored else vocabulary,
        hidden_size=width,
        intermediate_size=int(fact("feed_forward_length")),
        num_hidden_layers=int(fact("block_count")),
        num_attention_heads=heads,
        num_key_value_heads=int(fact("attention.head_count_kv", heads)),
        head_dim=size,
        max_position_embeddings=int(fact("context_length")),
        rope_theta=float(fact("rope.freq_base", 10000.0)),
        rope_scaling=None
        if scaling == "none"
        else {"rope_type": "linear", "factor": float(fact("rope.scaling.factor"))},
        rms_norm_eps=float(fact("attention.layer_norm_rms_epsilon")),
        attention_bias="blk.0.attn_q.bias" in stored,
        output_bias="blk.0.attn_output.bias" in stored,
        query_key_norm="blk.0.attn_q_norm.weight" in stored,
        tie_word_embeddings="output.weight" not in stored,
    )


def _with_rope(config: ModelConfig, stored: dict[str, Any], gguf: Any) -> ModelConfig:
    """With the scaling of Llama 3, which a GGUF file holds as one factor for each frequency."""
    if ROPE_FACTORS not in stored:
        return config
    tensor = stored[ROPE_FACTORS]
    factors = torch.from_numpy(np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), np.float32))
    scaled = replace(config, rope_scaling={**LLAMA3, "factor": float(factors.max())})
    if not torch.allclose(frequencies(config) / factors, frequencies(scaled), rtol=1e-4, atol=0.0):
        raise ConfigError("the rope scaling of the GGUF file is not that of Llama 3, which alone is read")
    return scaled


def _translate(name: str, path: Path) -> str:
    """Hugging Face's name of a tensor."""
    if name in WHOLE:
        return WHOLE[name]
    block, number, part, kind = [*name.split("."), "", "", ""][:4]
    if block != "blk" or part not in LAYER:
        raise ConfigError(f"{path} holds the tensor {name}, which the models that are read do not have")
    return f"model.layers.{number}.{LAYER[part]}.{kind}"


def _unpermute(name: str, values: Tensor, config: ModelConfig, family: str) -> Tensor:
    """Rows of q and k in Hugging Face's order; for Llama, a GGUF file has the two halves of each head interleaved."""
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name.split(".")[-2], 0)
    if family != "llama" or not heads:
        return values
    return values.unflatten(0, (heads, config.head_dim // 2, 2)).transpose(1, 2).reshape(values.shape)


def _tokenizer(facts: dict[str, Any], table: Any) -> Tokenizer:
    kind, pieces = facts.get("tokenizer.ggml.model"), facts.get("tokenizer.ggml.pre", "default")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    known: dict[str, list[Any]] = {
        "smollm": [pre_tokenizers.Digits(individual_digits=True), byte_level],
        "gpt-2": [byte_level],
        "qwen2": _split(QWEN2_PIECES),
        "deepseek-r1-qwen": _split(QWEN2_PIECES),
        "llama-bpe": _split(LLAMA3_PIECES),
    }
    if kind != "gpt2" or pieces not in known:
        raise ConfigError(
            f"tokenizers of kind '{kind}' with pieces '{pieces}' are not read from GGUF files;"
            f" those read are gpt2 with {', '.join(known)}; use the model's Hugging Face folder"
        )
    tokens, types = table("tokenizer.ggml.tokens"), table("tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ", 1)) for merge in table("tokenizer.ggml.merges")]
    words = {token: index for index, token in enumerate(tokens)}
    core = Core(models.BPE(vocab=words, merges=merges, ignore_merges=pieces == "llama-bpe"))
    if "qwen" in pieces:
        core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(known[pieces])
    core.decoder = decoders.ByteLevel()
    kinds = zip(tokens, types, strict=True)
    core.add_tokens(
        [AddedToken(t, normalized=False, special=k == CONTROL) for t, k in kinds if k in (CONTROL, USER_DEFINED)]
    )
    named = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    settings: dict[str, Any] = {
        name: tokens[facts[f"tokenizer.ggml.{key}_token_id"]]
        for name, key in named.items()
        if f"tokenizer.ggml.{key}_token_id" in facts
    }
    # llama.cpp begins a text of Llama 3 with its token where the file says nothing, and converters leave the key out.
    if facts.get("tokenizer.ggml.add_bos_token", pieces == "llama-bpe") and "bos_token" in settings:
        bos = settings["bos_token"]
        core.post_processor = processors.Sequence(
            [
                processors.ByteLevel(trim_offsets=False),
                processors.TemplateProcessing(f"{bos} $A", f"{bos} $A {bos} $B", [(bos, words[bos])]),
            ]
        )
    if isinstance(facts.get("tokenizer.chat_template"), str):
        settings["chat_template"] = facts["tokenizer.chat_template"]
    ends = [
        facts[f"tokenizer.ggml.{key}_token_id"]
        for key in ("eos", "eot", "eom")
        if f"tokenizer.ggml.{key}_token_id" in facts
    ]
    # Files of chat models may name the end of a text alone, as early ones of Llama 3 do: answers end with the turn.
    ends += [words[token] for token in TURN_ENDS if token in words and types[words[token]] == CONTROL]
    if not ends:
        raise ConfigError("the tokenizer in the GGUF file names no end token: completions would never end")
    return Tokenizer(
        core, list(dict.fromkeys(ends)), facts.get("tokenizer.ggml.padding_token_id", ends[0]), None, settings
    )


def _split(pattern: str) -> list[Any]:
    return [
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]


def _is_list(field: Any) -> bool:
    return bool(field.types) and field.types[0].name == "ARRAY"
