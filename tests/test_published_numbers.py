"""Numbers in README and docs are those of their recorded results."""

import json
import subprocess
from pathlib import Path

from tools.numbers import ROOT, check, record

from edgewise.experiments.provenance import stamped


def test_text_and_results_agree() -> None:
    assert check(ROOT) == []


def test_a_number_that_drifted_is_named_and_can_be_corrected(tmp_path: Path) -> None:
    record(tmp_path, "demo", {"speed": {"edge": [1.234, None], "ds": "inf"}, "seeds": 5}, "edgewise demo")
    page = tmp_path / "README.md"
    page.write_text("`edge`: 1.30<!-- demo: speed.edge.0 .2f -->x, **5<!-- demo: seeds -->** seeds\n")
    assert check(tmp_path) == ["README.md, line 1: '1.30', demo says '1.23'"]
    check(tmp_path, fix=True)
    assert page.read_text() == "`edge`: 1.23<!-- demo: speed.edge.0 .2f -->x, **5<!-- demo: seeds -->** seeds\n"
    page.write_text("1<!-- demo: speed.ds .2f -->\n")
    check(tmp_path, fix=True)
    assert page.read_text() == "∞<!-- demo: speed.ds .2f -->\n"
    assert check(tmp_path) == []


def test_a_number_without_a_result_is_named(tmp_path: Path) -> None:
    record(tmp_path, "demo", {"speed": [None]}, "edgewise demo")
    page = tmp_path / "docs" / "page.md"
    page.write_text("1<!-- demo: slow -->\n2<!-- other: x -->\n3<!-- demo: speed.0 .2f -->\n")
    assert [line.partition(": ")[2] for line in check(tmp_path)] == [
        "'1', demo says '<no slow>'",
        "'2', other says '<no other.json>'",
        "'3', demo says '<speed.0 is no number>'",
    ]


def test_a_number_without_a_result_is_left_in_the_text(tmp_path: Path) -> None:
    record(tmp_path, "demo", {"speed": 1.5}, "edgewise demo")
    page = tmp_path / "README.md"
    text = "1<!-- demo: slow --> and 2<!-- other: x -->\n"
    page.write_text(text)
    assert len(check(tmp_path, fix=True)) == 2
    assert page.read_text() == text
    assert len(check(tmp_path)) == 2


def test_a_comment_that_is_nearly_a_mark_is_named(tmp_path: Path) -> None:
    record(tmp_path, "demo", {"speed": 1.5}, "edgewise demo")
    page = tmp_path / "README.md"
    page.write_text(
        "1<!-- demo: speed -->\n2<!-- demo:speed -->\n3<!-- demo: speed  .2f -->\n<!-- other:words -->\n4<!-- demo: speed\n-->\n"
    )
    assert [line.partition(": ")[0] for line in check(tmp_path)] == [f"README.md, line {line}" for line in (1, 2, 3, 5)]


def test_a_result_says_how_it_came_about(tmp_path: Path) -> None:
    entry = json.loads(record(tmp_path, "demo", {"speed": 1.5}, "edgewise demo --seeds 5").read_text())
    assert entry["command"] == "edgewise demo --seeds 5"
    assert entry["values"] == {"speed": 1.5}
    assert {"commit", "date", "machine"} <= entry.keys()
    assert entry["machine"]["cores"] >= 1


def test_the_commit_of_another_project_is_not_that_of_the_code_installed_in_it(tmp_path: Path) -> None:
    installed = tmp_path / ".venv" / "lib"
    installed.mkdir(parents=True)
    (installed / "code.py").touch()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message", "first"]):
        subprocess.run([*git, *words], check=True)
    assert stamped({}, "edgewise demo", installed)["commit"] == ""
    subprocess.run([*git, "add", "--force", "."], check=True)
    assert stamped({}, "edgewise demo", installed)["commit"].endswith("+")
