"""Examples in the docstrings of log import run."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["folders", "savings"])
def test_examples_of_the_import_give_what_they_show(name: str) -> None:
    result = doctest.testmod(
        importlib.import_module(f"edgewise.replay.logs.{name}"), optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert result.attempted
    assert not result.failed
