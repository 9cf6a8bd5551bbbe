"""`edgewise features`: the likelihood of gold answers by id, from every form of data, resumed where it was killed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="the tiny model is made with transformers")

from tests.lab.model.pretrained import make

import edgewise.lab.data.features_command as module
from edgewise.adapters.prompts import digest
from edgewise.errors import CheckpointError, ConfigError, EdgewiseError, TaskError
from edgewise.lab.data.export import Export, export
from edgewise.lab.data.features_command import features_command
from edgewise.lab.model.pretrained import load_pretrained

ROWS = [{"id": f"p{i}", "prompt": f"Question: What is {i} + {3 * i}?\nAnswer:", "answer": str(4 * i)} for i in range(9)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make(folder, "llama")
    return folder


def written(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def expected(model: Path, text: str, completion: str, special: bool = True) -> float:
    decoder, tokenizer = load_pretrained(model)
    prompt, own = tokenizer.encode([text], special)[0], tokenizer.encode([completion], special=False)[0]
    with torch.no_grad():
        logits = decoder(torch.tensor([prompt + own]))[0].log_softmax(-1)
    return sum(logits[len(prompt) - 1 + i, token].item() for i, token in enumerate(own))


def test_an_answer_after_a_text(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = written(tmp_path / "data.jsonl", ROWS), tmp_path / "features.json"
    features_command(data, str(model), out, stop=("\n",))
    found = json.loads(out.read_text())
    assert list(found) == [row["id"] for row in ROWS]
    for row in (ROWS[0], ROWS[7]):
        wanted = expected(model, row["prompt"], f" {row['answer']}\n")
        assert found[row["id"]] == pytest.approx(wanted, abs=2e-3)
    assert f"features={out}" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.jsonl", "features.json"]


def test_messages_are_rendered_and_ids_are_those_of_the_adapter(model: Path, tmp_path: Path) -> None:
    rows = [
        {"prompt": [{"role": "user", "content": f"{i} + 1?"}], "reward_model": {"ground_truth": i + 1}} for i in (1, 2)
    ]
    out = tmp_path / "features.json"
    features_command(written(tmp_path / "data.jsonl", rows), str(model), out, chat=True, system="Be brief.")
    found = json.loads(out.read_text())
    assert list(found) == [digest(row["prompt"]) for row in rows]
    chat = load_pretrained(model)[1].chat
    assert chat is not None
    text = chat.render([{"role": "system", "content": "Be brief."}, *rows[1]["prompt"]])
    assert found[digest(rows[1]["prompt"])] == pytest.approx(expected(model, text, "3<|im_end|>", False), abs=2e-3)
    two = [{**rows[1], "prompt": [{"role": "system", "content": "Think."}, *rows[1]["prompt"]]}]
    with pytest.raises(ConfigError, match="a system message of its own, and the settings name another"):
        features_command(written(tmp_path / "two.jsonl", two), str(model), tmp_path / "two.json", system="Be brief.")


@pytest.mark.parametrize("form", ["verl", "trl", "jsonl"])
def test_what_the_command_data_writes_is_read(model: Path, tmp_path: Path, form: str) -> None:
    if form == "verl":
        pytest.importorskip("pyarrow")
    files = export(Export("school", {}, {"level": [1, 1]}, 6, 2, format=form, chat=form != "jsonl"), tmp_path / "data")
    features_command(files["train"], str(model), tmp_path / "features.json")
    other = export(Export("school", {}, {"level": [1, 1]}, 6, 2, format="jsonl"), tmp_path / "plain")["train"]
    ids = [json.loads(line)["id"] for line in other.read_text("utf-8").splitlines()]
    assert list(json.loads((tmp_path / "features.json").read_text())) == ids


def test_a_killed_command_goes_on_where_it_was(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(tmp_path / "data.jsonl", ROWS)
    monkeypatch.setattr(module, "BLOCK", 2)
    features_command(data, str(model), tmp_path / "whole.json")
    blocks, measure = [], module.likelihood

    def killed_after(most: int) -> None:
        def counted(*args: Any) -> Any:
            if len(blocks) == most:
                raise KeyboardInterrupt
            blocks.append(args)
            return measure(*args)

        monkeypatch.setattr(module, "likelihood", counted)

    killed_after(3)
    with pytest.raises(KeyboardInterrupt):
        features_command(data, str(model), tmp_path / "killed.json")
    part = tmp_path / "killed.json.part"
    with part.open("a") as file:
        file.write('{"step": 8, "nats": [-1.0, -2')  # half of a line
    blocks.clear()
    killed_after(99)
    features_command(data, str(model), tmp_path / "killed.json")
    assert len(blocks) == 2
    assert (tmp_path / "killed.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert not part.exists()


def test_what_was_done_of_other_data_does_not_count(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.json"
    data = written(tmp_path / "data.jsonl", ROWS)
    (tmp_path / "features.json.part").write_text('{"step": 0, "key": "another"}\n{"step": 2, "nats": [-1.0, -1.0]}\n')
    features_command(data, str(model), out)
    first = json.loads(out.read_text())
    features_command(written(tmp_path / "data.jsonl", [{**row, "answer": "1"} for row in ROWS]), str(model), out)
    assert json.loads(out.read_text())["p5"] != first["p5"]
    assert first["p5"] not in (-1.0, json.loads(out.read_text())["p5"])


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('{"step": 2, "nats": [-1.0, "x"]}\n', "damaged, or"),
        ('{"step": 2, "nats": [-1.0, -2.0]}\n' * 2, "two commands wrote it"),
        ("[-1.0]\n", "line 2 is damaged"),
    ],
)
def test_a_damaged_part_is_named(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, words: str
) -> None:
    monkeypatch.setattr(module, "_key", lambda *_: "key")
    (tmp_path / "features.json.part").write_text('{"step": 0, "key": "key"}\n' + lines)
    with pytest.raises(CheckpointError, match=words):
        features_command(written(tmp_path / "data.jsonl", ROWS), str(model), tmp_path / "features.json")


def test_a_prompt_that_is_too_long_is_refused(model: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "data.jsonl", [{"id": 1, "prompt": "1 + " * 500, "answer": "500"}])
    with pytest.raises(ConfigError, match=r"more than the \d+ positions"):
        features_command(data, str(model), tmp_path / "features.json")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "has no rows"),
        ([{"id": 1, "prompt": "a"}], "no column of gold answers"),
        (
            [{"id": 1, "prompt": "a", "answer": "b"}, {"id": 2, "answer": "b"}],
            "row 2 has no prompt; its columns are answer, id",
        ),
        ([{"id": 1, "prompt": "a", "answer": "b"}] * 2, "id 1 comes twice"),
        ([{"id": 1, "prompt": "a", "answer": ""}], "must be a text or a number"),
        ([{"id": 1, "prompt": "a", "answer": [1]}], "must be a text or a number"),
        ([{"id": 1.5, "prompt": "a", "answer": "b"}], "must be an int or a text"),
        ([{"id": 1, "prompt": {"text": "a"}, "answer": "b"}], "a text or a list of messages"),
        (
            [
                {"id": 1, "prompt": "a", "answer": "b"},
                {"id": 2, "prompt": [{"role": "user", "content": "a"}], "answer": "b"},
            ],
            "both texts and messages",
        ),
        ([[1]], "row 1 of .* is a list, not an object"),
    ],
)
def test_data_that_does_not_fit_is_refused(model: Path, tmp_path: Path, rows: list[Any], words: str) -> None:
    with pytest.raises(EdgewiseError, match=words):
        features_command(written(tmp_path / "data.jsonl", rows), str(model), tmp_path / "features.json")
    assert not (tmp_path / "features.json.part").exists()


def test_files_that_cannot_be_read_are_refused(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.json"
    with pytest.raises(TaskError, match="cannot read"):
        features_command(tmp_path / "missing.jsonl", str(model), out)
    (tmp_path / "broken.jsonl").write_text("{")
    with pytest.raises(TaskError, match=r"line 1 of .* is not JSON"):
        features_command(tmp_path / "broken.jsonl", str(model), out)
    pytest.importorskip("pyarrow")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(TaskError, match="not a readable Parquet file"):
        features_command(tmp_path / "broken.parquet", str(model), out)
    with pytest.raises(ConfigError, match="no folder"):
        features_command(written(tmp_path / "data.jsonl", ROWS), str(model), tmp_path / "missing" / "features.json")


def test_messages_need_a_template(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, tokenizer = load_pretrained(model)
    tokenizer.chat = None
    monkeypatch.setattr(module, "load_pretrained", lambda _: (decoder, tokenizer))
    rows = [{"id": 1, "prompt": [{"role": "user", "content": "a"}], "answer": "b"}]
    with pytest.raises(ConfigError, match="no chat template"):
        features_command(written(tmp_path / "data.jsonl", rows), str(model), tmp_path / "features.json")
