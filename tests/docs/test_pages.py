"""Every Python block of README and docs runs."""

import inspect
import pkgutil
import re

import pytest

from edgewise.beliefs import beliefs
from edgewise.gates import gates
from edgewise.selectors import selectors
from edgewise.tasks import tasks
from tests.docs.blocks import ROOT, blocks, run

ELSEWHERE = {"adapters", "tasks"}
"""Folders whose pages run in tests of their own, with the trainer, a stand-in or data."""
PAGES = sorted(
    page
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if not ELSEWHERE & set(page.relative_to(ROOT).parts) and blocks(page)
)


@pytest.fixture(autouse=True)
def registries_as_before(monkeypatch):
    """What a page registers is gone after it."""
    for registry in (selectors, beliefs, gates, tasks):
        monkeypatch.setattr(registry, "_factories", dict(registry._factories))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(page)


def test_pages_link_to_files_that_exist():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not target.startswith("mailto:"):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize(("registry", "name"), [(selectors, "selectors"), (beliefs, "beliefs")])
def test_the_reference_has_every_registered_part(registry, name):
    page = (ROOT / "docs" / "reference" / f"{name}.md").read_text()
    parts = [part.__name__ for part in registry._factories.values() if part.__module__.startswith("edgewise.")]
    assert len(parts) > 5
    assert [part for part in parts if not re.search(rf"\b{part}\b", page)] == []


REFERENCE = sorted(
    {
        name
        for page in (ROOT / "docs" / "reference").glob("*.md")
        for name in re.findall(r"^::: (\S+)", page.read_text(), re.M)
        if ".adapters." not in name
    }
)


def described(thing):
    """The functions of a part of the reference with the docstrings that describe their arguments."""
    if not inspect.isclass(thing):
        return [(thing, thing.__doc__)] if inspect.isroutine(thing) else []
    methods = [item for name, item in vars(thing).items() if inspect.isfunction(item) and not name.startswith("_")]
    return [(thing, thing.__doc__), *((method, method.__doc__) for method in methods)]


@pytest.mark.parametrize("name", REFERENCE)
def test_the_reference_describes_arguments_that_exist(name):
    # The documentation's site is not built without it.
    # Of a function and a module of one name, the function.
    place, _, last = name.rpartition(".")
    thing = getattr(pkgutil.resolve_name(place), last)
    for function, text in described(thing):
        section = re.search(r"^( *)Args:\n((?:\1    .*\n|\s*\n)*)", inspect.cleandoc(text or "") + "\n", re.M)
        found = re.findall(r"^    (\S.*?):(?:\s|$)", section[2], re.M) if section else []
        known = set(inspect.signature(function).parameters)
        assert set(found) <= known, f"{name}: {function.__name__}"
