"""Options of commands that pages name exist."""

from __future__ import annotations

import contextlib
import io
import re

import pytest

from tests.docs.blocks import ROOT

pytest.importorskip("tyro")
CALL = re.compile(r"\bedgewise (demo|replay|watch|fit|report|experiment|pretrain|midtrain|rl|eval|doctor)\b([^`\n|#]*)")


def options(command: str) -> set[str]:
    from edgewise import cli

    with contextlib.redirect_stdout(io.StringIO()) as text, pytest.raises(SystemExit):
        cli._run([command, "--help"])
    return set(re.findall(r"--[a-z][a-z0-9-]*", text.getvalue())) | {"--debug", "--help"}


def test_pages_name_options_that_exist():
    named: dict[str, set[tuple[str, str]]] = {}
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for command, words in CALL.findall(page.read_text()):
            for option in re.findall(r"(?<=\s)--[a-z][a-z0-9-]*", words):
                named.setdefault(command, set()).add((option, page.name))
    assert len(named) >= 6
    wrong = [
        f"{page}: edgewise {command} {option}"
        for command, found in named.items()
        for there in [options(command)]
        for option, page in sorted(found)
        if option not in there
    ]
    assert wrong == []
