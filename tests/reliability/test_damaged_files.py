"""Files damaged in ways that once ended in a traceback: each is refused by name, or read as far as it is whole."""

import json
import shutil

import pytest

from edgewise.errors import CheckpointError, ConfigError, EdgewiseError, TaskError

pytest.importorskip("torch")
from tools.reliability.damage import core_readers, laboratory_readers

DEEP = b"[" * 100_000
"""Deeper than the parsers of JSON and YAML follow."""


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    work = tmp_path_factory.mktemp("files")
    return {**core_readers(work), **laboratory_readers(work)}


def read_damaged(readers, tmp_path, kind, name, data):
    """Read the files of a kind with one of them replaced; a callable makes the new contents from the old."""
    folder, names, load = readers[kind]
    assert name in {n.rpartition("/")[2] for n in names}
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (path,) = (copy / n for n in names if n.rpartition("/")[2] == name)
    path.write_bytes(data(path.read_bytes()) if callable(data) else data)
    return load(copy)


def changed(key, value, line=0):
    """One value of a line of JSON is another."""

    def change(data):
        lines = [json.loads(text) for text in data.decode().splitlines()] if data.count(b"\n{") else [json.loads(data)]
        lines[line][key] = value
        return "".join(json.dumps(entry) + "\n" for entry in lines).encode()

    return change


@pytest.mark.parametrize(
    ("kind", "name", "data", "error"),
    [
        ("run folder", "origin.json", DEEP, CheckpointError),
        ("evaluation", "origin.json", DEEP, CheckpointError),
        ("evaluation", "rollouts.jsonl", b'{"step": 0}\n', CheckpointError),
        ("evaluation", "rollouts.jsonl", changed("strict", [1]), CheckpointError),
        ("evaluation", "rollouts.jsonl", changed("strict", [99, 0, 0, 0]), CheckpointError),
        ("evaluation", "rollouts.jsonl", changed("reasons", [None] * 4), CheckpointError),
        ("model", "task.json", DEEP, CheckpointError),
        ("model", "task.json", b'{"step": 1}', CheckpointError),
        ("model", "task.json", changed("options", 3), CheckpointError),
        ("model", "task.json", changed("prompts", {"stop": 3}), CheckpointError),
        ("model", "config.json", DEEP, CheckpointError),
        ("model", "config.json", changed("rope_parameters", 1.5), EdgewiseError),
        ("model", "config.json", changed("num_hidden_layers", 10**9), EdgewiseError),
        ("model", "config.json", changed("layer_types", 3), EdgewiseError),
        ("model", "config.json", changed("hidden_size", 10**400), EdgewiseError),
        ("report", "config.yaml", DEEP, ConfigError),
        ("report", "config.yaml", lambda data: data.replace(b"difficulty", b"difficultx"), ConfigError),
        ("report", "config.yaml", lambda data: data.replace(b"size: 40", b"size: 0"), ConfigError),
        ("report", "metrics.jsonl", changed("reward", 10**400), ConfigError),
        ("context", "context.json", DEEP, ConfigError),
        ("problems", "gsm.jsonl", DEEP, TaskError),
        ("problems", "gsm.jsonl", lambda data: data.replace(b"Answer: 5", b"Answer: --5"), TaskError),
        ("problems", "gsm.jsonl", lambda data: data.replace(b"a = 3. Define", b"a = 3. Eefine"), TaskError),
    ],
)
def test_a_damaged_file_is_an_error_of_ours(readers, tmp_path, kind, name, data, error):
    with pytest.raises(error):
        read_damaged(readers, tmp_path, kind, name, data)


def test_a_checkpoint_whose_checksums_are_damaged_is_passed_over(readers, tmp_path):
    read_damaged(readers, tmp_path, "checkpoint", "checksums.json", DEEP)


def test_the_report_of_a_run_without_a_step_is_a_page(readers, tmp_path):
    path = read_damaged(readers, tmp_path, "report", "metrics.jsonl", b"")
    assert "<html" in path.read_text("utf-8")


def test_a_number_beyond_every_float_is_no_reward(readers, tmp_path):
    read_damaged(readers, tmp_path, "log", "log.jsonl", changed("reward", 10**400))


def test_half_a_surrogate_pair_in_a_problem_is_read(readers, tmp_path):
    read_damaged(readers, tmp_path, "problems", "gsm.jsonl", lambda data: data.replace(b"lion", b"li\\ud800n"))


def test_a_damaged_page_of_a_parquet_file_is_named(readers, tmp_path):
    if "parquet log" not in readers:
        pytest.skip("pyarrow is not installed")

    def noise(data):
        return data[:4] + bytes(value ^ 0x55 for value in data[4:60]) + data[60:]

    with pytest.raises(EdgewiseError, match=r"log\.parquet is damaged"):
        read_damaged(readers, tmp_path, "parquet log", "log.parquet", noise)
