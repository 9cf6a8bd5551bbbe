"""Outputs shown in the documentation: run again, and compared with the text.

    python -m tools.outputs          compare, exit with 1 where text and output differ
    python -m tools.outputs --fix    write the outputs into the text

A block of text behind `<!-- output in FOLDER of: COMMAND -->` is what the command prints in a copy of the folder, in which archives
(`.tar.xz`) are unpacked. A block behind `<!-- printed -->` is what the Python blocks before it have printed. Lines are broken for
reading, so spaces and line ends do not count.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
WIDTH = 100
MARK = re.compile(r"<!-- output in (?P<folder>\S+) of: (?P<command>[^\n]*?) -->\n```text\n(?P<text>.*?)```", re.DOTALL)
SHOWN = "<!-- printed -->"
PRINTED = re.compile(
    r"<!-- run first\n(.*?)-->|```python\n(.*?)```|<!-- printed -->\n```text\n(?P<text>.*?)```", re.DOTALL
)


@dataclass(frozen=True)
class Output:
    """What a page shows, what was printed now, and where it stands: start and end of the text in the page."""

    page: Path
    what: str
    shown: str
    now: str
    span: tuple[int, int]

    @property
    def same(self) -> bool:
        return self.shown.split() == self.now.split()


def outputs(page: Path) -> Iterator[Output]:
    """All marked outputs of a page, made again.

    Raises:
        ValueError: behind a mark stands no block of text, so that nothing would be compared.
    """
    text = page.read_text("utf-8")
    blocks = sum(match["text"] is not None for pattern in (MARK, PRINTED) for match in pattern.finditer(text))
    if blocks != text.count("<!-- output in ") + text.count(SHOWN):
        raise ValueError(f"{page}: a mark of an output has no block of text on the next line")
    for match in MARK.finditer(text):
        now = of_command(match["command"], page.parent / match["folder"])
        yield Output(page, match["command"], match["text"], now, match.span("text"))
    if SHOWN in text:
        yield from of_blocks(page, text)


def of_command(command: str, folder: Path) -> str:
    """What a command of Edgewise prints in a copy of the folder."""
    with tempfile.TemporaryDirectory() as place:
        there = Path(place) / "logs"
        shutil.copytree(folder, there)
        for archive in there.glob("*.tar.xz"):
            with tarfile.open(archive) as tar:
                tar.extractall(there, filter="data")
        first, *rest = shlex.split(command)
        if first != "edgewise":
            raise ValueError(f"outputs are of the command edgewise, got {command}")
        environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": str(WIDTH), "PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run(
            [sys.executable, "-m", "edgewise.cli", *rest],
            cwd=there,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return done.stdout + done.stderr


def of_blocks(page: Path, text: str) -> Iterator[Output]:
    space: dict[str, object] = {"__name__": "__page__"}
    printed, before = io.StringIO(), Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            for match in PRINTED.finditer(text):
                code = match[1] or match[2]
                if code is not None:
                    with contextlib.redirect_stdout(printed):
                        exec(compile(code, page.name, "exec"), space)
                    continue
                yield Output(page, "the blocks before", match["text"], printed.getvalue(), match.span("text"))
                printed = io.StringIO()
        finally:
            os.chdir(before)


def laid_out(text: str) -> str:
    """Long lines of prose broken; tables as they are."""
    lines = []
    for line in text.rstrip().splitlines():
        table = re.search(r"\S {2,}\S", line)
        lines += (
            [line]
            if table or len(line) <= WIDTH
            else textwrap.wrap(line, WIDTH, subsequent_indent="  " * line.startswith("- "))
        )
    return "\n".join(lines) + "\n"


def main(words: list[str]) -> int:
    if words not in ([], ["--fix"]):
        raise SystemExit(__doc__)
    fix, differ = bool(words), 0
    for page in sorted((ROOT / "docs").rglob("*.md")):
        found = [output for output in outputs(page) if not output.same]
        for output in found:
            print(f"{page.relative_to(ROOT)}: the output of {output.what} differs")
        if fix and found:
            text = page.read_text("utf-8")
            if any(text[slice(*output.span)] != output.shown for output in found):
                raise RuntimeError(f"{page} was changed while its outputs were made: run this again")
            for output in sorted(found, key=lambda output: output.span, reverse=True):
                text = text[: output.span[0]] + laid_out(output.now) + text[output.span[1] :]
            page.write_text(text, "utf-8")
        differ += len(found)
    return int(differ > 0 and not fix)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
