"""Tiny random models of every family in Hugging Face's layout, written by transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from edgewise.lab.model.tokenizer import QWEN2_PIECES

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEXTS = [
    "Question: 7 + 5\nAnswer: 12",
    "Anna has 12 apples and buys 3 more.  How many apples now?",
    "Ünïcödé, 你好, 123456 'tis we'll\n\n  two spaces\tand a tab",
    "<|im_start|>user\nHi<|im_end|>\n",
]
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "llama-untied-biased": (
        LlamaConfig,
        LlamaForCausalLM,
        {"num_key_value_heads": 4, "tie_word_embeddings": False, "attention_bias": True, "head_dim": 10},
    ),
    "llama3": (
        LlamaConfig,
        LlamaForCausalLM,
        {"num_key_value_heads": 1, "rope_parameters": LLAMA3, "rms_norm_eps": 1e-5},
    ),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "qwen2-untied": (Qwen2Config, Qwen2ForCausalLM, {"num_key_value_heads": 1, "tie_word_embeddings": False}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"num_key_value_heads": 2, "head_dim": 12, "tie_word_embeddings": True}),
    "qwen3-linear": (
        Qwen3Config,
        Qwen3ForCausalLM,
        {
            "num_key_value_heads": 2,
            "head_dim": 16,
            "tie_word_embeddings": False,
            "rope_parameters": {"rope_type": "linear", "rope_theta": 1000.0, "factor": 2.0},
        },
    ),
}


def train_tokenizer(qwen2: bool) -> Tokenizer:
    """A small byte-level BPE tokenizer, split as Qwen2 or as SmolLM2 splits."""
    core = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not qwen2)
    split = (
        pre_tokenizers.Split(Regex(QWEN2_PIECES), "isolated")
        if qwen2
        else pre_tokenizers.Digits(individual_digits=True)
    )
    core.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    if qwen2:
        core.normalizer = normalizers.NFC()
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(TEXTS * 4, trainer)
    return core


def make(folder: Path, family: str, shards: bool = False, seed: int = 0) -> Any:
    """Write a model of `FAMILIES` with its tokenizer; returns transformers' model."""
    kind, architecture, features = FAMILIES[family]
    core = train_tokenizer(family.startswith("qwen"))
    ends = {"bos_token_id": None, "eos_token_id": core.token_to_id("<|im_end|>"), "pad_token_id": 0}
    torch.manual_seed(seed)
    config = kind(vocab_size=core.get_vocab_size() + 5, **SIZES, **features, **ends)
    model = architecture(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Norms and biases are constant at the start: a mistake in them would not be seen.
            parameter.add_(torch.randn_like(parameter) * 0.2)
    if features.get("tie_word_embeddings"):
        model.tie_weights()
    model.save_pretrained(folder, max_shard_size="20KB" if shards else "1GB")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        bos_token="<|im_start|>",
        chat_template=CHATML,
    )
    tokenizer.save_pretrained(folder)
    return model


def sample_tokens(vocabulary: int) -> torch.Tensor:
    """Token ids (3, 90): longer than the length that Llama 3's scaling starts from."""
    return torch.randint(0, vocabulary, (3, 90), generator=torch.Generator().manual_seed(1))
