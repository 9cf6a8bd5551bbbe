"""`edgewise watch` in a pseudo-terminal: a run that goes on, searches, hostile texts, lines that are cut."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.replay.logs.writing import HOSTILE, outcomes, write_lines, write_verl
from tests.watch.runs import write_run

pytest.importorskip("rich")
ESCAPE, BACKSPACE = "\x1b", "\x7f"
ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"


class Terminal:
    """A pseudo-terminal with a command in it."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]):
        self.descriptor, self.process = descriptor, process

    def until(self, *words: str, seconds: float = 90.0) -> str:
        """What comes until all words have come, without sequences that move the cursor or set colours."""
        shown, end = "", time.monotonic() + seconds
        while time.monotonic() < end:
            if all(word in shown or word in bare(shown) for word in words):
                return shown
            if select.select([self.descriptor], [], [], 0.2)[0]:
                try:
                    shown += os.read(self.descriptor, 65536).decode("utf-8", "replace")
                except OSError:
                    break
        raise AssertionError((words, bare(shown)[-2000:]))

    def press(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())


def bare(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@contextmanager
def watching(*paths: Path, width: int = 110, height: int = 45) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "edgewise.cli", "watch", *map(str, paths), "--every", "0.3"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(width), "LINES": str(height)},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it otherwise
    )
    before = termios.tcgetattr(slave)
    try:
        terminal = Terminal(master, process)
        yield terminal
        process.send_signal(signal.SIGINT)
        shown = terminal.until(BACK)
        assert process.wait(30) == 0
        assert "Traceback" not in shown
        # The terminal is left as it was.
        assert termios.tcgetattr(slave)[3] == before[3]
    finally:
        process.kill()
        os.close(slave)
        os.close(master)


def test_a_run_that_goes_on_is_shown_as_it_goes_on(tmp_path: Path) -> None:
    rollouts = outcomes(steps=12)
    folder = write_verl(tmp_path / "run", [r for r in rollouts if r["step"] <= 6])
    with watching(folder) as terminal:
        terminal.until("steps 1–6", "/ searches prompts")
        write_verl(folder, rollouts)
        # Half a line more: the writer is at work.
        (folder / "13.jsonl").write_text('{"step": 13, "inp')
        terminal.until("steps 1–12")


def test_a_line_that_was_cut_is_read_once_it_is_whole(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", steps=9)
    path = folder / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:8]) + lines[8][:40])
    with watching(folder) as terminal:
        terminal.until("steps 1–8")
        with path.open("ab") as file:
            file.write(lines[8][40:])
        terminal.until("steps 1–9")


def test_prompts_are_searched_while_the_text_is_typed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", steps=30)
    ids = {i for line in (folder / "metrics.jsonl").read_text().splitlines() for i in json.loads(line)["ids"]}
    alone = next(str(i) for i in sorted(ids, reverse=True) if sum(str(i) in str(other) for other in ids) == 1)
    with watching(folder) as terminal:
        terminal.until("/ searches prompts")
        terminal.press("/level 03")
        terminal.until("search level 03", "success rate", "Escape goes back")
        terminal.press("x")
        terminal.until("no prompt's id or category contains it")
        terminal.press(BACKSPACE + "\r")
        terminal.until("level 03", "success rate")
        terminal.press(f"/{alone}\r")
        terminal.until(f"prompt {alone}", "predicted")
        terminal.press(ESCAPE)
        terminal.until("pool", "/ searches prompts")


def test_a_hostile_completion_is_text_and_moves_no_cursor(tmp_path: Path) -> None:
    control = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e"
    lines = [
        {"step": t, "prompt_id": f"q{p}", "prompt": HOSTILE, "reward": (t + j) % 2}
        | {"completion": f"answer {p} {control}{HOSTILE}", "category": f"{control}c{p}"}
        for t in range(30)
        for p in range(2)
        for j in range(2)
    ]
    with watching(write_lines(tmp_path / "log.jsonl", lines)) as terminal:
        first = terminal.until("/ searches prompts")
        terminal.press("/q1\r")
        second = terminal.until("prompt q1", "answer 1 ·[2J·]0;owned··31m·", HOSTILE.splitlines()[0][:30])
        for shown in (first, second):
            # The view itself clears the screen when it opens, and sets no title.
            assert "\x1b]0;" not in shown
            assert "\x9b" not in shown
            assert "\u202e" not in shown
        assert "\x1b[2J" not in second
