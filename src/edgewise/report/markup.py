"""HTML elements: text from models and categories is escaped and cannot become markup."""

from __future__ import annotations

import html
import json
import math
from typing import Any

VOID = frozenset({"img", "input", "meta"})


class Html(str):
    """Markup that is safe to insert."""


def h(tag: str, *children: str | None, **attributes: str | bool | None) -> Html:
    """An element. Plain strings are escaped, `Html` is not; `class_` and `data_x` become class and data-x.

    None leaves an attribute or a child out; True gives an attribute without a value.
    """
    parts = [f"<{tag}"]
    for name, value in attributes.items():
        key = name.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(f" {key}")
        elif value is not None and value is not False:
            parts.append(f' {key}="{html.escape(value)}"')
    parts.append(">")
    if tag not in VOID:
        parts += [join(*children), f"</{tag}>"]
    return Html("".join(parts))


def join(*children: str | None) -> Html:
    return Html("".join(c if isinstance(c, Html) else html.escape(c) for c in children if c is not None))


def data_script(identity: str, value: Any) -> Html:
    """A JSON island: `<` never appears in it, so nothing inside can end the script."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Html(
        f'<script type="application/json" id="{html.escape(identity)}">{text.replace("<", chr(92) + "u003c")}</script>'
    )


def section(name: str, text: str | None, *children: Html | None) -> Html:
    return h("section", h("h2", name), h("p", text, class_="about") if text else None, *children)


def swatch(colour: str, dash: str) -> Html:
    return h("i", class_=f"swatch {dash}", style=f"--of: {colour}", aria_hidden="true")


def exact(value: float) -> str:
    """The number as it stands in the summary, for readers that are programs."""
    return repr(value) if math.isfinite(value) else ""
