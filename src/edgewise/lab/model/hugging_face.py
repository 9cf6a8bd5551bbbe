"""Folders in Hugging Face's layout, read and written: config.json, safetensors, tokenizer and generation settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from edgewise.checkpoint import read_json, write_json
from edgewise.errors import CheckpointError, ConfigError
from edgewise.lab.model.config import ModelConfig
from edgewise.lab.model.decoder import Decoder
from edgewise.lab.model.lora import plain_state
from edgewise.lab.model.tensors import write_tensors
from edgewise.lab.model.tokenizer import Tokenizer

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
OUTPUT_BIAS = "self_attn.o_proj.bias"
EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def read_model(folder: Path) -> Decoder:
    """The decoder of a folder, in float32.

    Raises:
        CheckpointError: a file is missing, damaged, does not fit config.json or holds NaN.
        ConfigError: the architecture is not read.
    """
    config = ModelConfig.from_hugging_face(read_json(folder / "config.json"))
    files = _files(folder)
    if config.tie_word_embeddings:
        ends = [tensor.float() for _, tensor in _tensors(files, (HEAD,))]
        if ends:  # the embeddings, which are large, are read a first time only to be compared
            ends += [tensor.float() for _, tensor in _tensors(files, (EMBEDDINGS,))]
        # A head of its own was trained, whatever config.json says; transformers 5 reads it so.
        if len(ends) == 2 and not torch.equal(*ends):
            config = replace(config, tie_word_embeddings=False)
    if config.output_bias and config.attention_bias:
        # Zeros were added for a model type that has this bias or none.
        biases = (tensor for name, tensor in _tensors(files) if name.endswith(OUTPUT_BIAS))
        if not any(bool(tensor.any()) for tensor in biases):
            config = replace(config, output_bias=False)
    return fill(config, _tensors(files), f"{folder / WEIGHTS}" if len(files) == 1 else f"{folder}")


def fill(config: ModelConfig, tensors: Iterator[tuple[str, Tensor]], source: str) -> Decoder:
    """A decoder whose weights are `tensors`, named as Hugging Face names them; `source` is for messages."""
    model = Decoder.empty(config)
    missing = {name for name, _ in model.named_parameters()}
    with torch.no_grad():
        parameters = dict(model.named_parameters())
        for name, tensor in tensors:
            if not _is_needed(name, config):
                continue
            if name == HEAD and config.tie_word_embeddings:
                # safetensors may keep either name of a tensor that has two.
                name = EMBEDDINGS
            parameter = parameters.get(name)
            if parameter is None or parameter.shape != tensor.shape:
                wanted = "no such tensor" if parameter is None else f"shape {tuple(parameter.shape)}"
                raise CheckpointError(
                    f"{source} does not fit its config.json: {name} has shape {tuple(tensor.shape)}, the model has {wanted}"
                )
            parameter.copy_(tensor)
            if not tensor.is_floating_point() or not bool(torch.isfinite(parameter).all()):
                kind = "NaN or infinite" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")
                raise CheckpointError(f"{source} holds {kind} weights in {name}")
            missing.discard(name)
    if missing:
        first = ", ".join(sorted(missing)[:3])
        raise CheckpointError(
            f"{source} does not fit its config.json: it lacks {len(missing)} tensors, such as {first}"
        )
    return model


def write_model(folder: Path, model: Decoder, tokenizer: Tokenizer) -> None:
    """Write the files that transformers, TRL and vLLM need into an existing folder."""
    config = model.config
    # For type qwen2, transformers 5 puts Qwen2's own pre-tokenizer in the place of that in tokenizer.json.
    family = "llama" if config.family == "qwen2" and not tokenizer.is_qwen2 else config.family
    tensors = {name: value.detach().cpu().contiguous() for name, value in plain_state(model).items()}
    if family != "qwen2" and config.attention_bias and not config.output_bias:
        zeros = torch.zeros(config.hidden_size)
        tensors |= {f"model.layers.{i}.{OUTPUT_BIAS}": zeros.clone() for i in range(config.num_hidden_layers)}
    write_tensors(folder / WEIGHTS, tensors, {"format": "pt"})
    ends = list(tokenizer.ends)
    write_json(folder / "config.json", config.to_hugging_face(ends, tokenizer.pad, family, tokenizer.bos))
    generation = {"bos_token_id": tokenizer.bos, "eos_token_id": ends, "pad_token_id": tokenizer.pad}
    write_json(folder / "generation_config.json", generation)
    tokenizer.save(folder, family)


def _files(folder: Path) -> list[Path]:
    """The files of weights: one, or the shards of an index."""
    if (folder / WEIGHTS).exists() or not (folder / INDEX).exists():
        pickled = sorted(folder.glob("pytorch_model*.bin"))
        if pickled and not (folder / WEIGHTS).exists():
            raise CheckpointError(
                f"{folder} has pickled weights alone ({pickled[0].name}), which are not read because a pickle can run code; where"
                " the folder is trusted, transformers converts them: AutoModelForCausalLM.from_pretrained(FOLDER)"
                ".save_pretrained(FOLDER)"
            )
        return [folder / WEIGHTS]
    shards = read_json(folder / INDEX).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise CheckpointError(f"{folder / INDEX} does not say which file holds which tensor")
    return [folder / Path(name).name for name in sorted(set(shards.values()))]


def _tensors(files: list[Path], wanted: Sequence[str] = ()) -> Iterator[tuple[str, Tensor]]:
    """The tensors of the files by name: those wanted, or all."""
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118  the file is no mapping
                    if not wanted or name in wanted:
                        yield name, file.get_tensor(name)
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(f"{path} is missing or damaged: {error}") from error


def _is_needed(name: str, config: ModelConfig) -> bool:
    """False for what some files hold besides: tables of rotations, and biases of zero that were dropped."""
    if name.endswith("rotary_emb.inv_freq"):
        return False
    return config.output_bias or not config.attention_bias or not name.endswith(OUTPUT_BIAS)


def check_vocabulary(model: Decoder, tokenizer: Tokenizer, folder: Path) -> None:
    """`CheckpointError` if the tokenizer has tokens that the model does not have."""
    highest = max(len(tokenizer) - 1, tokenizer.pad, *tokenizer.ends)
    if highest >= model.config.vocab_size:
        raise CheckpointError(f"{folder}: the tokenizer has {highest + 1} tokens, the model {model.config.vocab_size}")


__all__ = ["ConfigError", "check_vocabulary", "fill", "read_model", "write_model"]
