"""Models on a GPU: tokens a second of training and of generation, how much of the GPU training uses, and other generators.

The 103M model of the laboratory is pre-trained and sampled from; shapes of Qwen2.5-0.5B and 1.5B, with random weights, make GRPO's
update (prompts shared, bfloat16) and sample, beside transformers' `generate` and, where it is installed, vLLM.

MFU (model FLOPs utilisation, PaLM, arXiv 2204.02311): 6 P FLOPs a token over the peak of the GPU, attention not counted.
Nothing is printed where there is no GPU.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.language import TASK, Side
from benchmarks.row import Row, seconds
from edgewise.checkpoint import write_json
from edgewise.lab.model import Decoder, ModelConfig
from edgewise.lab.model.generate import Rollouts, generate
from edgewise.lab.model.hugging_face import WEIGHTS, read_json
from edgewise.lab.model.packed import Objective, Pack
from edgewise.lab.model.policy import Policy
from edgewise.lab.rl.algorithms import Algorithm
from edgewise.lab.rl.batch import RolloutBatch
from edgewise.lab.rl.update import Learner, UpdateSettings
from edgewise.lab.run.budgets import train_flops
from edgewise.lab.run.corpus import Corpus
from edgewise.lab.run.presets import preset

SIZE, TOKENS, STEPS = "103M", 65_536, 20
ROLLOUTS, NEW = 1_024, 512
ROLLOUTS_A_PROMPT, NO_END = 8, -1
QWEN = {"vocab_size": 151_936, "num_key_value_heads": 2, "attention_bias": True, "max_position_embeddings": 4096}
SHAPES: dict[str, dict[str, Any]] = {
    "0.5B": {
        **QWEN,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "tie_word_embeddings": True,
    },
    "1.5B": {
        **QWEN,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "tie_word_embeddings": True,
    },
}
"""Of Qwen2.5, without its largest number of positions."""


@dataclass(frozen=True)
class Sizes:
    """What a step of the shapes works on."""

    groups: int = 32
    prompt: int = 128
    new: int = 384
    micro_tokens: int = 16_384

    def prompts(self, config: ModelConfig) -> list[list[int]]:
        """Random prompts, one a group."""
        generator = torch.Generator().manual_seed(0)
        return torch.randint(1, config.vocab_size, (self.groups, self.prompt), generator=generator).tolist()


PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bfloat16 FLOPs a second, from the vendor's data sheets, by what the device's name contains."""


def rows() -> Iterator[Row]:
    if not torch.cuda.is_available():
        return
    device, name = torch.device("cuda"), torch.cuda.get_device_name()
    policy = Policy.fresh(TASK, preset(SIZE)["model"], seed=0)
    policy.model.to(device)
    rolled = generation(policy, ROLLOUTS, NEW)
    trained = training(policy, device, TOKENS, STEPS)
    yield Row(f"pre-training, {SIZE} parameters, {name}", trained, "tokens/s", "measured", True)
    peak = next((peak for part, peak in PEAKS.items() if part in name), None)
    if peak is not None:
        used = train_flops(sum(p.numel() for p in policy.model.parameters()), trained) / peak
        yield Row(f"MFU of it, peak {peak / 1e12:.0f} TFLOPs", 100 * used, "%", "measured", True)
    yield Row(f"generation, {SIZE} parameters, {ROLLOUTS} rows", rolled, "tokens/s", "measured", True)
    del policy
    for label, shape in SHAPES.items():
        yield from shape_rows(label, ModelConfig(**shape), device, Sizes(), peak)


def shape_rows(
    label: str, config: ModelConfig, device: torch.device, sizes: Sizes, peak: float | None
) -> Iterator[Row]:
    """Update and generation of a decoder with random weights, and generation of the others with the same weights."""
    model = Decoder(config).to(device)
    count = model.parameters_count
    trained = update(model, sizes)
    yield Row(
        f"GRPO's update, {label} shape, {sizes.groups} x {ROLLOUTS_A_PROMPT}", trained, "tokens/s", "measured", True
    )
    if peak is not None:
        yield Row(f"MFU of it, {label}", 100 * train_flops(count, trained) / peak, "%", "measured", True)
    ours = sampling(model, sizes)
    rows = sizes.groups * ROLLOUTS_A_PROMPT
    yield Row(f"generation, {label} shape, {rows} rows", ours, "tokens/s", "measured", True)
    with tempfile.TemporaryDirectory() as folder:
        written(model, Path(folder))
        del model
        for name, measure in (("transformers", by_transformers), ("vllm", by_vllm)):
            if find_spec(name) is not None:
                theirs = measure(Path(folder), sizes, device)
                yield Row(f"generation by {name}, {label} shape", theirs, "tokens/s", "measured", True)


