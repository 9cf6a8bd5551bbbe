"""Search for prompts in the terminal view: keys as they are pressed, the text that they make, and what it finds."""

from __future__ import annotations

import importlib.util
import os
import select
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgewise.replay.logs import LogReader
from edgewise.watch.prompts import history, search
from edgewise.watch.terminal import STYLE, plain, prompt_text, sparkline

if TYPE_CHECKING:
    from rich.console import RenderableType

LONGEST = 80
"""Characters of a search at most."""
ESCAPE, BACKSPACE = "\x1b", ("\x7f", "\b")


class Finder:
    """Text that is searched for. `/` begins it, Enter ends its typing, Escape clears it.

    Example:
        >>> finder = Finder()
        >>> finder.press("q/level 03\\r")
        >>> finder.text, finder.typing
        ('level 03', False)
        >>> finder.press("\\x1b")
        >>> finder.active
        False
    """

    def __init__(self) -> None:
        self.text, self.typing = "", False

    @property
    def active(self) -> bool:
        """Whether prompts are shown instead of the runs."""
        return self.typing or bool(self.text)

    def press(self, keys: str) -> None:
        """Take in keys, in order; those of the terminal, such as arrows, clear the search as Escape does."""
        if keys.startswith(ESCAPE):
            self.text, self.typing = "", False
            return
        for key in keys:
            if key == "/" and not self.typing:
                self.text, self.typing = "", True
            elif key in "\r\n":
                self.typing = False
            elif self.typing and key in BACKSPACE:
                self.text = self.text[:-1]
            elif self.typing and key.isprintable():
                self.text = (self.text + key)[:LONGEST]

    def render(self, readers: Sequence[LogReader], width: int, height: int) -> RenderableType:
        """Prompts whose id or category contains the text; the groups and completions of one that is found alone."""
        from rich.console import Group
        from rich.text import Text

        head = Text.assemble(
            ("search ", "dim"), (plain(self.text, LONGEST), "bold"), ("▏" if self.typing else "", "blink")
        )
        parts: list[RenderableType] = [head]
        found = [(reader, entry) for reader in readers for entry in search(reader.log, self.text, max(height - 6, 4))]
        if not found:
            parts.append(Text("no prompt's id or category contains it", "dim"))
        elif len(found) == 1:
            reader, entry = found[0]
            parts.append(prompt_text(history(reader, entry["row"])))
        else:
            parts.append(self._table(found, width, many=len(readers) > 1))
        return Group(*parts)

    @staticmethod
    def _table(found: Sequence[tuple[LogReader, dict[str, Any]]], width: int, *, many: bool) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 1), header_style="dim")
        table.add_column("prompt", no_wrap=True, max_width=max(width - 70, 16))
        for name in ("category", "state", "groups", "last step", "success rate"):
            table.add_column(name, no_wrap=True, justify="right" if name in ("groups", "last step") else "left")
        if many:
            table.add_column("run", no_wrap=True, max_width=20)
        for reader, entry in found:
            table.add_row(
                plain(entry["id"], 60),
                plain(entry["category"] or "–", 20),
                Text(entry["state"], STYLE[entry["state"]]),
                f"{entry['groups_count']:,}",
                "–" if entry["last_step"] is None else f"{entry['last_step']:,}",
                Text(sparkline(entry["rates"], len(entry["rates"]), 1.0), "green"),
                *([plain(reader.name, 20)] if many else []),
            )
        return table


class Keys:
    """Keys of this process's terminal, without Enter and without echo, as long as it is open; none where there is no terminal."""

    def __enter__(self) -> Keys:
        self._before: Any = None
        if importlib.util.find_spec("termios") is not None and sys.stdin.isatty():
            import termios
            import tty

            self._descriptor = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._descriptor)
            # Ctrl-C stays what it is.
            tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def read(self, seconds: float) -> str:
        """Keys that are pressed within so many seconds, as soon as there are any."""
        if self._before is None:
            time.sleep(seconds)
            return ""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return ""
        return os.read(self._descriptor, 256).decode("utf-8", "ignore")
