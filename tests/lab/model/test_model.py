"""The decoder against transformers' Qwen2, and generation against the plain forward pass."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgewise.errors import CheckpointError, ConfigError
from edgewise.lab.model import Decoder, ModelConfig
from edgewise.lab.model.checkpoints import shipped
from edgewise.lab.model.decode import GraphStepper, Stepper
from edgewise.lab.model.decoder import Cache
from edgewise.lab.model.generate import PREFILL, generate, sequence_logprobs
from edgewise.lab.model.policy import Policy

END, PAD = 3, 0


@pytest.fixture
def model() -> Decoder:
    return Decoder(
        ModelConfig(vocab_size=23, hidden_size=32, intermediate_size=48, num_hidden_layers=2, rope_theta=500.0)
    )


@pytest.mark.parametrize("name", ["opgraph", "countdown", "fresh"])
def test_a_checkpoint_is_the_same_model_and_tokenizer_in_transformers(base: Path, tmp_path: Path, name: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = base if name == "fresh" else shipped(name)
    policy = Policy.load(folder)
    theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokens = torch.randint(2, policy.model.config.vocab_size, (5, 17), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(policy.model(tokens), theirs(tokens).logits, atol=1e-4, rtol=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    problems = policy.task.problems(40, 0)
    prompts = [problem.prompt for problem in problems]
    assert tokenizer(prompts)["input_ids"] == policy.tokenizer.encode(prompts)
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (policy.tokenizer.end, policy.tokenizer.pad)
    solutions = [problem.solution for problem in problems]
    decoded = tokenizer.batch_decode(tokenizer(solutions)["input_ids"])
    assert all(policy.task.verify(p, text).correct for p, text in zip(problems, decoded, strict=True))


def test_the_pipeline_of_transformers_writes_what_generation_writes() -> None:
    from transformers import pipeline

    policy = Policy.load(shipped("opgraph"))
    prompts = [problem.prompt for problem in policy.task.problems(5, 1, op=(1, 2))]
    rolled = generate(
        policy.model, policy.tokenizer.encode(prompts), 24, policy.ending, policy.tokenizer.pad, temperature=0.0
    )
    mine = policy.decode(rolled.tokens.numpy(), rolled.lengths.numpy())
    writer = pipeline("text-generation", str(shipped("opgraph")), device="cpu")
    written = [
        writer(p, max_new_tokens=24, do_sample=False, return_full_text=False)[0]["generated_text"] for p in prompts
    ]
    # The pipeline leaves the end word out.
    assert written == [text.removesuffix(f" {policy.tokenizer.end_word}") for text in mine]


def test_weights_of_a_checkpoint_come_back_to_the_bit(base: Path, tmp_path: Path) -> None:
    policy = Policy.load(base)
    (tmp_path / "again").mkdir()
    policy.save(tmp_path / "again")
    again = Policy.load(tmp_path / "again")
    assert again.model.config == policy.model.config
    assert again.model.state_dict().keys() == policy.model.state_dict().keys()
    assert all(torch.equal(v, policy.model.state_dict()[n]) for n, v in again.model.state_dict().items())


@pytest.mark.parametrize("stepper", [Stepper, GraphStepper])
def test_cached_generation_reports_the_logprobs_of_the_plain_forward_pass(
    model: Decoder, stepper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgewise.lab.model.generate.make_stepper", lambda model, cache, new: stepper(model, cache))
    rng = np.random.default_rng(0)
    # More prompts than are read at once, some alike, of many lengths; rows end at many times and are retired.
    prompts = [rng.integers(4, 23, length).tolist() for length in rng.integers(1, 15, 80)]
    prompts += [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14], [4, 4]] * 3
    assert len({tuple(prompt) for prompt in prompts}) > 2 * PREFILL
    rolled = generate(model, prompts, 12, END, PAD, torch.Generator().manual_seed(1), temperature=0.8)
    for i, prompt in enumerate(prompts):
        length = int(rolled.lengths[i])
        completion = rolled.tokens[i, :length].tolist()
        plain = sequence_logprobs(model, torch.tensor([prompt + completion]), temperature=0.8)[0, len(prompt) - 1 :]
        torch.testing.assert_close(rolled.logprobs[i, :length], plain.detach(), atol=1e-4, rtol=1e-4)
        assert END not in completion[:-1]
        assert length == 12 or completion[-1] == END
        assert (rolled.tokens[i, length:] == PAD).all()
        assert (rolled.logprobs[i, length:] == 0).all()
    assert len(rolled.lengths.unique()) > 4


@pytest.mark.parametrize("stepper", [Stepper, GraphStepper])
def test_under_autocast_keys_and_values_take_half_the_memory_and_logprobs_stay_near(
    model: Decoder, stepper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = []

    def make(model: Decoder, cache: Cache, new: int) -> Stepper:
        kinds.append(cache.store.dtype)
        return stepper(model, cache)

    monkeypatch.setattr("edgewise.lab.model.generate.make_stepper", make)
    prompts = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14], [4, 4]] * 8
    with torch.autocast("cpu", torch.bfloat16):
        rolled = generate(model, prompts, 12, END, PAD, torch.Generator().manual_seed(1))
    assert kinds == [torch.bfloat16]
    off = []
    for i, prompt in enumerate(prompts):
        completion = rolled.tokens[i, : rolled.lengths[i]].tolist()
        plain = sequence_logprobs(model, torch.tensor([prompt + completion]))[0, len(prompt) - 1 :]
        off.append((rolled.logprobs[i, : rolled.lengths[i]] - plain.detach()).abs())
    assert 0 < float(torch.cat(off).max()) < 0.1
    assert float(torch.cat(off).mean()) < 0.01


def test_greedy_generation_matches_transformers(model: Decoder) -> None:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    theirs = Qwen2ForCausalLM(Qwen2Config(**model.config.to_hugging_face([END], PAD))).eval()
    theirs.load_state_dict(model.state_dict(), strict=False)
    prompt = [5, 9, 2, 17]
    mine = generate(model, [prompt, [6, 7]], 10, END, PAD, temperature=0.0)
    hugging = theirs.generate(
        torch.tensor([prompt]), max_new_tokens=10, do_sample=False, attention_mask=torch.ones(1, 4)
    )
    length = int(mine.lengths[0])
    assert mine.tokens[0, :length].tolist() == hugging[0, 4 : 4 + length].tolist()


def test_sampling_follows_the_distribution(model: Decoder) -> None:
    prompt = [5, 6, 7]
    rolled = generate(model, [prompt] * 4000, 1, END, PAD, torch.Generator().manual_seed(2))
    share = np.bincount(rolled.tokens[:, 0].numpy(), minlength=23) / 4000
    with torch.no_grad():
        wanted = model(torch.tensor([prompt]))[0, -1].softmax(-1).numpy()
    # Four standard errors of a share, for 23 shares.
    assert (np.abs(share - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 4000) + 1e-9).all()


def test_bad_sizes_and_lengths_are_refused(model: Decoder) -> None:
    with pytest.raises(ConfigError, match="num_attention_heads"):
        ModelConfig(vocab_size=5, hidden_size=30, num_attention_heads=4)
    with pytest.raises(ConfigError, match="multiple of"):
        ModelConfig(vocab_size=5, num_attention_heads=4, num_key_value_heads=3)
    with pytest.raises(ConfigError, match="image_size must be a whole number from 0"):
        ModelConfig(vocab_size=5, image_size=-60, patch_size=10)
    with pytest.raises(ConfigError, match="initializer_range must be a number above 0, got -1"):
        ModelConfig(vocab_size=5, initializer_range=-1.0)
    with pytest.raises(ConfigError, match="output_bias needs attention_bias"):
        ModelConfig(vocab_size=5, attention_bias=False, output_bias=True)
    with pytest.raises(ConfigError, match="longer than the model"):
        generate(model, [[5] * 120], 20, END, PAD)
    with pytest.raises(ConfigError, match="not empty"):
        generate(model, [[5], []], 4, END, PAD)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "task.json"])
def test_a_damaged_checkpoint_is_named(base: Path, tmp_path: Path, name: str) -> None:
    for path in base.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        Policy.load(tmp_path)
