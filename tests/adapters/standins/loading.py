"""Puts a stand-in on the path for one test, with the adapter imported on it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def _forget(*packages: str) -> None:
    for name in list(sys.modules):
        if any(name == package or name.startswith(package + ".") for package in packages):
            del sys.modules[name]


@contextmanager
def standing_in(folder: str, package: str, *others: str) -> Iterator[Any]:
    """The adapter `edgewise.adapters.<package>`, importing the stand-in of `package` (and `others`) in `folder`."""
    adapter = f"edgewise.adapters.{package}"
    _forget(package, adapter, *others)
    sys.path.insert(0, str(FOLDER / folder))
    importlib.invalidate_caches()
    try:
        yield importlib.import_module(adapter)
    finally:
        sys.path.remove(str(FOLDER / folder))
        _forget(package, adapter, *others)
        importlib.invalidate_caches()
