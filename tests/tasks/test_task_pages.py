"""Pages of the tasks: their Python blocks run as one program each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "tasks"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", ["index", "math", "school", "countdown", "reasoning_gym"])
def test_the_code_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((DOCS / f"{page}.md").read_text(encoding="utf-8"))
    assert blocks
    exec(compile("\n".join(blocks), f"{page}.md", "exec"), {"__name__": page})
