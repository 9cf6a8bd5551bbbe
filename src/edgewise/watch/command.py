"""The `edgewise watch` command, without its command line."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any

from edgewise.arrays import whole_number
from edgewise.checkpoint import require_place, write_atomic, writing_to
from edgewise.errors import ConfigError
from edgewise.replay.logs import open_logs
from edgewise.replay.logs.rollouts import Progress
from edgewise.watch.page import embedded_prompts, page
from edgewise.watch.pairs import paired
from edgewise.watch.prompts import history, row_of, search
from edgewise.watch.watcher import Watcher


def main(
    paths: tuple[Path, ...],
    *,
    once: bool = False,
    json: bool = False,
    html: Path | None = None,
    web: bool = False,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    prompt: str | None = None,
    every: float = 3.0,
    columns: str | None = None,
    success: float | None = None,
    scale: tuple[float, float] | None = None,
) -> None:
    """Show runs of any trainer from their logs, running or finished: what selection saves, alarms, the pool over time.

    Args:
        paths: logs, as for replay, of one run or of several; they are only read.
        once: print once, as text.
        json: print once, as JSON.
        html: write one page that needs no server.
        web: serve the page until Ctrl-C.
        host: interface of the page; others than this machine's own need a token.
        port: of the page; 0 takes any that is free.
        token: required with every request.
        prompt: print the groups and completions of this prompt id.
        every: seconds between two looks at the logs.
        columns: role=column,... for names that are not recognised.
        success: reward from which on a rollout is correct; 0.5 for rewards in [0, 1].
        scale: the rewards that stand for 0 and for 1.

    Raises:
        ConfigError: no log, one that cannot be read, or options that exclude each other.
    """
    if not 0 < every < threading.TIMEOUT_MAX:
        raise ConfigError(f"--every takes seconds above 0, got {every}")
    if sum([once, json, html is not None, web, prompt is not None]) > 1:
        raise ConfigError("choose one of --once, --json, --html, --web and --prompt")
    port = whole_number("--port", port, 0, ConfigError, below=2**16)
    if html is not None:
        require_place(html, read=paths)
    find = partial(open_logs, paths, columns=columns, success=success, scale=scale)
    watcher = Watcher(find(), lambda refused: find(refused=refused))
    with _bar() as progress:
        watcher.update(progress)
    if json:
        print(dumps({"runs": watcher.views, "pairs": paired(watcher.views)}, indent=1, allow_nan=False))
    elif html is not None:
        text = page(watcher.views, prompts=embedded_prompts(watcher.readers))
        # A completion may hold half a surrogate pair, which UTF-8 cannot write.
        with writing_to(html):
            write_atomic(html, text.encode("utf-8", "replace"))
        print(f"page: {html}")
    elif prompt is not None:
        _print_prompt(watcher, prompt)
    elif web:
        _serve(watcher, host, port, token, every)
    elif once or not sys.stdout.isatty():
        _print(watcher)
    else:
        _live(watcher, every)


def _print(watcher: Watcher) -> None:
    from edgewise.watch.terminal import render

    console = _console()
    console.print(render(watcher.views, console.width))


def _print_prompt(watcher: Watcher, identifier: str) -> None:
    from edgewise.watch.terminal import plain, prompt_text

    for reader in watcher.readers:
        row = row_of(reader.log, identifier)
        if row is not None:
            _console().print(prompt_text(history(reader, row)))
            return
    near = [plain(entry["id"], 60) for reader in watcher.readers for entry in search(reader.log, identifier, 5)]
    if near:
        hint = f"; prompts that contain it: {', '.join(near[:5])}"
    else:
        hint = next((f"; ids are such as '{plain(r.log.ids[0], 60)}'" for r in watcher.readers if len(r.log.ids)), "")
    raise ConfigError(f"no prompt has the id '{plain(identifier, 80)}'{hint}")


def _live(watcher: Watcher, every: float) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from edgewise.watch.finder import Finder, Keys
    from edgewise.watch.terminal import render

    console, finder = _console(), Finder()

    def picture() -> Any:
        if finder.active:
            with watcher.lock:
                shown = finder.render(watcher.readers, console.width, console.height)
            return Group(shown, Text("\n  Escape goes back to the runs · Ctrl-C ends", style="dim"))
        shown = render(watcher.views, console.width, console.height)
        return Group(shown, Text(f"\n  / searches prompts · looks again every {every:g} s · Ctrl-C ends", style="dim"))

    watcher.follow(every)
    try:
        with (
            Keys() as keys,
            Live(picture(), console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live,
        ):
            seen, size = watcher.version, console.size
            while True:
                pressed = keys.read(0.2)
                finder.press(pressed)
                if pressed or watcher.version != seen or console.size != size or int(time.time()) % 5 == 0:
                    seen, size = watcher.version, console.size
                    live.update(picture(), refresh=True)
    except KeyboardInterrupt:
        pass
    finally:
        watcher.stop()
    console.print(render(watcher.views, console.width))


def _serve(watcher: Watcher, host: str, port: int, token: str | None, every: float) -> None:
    from edgewise.watch.server import Server

    server = Server(watcher, host, port, token, every)
    server.start()
    watcher.follow(every)
    print(f"edgewise watch: {server.address}\nCtrl-C ends", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        pass
    finally:
        watcher.stop()
        server.stop()


def _console() -> Any:
    if importlib.util.find_spec("rich") is None:
        raise ConfigError("the terminal view needs rich: pip install 'edgewise[logs]' (--json works without)")
    from rich.console import Console

    # Where COLUMNS is 0, as in some containers, rich prints nothing.
    fixed = "COLUMNS" in os.environ or not sys.stdout.isatty()
    return Console(width=shutil.get_terminal_size().columns if fixed else None, highlight=False)


@contextmanager
def _bar() -> Iterator[Progress | None]:
    from edgewise.replay.logs.command import reading_bar

    with reading_bar("reading") as show:
        yield show
