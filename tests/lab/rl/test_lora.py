"""LoRA: adapters alone are trained, checkpoints hold them merged, and a run goes on exactly."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from tests.lab.model.pretrained import make
from tests.lab.rl.test_pretrained_rl import config, rewards

from edgewise.errors import CheckpointError, ConfigError
from edgewise.lab.model.generate import generate
from edgewise.lab.model.lora import LoraSettings, add_lora, load_adapters, plain_state
from edgewise.lab.model.memory import StepSize, step_bytes
from edgewise.lab.model.policy import Policy
from edgewise.lab.rl.trainer import Trainer, train

pytest.importorskip("peft")
LORA = {"rank": 2, "alpha": 4.0}


def test_checkpoints_are_plain_models_and_a_run_goes_on_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    make(tmp_path / "base", "qwen2")
    monkeypatch.setattr("edgewise.lab.evaluation.rollouts.Rolled.rewards", rewards)
    settings = config(tmp_path / "base", lora=LORA, learning_rate=1e-2, steps=3)
    train(settings, tmp_path / "whole")
    last = tmp_path / "whole" / "checkpoints" / "step_000003"
    trained, base = (Policy.load(folder, {"name": "school"}) for folder in (last, tmp_path / "base"))
    before = base.model.state_dict()
    moved = {name for name, value in trained.model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[-2] for name in moved} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    }  # fmt: skip
    tokens = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        theirs = AutoModelForCausalLM.from_pretrained(last).eval()(tokens).logits
        torch.testing.assert_close(theirs, trained.model(tokens), atol=1e-3, rtol=1e-4)
    # From the checkpoint of step 2, step 3 comes out bit for bit.
    trainer = Trainer(settings, tmp_path / "resumed")
    trainer._load(tmp_path / "whole" / "checkpoints" / "step_000002")
    trainer.out.mkdir()
    trainer.train_step()
    again = plain_state(trainer.policy.model)
    assert all(torch.equal(again[name], value) for name, value in trained.model.state_dict().items())
    with pytest.raises(CheckpointError, match="do not fit"):
        load_adapters(trainer.policy.model, {})


def test_generation_and_update_use_the_adapters(tmp_path: Path) -> None:
    make(tmp_path / "base", "qwen2")
    policy = Policy.load(tmp_path / "base", {"name": "school"})
    tokens = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        plain = policy.model(tokens)
        add_lora(policy.model, LoraSettings(rank=2), seed=0)
        # B is 0: nothing has changed yet.
        torch.testing.assert_close(policy.model(tokens), plain)
        for name, parameter in policy.model.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(0.0, 0.5, generator=torch.Generator().manual_seed(1))
        changed = policy.model(tokens)
        assert (changed - plain).abs().max() > 0.1
        greedy = generate(policy.model, [[5, 6, 7]], 4, -1, 0, temperature=0).tokens[0].tolist()
        merged = Policy.load(tmp_path / "base", {"name": "school"}).model
        merged.load_state_dict(plain_state(policy.model))
        torch.testing.assert_close(merged(tokens), changed, atol=1e-5, rtol=1e-4)
        assert generate(merged, [[5, 6, 7]], 4, -1, 0, temperature=0).tokens[0].tolist() == greedy


def test_adapters_need_less_memory_and_bad_settings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "base", "llama")
    model = Policy.load(tmp_path / "base", {"name": "school"}).model
    whole, part = (step_bytes(model.config, StepSize(8, 50, 400, trained=count)) for count in (None, 100))
    assert part["optimizer"] == 2 * 4 * 100 < whole["optimizer"]
    with pytest.raises(ConfigError, match="targets of LoRA must be some of q_proj"):
        config(tmp_path / "base", lora={"targets": ["embed_tokens"]})
    with pytest.raises(ConfigError, match="a finite alpha above 0, got 2 and inf"):
        config(tmp_path / "base", lora={"rank": 2, "alpha": float("inf")})
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match="pip install peft"):
        Trainer(config(tmp_path / "base", lora=LORA), tmp_path / "run")
    assert not (tmp_path / "run").exists()
