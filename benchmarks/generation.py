"""Sampling with rows of unequal length: our generation against transformers' `generate`, the same weights on both sides."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.row import Row
from edgewise.lab.model import Decoder, ModelConfig
from edgewise.lab.model.generate import generate

ROWS, LONGEST_PROMPT, NEW = 64, 64, 128
WORDS = 32
"""A random model ends after about as many tokens on average: completions from 1 to NEW tokens."""
PAD, END = 0, 1
SIZES = {
    "1M": ModelConfig(WORDS, 128, 384, 5, 8, 4, 256, initializer_range=0.02),
    "10M": ModelConfig(WORDS, 384, 1152, 6, 8, 4, 256, initializer_range=0.02),
}


def rows() -> Iterator[Row]:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, LONGEST_PROMPT + 1, ROWS)
    prompts = [rng.integers(2, WORDS, length).tolist() for length in lengths]
    for name, config in SIZES.items():
        ours = Decoder(config)
        theirs = _transformers(ours)
        width = max(map(len, prompts))
        left = torch.tensor([[PAD] * (width - len(p)) + p for p in prompts])
        attention = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])

        def own(model: Decoder = ours) -> int:
            return int(generate(model, prompts, NEW, END, PAD).lengths.sum())

        def reference(
            model: torch.nn.Module = theirs, left: torch.Tensor = left, attention: torch.Tensor = attention
        ) -> int:
            with torch.no_grad():
                out = model.generate(left, attention_mask=attention, max_new_tokens=NEW, do_sample=True, top_k=0)
            new = out[:, left.shape[1] :]
            ended = (new == END).int()
            # Tokens up to the first end, itself included.
            return int(((ended.cumsum(1) - ended) == 0).sum())

        rates = _tokens_a_second([own, reference])
        yield Row.rate(f"generation, {name} parameters, unequal rows", *rates, "tokens/s", 2)


def _tokens_a_second(actions: list[Callable[[], int]], repeats: int = 5) -> list[float]:
    """Medians, taken in turns after one call each that does not count."""
    rates: list[list[float]] = [[] for _ in actions]
    for turn in range(repeats + 1):
        for i, action in enumerate(actions):
            torch.manual_seed(turn)
            start = time.perf_counter()
            tokens = action()
            if turn:
                rates[i].append(tokens / (time.perf_counter() - start))
    return [median(values) for values in rates]


def _transformers(model: Decoder) -> torch.nn.Module:
    from safetensors.torch import save_file
    from transformers import Qwen2ForCausalLM

    with tempfile.TemporaryDirectory() as folder:
        import json

        (Path(folder) / "config.json").write_text(json.dumps(model.config.to_hugging_face([END], PAD)))
        save_file(dict(model.state_dict()), Path(folder) / "model.safetensors", {"format": "pt"})
        loaded: torch.nn.Module = Qwen2ForCausalLM.from_pretrained(folder)
    return loaded.eval()
