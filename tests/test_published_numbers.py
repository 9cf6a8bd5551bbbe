"""Numbers in README and docs are those of their recorded results."""

import json
from pathlib import Path

from tools.numbers import ROOT, check, record


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


def test_a_result_says_how_it_came_about(tmp_path: Path) -> None:
    entry = json.loads(record(tmp_path, "demo", {"speed": 1.5}, "edgewise demo --seeds 5").read_text())
    assert entry["command"] == "edgewise demo --seeds 5"
    assert entry["values"] == {"speed": 1.5}
    assert {"commit", "date", "machine"} <= entry.keys()
    assert entry["machine"]["cores"] >= 1