def update(model: Decoder, sizes: Sizes) -> float:
    """Tokens a second of updates: those of the sequences, a shared prompt counted with each of its completions."""
    algorithm = Algorithm.parse({"like": "dapo", "overlong": None})
    settings = UpdateSettings(
        1e-6, sizes.new, grouped=True, micro_tokens=sizes.micro_tokens, recompute=True, bfloat16=True
    )
    learner = Learner(model, algorithm, settings)
    device = next(model.parameters()).device
    prompts = [prompt for prompt in sizes.prompts(model.config) for _ in range(ROLLOUTS_A_PROMPT)]
    group = [index // ROLLOUTS_A_PROMPT for index in range(len(prompts))]
    shape = (len(prompts), sizes.new)
    tokens = torch.randint(0, model.config.vocab_size, shape, generator=torch.Generator().manual_seed(1)).to(device)
    lengths = torch.full((len(prompts),), sizes.new, device=device)
    rolled = Rollouts(tokens, lengths, torch.full(shape, -1.0, device=device))
    batch = RolloutBatch.of(prompts, rolled, [float(index % 2) for index in range(len(prompts))], group)
    # `update` reads its loss, which waits for the GPU.
    spent = seconds(lambda: learner.update(batch), 1)
    learner.release()
    return len(prompts) * (sizes.prompt + sizes.new) / spent


def sampling(model: Decoder, sizes: Sizes) -> float:
    """Completion tokens a second of our generation in bfloat16."""
    prompts = [prompt for prompt in sizes.prompts(model.config) for _ in range(ROLLOUTS_A_PROMPT)]
    device = next(model.parameters()).device

    def sample() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            generate(model, prompts, sizes.new, NO_END, 0).lengths.sum().item()

    return len(prompts) * sizes.new / seconds(sample, 1)


def written(model: Decoder, folder: Path) -> None:
    """The weights and config.json of a model, without a tokenizer."""
    save_file(
        {n: v.detach().to("cpu", torch.bfloat16).contiguous() for n, v in model.state_dict().items()}, folder / WEIGHTS
    )
    write_json(folder / "config.json", model.config.to_hugging_face([0], 0, model.config.family, None))


def by_transformers(folder: Path, sizes: Sizes, device: torch.device) -> float:
    """Completion tokens a second of transformers' `generate` with a dynamic cache, without an end token."""
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(device).eval()
    prompts = sizes.prompts(ModelConfig.from_hugging_face(read_json(folder / "config.json")))
    inputs = torch.tensor([prompt for prompt in prompts for _ in range(ROLLOUTS_A_PROMPT)], device=device)
    settings = {
        "max_new_tokens": sizes.new,
        "min_new_tokens": sizes.new,
        "do_sample": True,
        "top_k": 0,
        "pad_token_id": 0,
    }

    def sample() -> None:
        with torch.no_grad():
            theirs.generate(inputs, attention_mask=torch.ones_like(inputs), **settings)[0, -1].item()

    return inputs.shape[0] * sizes.new / seconds(sample, 1)


def by_vllm(folder: Path, sizes: Sizes, device: torch.device) -> float:
    """Completion tokens a second of vLLM, compiled graphs included in the round that does not count."""
    from vllm import LLM, SamplingParams

    engine = LLM(str(folder), skip_tokenizer_init=True, dtype="bfloat16", gpu_memory_utilization=0.5)
    prompts = sizes.prompts(ModelConfig.from_hugging_face(read_json(folder / "config.json")))
    inputs = [{"prompt_token_ids": prompt} for prompt in prompts]
    params = SamplingParams(
        n=ROLLOUTS_A_PROMPT, temperature=1.0, max_tokens=sizes.new, ignore_eos=True, detokenize=False
    )
    return (
        len(inputs)
        * ROLLOUTS_A_PROMPT
        * sizes.new
        / seconds(lambda: engine.generate(inputs, params, use_tqdm=False), 1)
    )


def training(policy: Policy, device: torch.device, tokens: int, steps: int) -> float:
    """Tokens a second of optimiser steps on packs of `tokens` tokens, as `edgewise pretrain` takes them on a GPU."""
    longest = policy.model.config.max_position_embeddings
    corpus = Corpus(policy.task, policy.tokenizer, {"op": (2, 20)}, tokens, "text", longest)
    packs = [corpus[index].to(device) for index in range(steps)]
    objective: torch.nn.Module = Objective(policy.model)
    if device.type == "cuda":
        objective.compile()

    def loss(objective: torch.nn.Module, pack: Pack) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return objective(pack) / len(pack.targets)

    side = Side(loss, objective)
    # Every pack has its own shapes: the round that does not count compiles for them. Reading a loss waits for the GPU.
    return tokens * steps / seconds(lambda: [side.step(pack) for pack in packs], 1)


def generation(policy: Policy, rollouts: int, new: int) -> float:
    """Completion tokens a second; a model without training hardly ever ends by itself, so rows have `new` tokens."""
    prompts = policy.tokenizer.encode([problem.prompt for problem in policy.task.problems(rollouts, 0, op=(2, 20))])
    end, pad = policy.tokenizer.end, policy.tokenizer.pad
    counts: list[int] = []
    spent = seconds(lambda: counts.append(int(generate(policy.model, prompts, new, end, pad).lengths.sum())), 1)
    return counts[-1] / spent
