"""Examples in the docstrings of the core run, and give what they show."""

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

import edgewise

SOURCES = Path(edgewise.__file__).parent
# The core: packages below the trainers' adapters and the laboratory, and single modules.
FILES = [
    *SOURCES.glob("*.py"),
    *(path for part in ("beliefs", "sampling", "selectors") for path in (SOURCES / part).glob("*.py")),
]
MODULES = sorted(
    ".".join(path.relative_to(SOURCES.parent).with_suffix("").parts)
    for path in FILES
    if path.stem not in ("__init__", "cli")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
