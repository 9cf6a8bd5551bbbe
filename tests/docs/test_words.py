"""The vocabulary of CONTRIBUTING.md: words of earlier versions do not come back."""

import re
import subprocess

import pytest

from tests.docs.blocks import ROOT

PAGE = ROOT / "CONTRIBUTING.md"
EXEMPT = {"CONTRIBUTING.md", "CHANGELOG.md", "docs/log.md"}
"""Pages that have to name the old words."""


def gone() -> list[str]:
    (listed,) = re.findall(r"<!-- words that are gone -->\n```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return listed.split("\n")[:-1]


def files() -> list[str]:
    try:
        done = subprocess.run(
            ["git", "ls-files", "*.py", "*.md", "*.yaml", "*.toml"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.splitlines() if name not in EXEMPT and (ROOT / name).exists()]


def test_words_that_are_gone_stay_away():
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in gone()), re.IGNORECASE)
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in files()
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1)
        if pattern.search(line)
    ]
    assert len(gone()) > 20
    assert found == []


def test_module_docstrings_begin_with_a_noun():
    begins = re.compile(r'^(?:#!.*\n)?r?"""(What|How|Which|Where|Who|Why|When)\b')
    assert [name for name in files() if name.startswith("src/") and begins.match((ROOT / name).read_text())] == []
