"""Outputs that pages show are what the commands and blocks print today."""

import pytest
from tools.outputs import outputs

from tests.docs.blocks import ROOT, blocks

pytest.importorskip("pyarrow")
PAGES = [
    page
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if "<!-- output in " in page.read_text() or "<!-- printed -->" in page.read_text()
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_outputs_of_a_page_are_those_of_today(page):
    found = list(outputs(page))
    assert found
    for output in found:
        assert output.shown.split() == output.now.split(), f"{output.what}: python -m tools.outputs --fix"


@pytest.mark.parametrize("mark", ["<!-- output in . of: edgewise --version -->", "<!-- printed -->"])
def test_a_mark_without_a_block_is_refused(tmp_path, mark):
    page = tmp_path / "page.md"
    page.write_text(f"```python\nprint(1)\n```\n\n{mark}\n\n```text\n1\n```\n")
    with pytest.raises(ValueError, match=r"page\.md: a mark of an output has no block"):
        list(outputs(page))


def test_the_readme_quotes_the_tutorial():
    quoted = next(block for block in blocks(ROOT / "README.md", "text") if "of your rollouts" in block)
    tutorial = " ".join((ROOT / "docs" / "tutorials" / "savings.md").read_text().split())
    parts = [" ".join(part.split()) for part in quoted.split("...") if part.strip()]
    assert len(parts) == 2
    assert [part for part in parts if part not in tutorial] == []
