"""The presets: their sizes, and the shapes they stand for in transformers."""

from pathlib import Path

import pytest
import torch

from edgewise.errors import ConfigError
from edgewise.lab.model import Decoder, ModelConfig
from edgewise.lab.model.packed import Objective, Pack
from edgewise.lab.model.policy import Policy
from edgewise.lab.run.presets import names, preset, read_stage
from edgewise.lab.run.pretrain import MidtrainConfig, PretrainConfig


@pytest.mark.parametrize(
    ("name", "vocabulary", "millions"), [("0.1M", 500, 0.1), ("1M", 500, 1), ("10M", 500, 10), ("30M", 500, 30)]
)
def test_a_preset_has_about_the_parameters_of_its_name(name: str, vocabulary: int, millions: float) -> None:
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in plain(name, vocabulary).parameters())
    assert 0.85 * millions < count / 1e6 < 1.15 * millions


def plain(name: str, vocabulary: int):
    """A preset's model as transformers builds it, which is cheap on the meta device."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = ModelConfig(**{**preset(name)["model"], "vocab_size": vocabulary})
    return Qwen2ForCausalLM(Qwen2Config(**config.to_hugging_face([3], 0)))


def test_the_largest_is_the_papers_model_and_step() -> None:
    assert names() == ["0.1M", "1M", "10M", "30M", "103M"]
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in plain("103M", 2200).parameters())
    # By hand: 12 layers of 8,456,704, 2200 x 768 embeddings, the last norm.
    assert count == 12 * 8_456_704 + 2200 * 768 + 768 == 103_170_816
    settings = preset("103M")
    assert settings["tokens"] * settings["accumulate"] == 512 * 1024
    heads = settings["model"]["num_attention_heads"], settings["model"]["num_key_value_heads"]
    assert heads == (12, 2)


@pytest.mark.parametrize("name", ["0.1M", "1M", "10M", "30M", "103M"])
def test_every_preset_in_small_form_has_equal_logits_in_transformers(name: str, tmp_path: Path) -> None:
    """Heads, groups and proportions as they are, layers and width cut down."""
    from transformers import AutoModelForCausalLM

    sizes = preset(name)["model"]
    small = {
        **sizes,
        "hidden_size": 8 * sizes["num_attention_heads"],
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "max_position_embeddings": 96,
    }
    policy = Policy.fresh({"name": "opgraph", "options": {}}, small, seed=1)
    documents = [[5, 9, 30, 2, 3, 8], list(range(2, 60)), [7, 7, 3]]
    pack = Pack.of(documents, [0, 0, 0])
    # One step, so that biases and norms are not what they started as.
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=1e-2)
    Objective(policy.model)(pack).backward()
    optimizer.step()
    policy.save(tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    tokens = torch.randint(0, policy.model.config.vocab_size, (3, 90), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(policy.model(tokens), theirs(tokens).logits, atol=1e-4, rtol=1e-4)
        # The packed losses are those of transformers too, document by document.
        total = sum(
            len(document[1:]) * theirs(input_ids=torch.tensor([document]), labels=torch.tensor([document])).loss.item()
            for document in documents
        )
        assert Objective(policy.model)(pack).item() == pytest.approx(total, rel=1e-5)
    assert Policy.load(tmp_path).model.config == policy.model.config


def test_a_file_begins_from_a_preset_and_has_the_last_word(tmp_path: Path) -> None:
    file = tmp_path / "stage.yaml"
    file.write_text("preset: 1M\ntask: opgraph\nsteps: 7\nlearning_rate: 5.0e-4\nmodel: {num_hidden_layers: 2}\n")
    config = read_stage(PretrainConfig, file)
    assert (config.steps, config.learning_rate, config.tokens) == (7, 5e-4, 8192)
    assert (config.model.num_hidden_layers, config.model.hidden_size) == (2, 128)
    file.write_text("preset: 1M\nbase: opgraph\n")
    mid = read_stage(MidtrainConfig, file)
    assert mid.model == ModelConfig()
    assert mid.tokens == 8192
    file.write_text("preset: 2M\n")
    with pytest.raises(ConfigError, match="unknown preset '2M'"):
        read_stage(PretrainConfig, file)
    file.write_text("preset: 10\n")
    with pytest.raises(ConfigError, match="preset must be one of"):
        read_stage(PretrainConfig, file)


def test_the_decoder_itself_counts_as_many_parameters() -> None:
    config = ModelConfig(**{**preset("0.1M")["model"], "vocab_size": 500})
    assert Decoder(config).parameters_count == sum(parameter.numel() for parameter in plain("0.1M", 500).parameters())
