"""Code blocks of a page, and their execution one after the other in one namespace, as a reader would run them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def blocks(page: Path, language: str = "python") -> list[str]:
    """The fenced blocks of a language, in order. An HTML comment that begins with "run first" is a block that readers do not see."""
    pattern = rf"```{language}\n(.*?)```" if language != "python" else r"<!-- run first\n(.*?)-->|```python\n(.*?)```"
    return [next(part for part in found if part) if isinstance(found, tuple) else found
            for found in re.findall(pattern, page.read_text(), re.DOTALL)]  # fmt: skip


def run(page: Path, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run all blocks of a page; lines in errors are those of the block."""
    space: dict[str, Any] = {"__name__": "__page__", **(names or {})}
    for number, block in enumerate(blocks(page)):
        exec(compile(block, f"{page.name}, block {number}", "exec"), space)
    return space
