"""Page of runs: one HTML file that loads nothing, or the same page fed by a local server."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewise import report
from edgewise.replay.logs import LogReader
from edgewise.report.markup import Html, data_script, h
from edgewise.watch.pairs import paired
from edgewise.watch.prompts import history

HERE = Path(__file__).parent
BUDGET = 1_000_000
"""Bytes of a self-contained page for the histories and completions of prompts."""
WITH_TEXT = 40
"""Prompts of a run whose completions are part of a self-contained page."""
EMBEDDED = 400
"""Prompts of a run that are part of a self-contained page at most, those rolled out last."""


def page(
    views: Sequence[dict[str, Any]],
    *,
    prompts: dict[str, Any] | None = None,
    live: float | None = None,
    version: int = 0,
) -> str:
    """The whole document.

    Args:
        views: of the runs; see `edgewise.watch.view.view`.
        prompts: histories by number of the run, for a page without a server; see `embedded_prompts`.
        live: seconds between two questions for news to the server; None: a page without a server.
        version: of the data.
    """
    shared = Path(report.__file__).parent
    scripts = [path.read_text("utf-8") for path in (shared / "charts.js", HERE / "watch.js")]
    style = "".join(path.read_text("utf-8") for path in (shared / "style.css", HERE / "watch.css"))
    # Only these scripts run and only this style holds, whatever the data contain; nothing is loaded from elsewhere.
    source = "'self'" if live is not None else "'none'"
    policy = f"default-src 'none'; script-src {' '.join(map(_mark, scripts))}; style-src {_mark(style)}; connect-src {source}; base-uri 'none'; form-action 'none'"
    data = {
        "runs": list(views),
        "live": live is not None,
        "every": live or 0,
        "version": version,
        "prompts": prompts or {},
        "pairs": paired(views),
    }
    name = views[0]["name"] if len(views) == 1 else f"{len(views)} runs"
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", http_equiv="Content-Security-Policy", content=policy),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", name="color-scheme", content="light dark"),
        h("title", f"{name} · Edgewise watch"),
        h("style", Html(style)),
    )
    bar = h(
        "nav",
        h("span", "Edgewise watch", class_="brand"),
        h("div", class_="chips", role="group", aria_label="Show or hide runs in the charts"),
        h("span", "" if live is None else "live", id="state", role="status"),
        h("button", "◐", type="button", id="scheme", title="Light or dark", aria_label="Switch between light and dark"),
    )
    body = h(
        "body",
        bar,
        h("noscript", h("p", "This page needs JavaScript; `edgewise watch --once` prints the same as text.")),
        h("main"),
        h("footer", "Made by Edgewise from the logs of the run. Nothing is loaded from elsewhere."),
        data_script("data", data),
        *(h("script", Html(script)) for script in scripts),
    )
    return f"<!doctype html>\n{h('html', head, body, lang='en')}\n"


def embedded_prompts(readers: Sequence[LogReader]) -> dict[str, list[dict[str, Any]]]:
    """Histories of the prompts of each run that were rolled out last, within `BUDGET` bytes for all runs together."""
    result: dict[str, list[dict[str, Any]]] = {}
    for number, reader in enumerate(readers):
        left = BUDGET // len(readers)
        log, entries = reader.log, []
        if log.named:
            _, first = np.unique(log.rows[::-1], return_index=True)
            for place, row in enumerate(log.rows[::-1][np.sort(first)][:EMBEDDED].tolist()):
                entry = history(reader, row, completions=2 if place < WITH_TEXT else 0)
                left -= len(json.dumps(entry).encode("utf-8", "replace"))
                if left < 0:
                    break
                entries.append(entry)
        result[str(number)] = entries
    return result


def _mark(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
