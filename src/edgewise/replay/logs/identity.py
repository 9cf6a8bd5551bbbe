"""Identity of prompts: an id where there is one, the hash of the content otherwise; categories beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np


def digest(prompt: Any) -> str:
    """16 hex digits of a prompt's content: text, or messages without the keys that hold nothing.

    The adapters make the same ids, so what is read from a log and what a curriculum has saved belong together.
    """
    text = prompt if isinstance(prompt, str) else json.dumps(_bare(prompt), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _small(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < 2**53


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_bare(item) for item in value]
    return value


class PromptIndex:
    """Rows of prompts in the order in which they first come, with the first category named for each."""

    def __init__(self) -> None:
        self._rows: dict[Any, int] = {}
        self._names: dict[str, int] = {}
        self._codes: list[int] = []

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, identifier: Any, category: Any = None) -> int:
        """Row of a prompt; a new one if it has not come before."""
        known = len(self._rows)
        row = self._rows.setdefault(identifier, known)
        if row == known:
            self._codes.append(0)
        if category is not None and not self._codes[row]:
            self._codes[row] = self.code(category)
        return row

    def rows(self, identifiers: Sequence[Any]) -> list[int]:
        """Rows of int or str ids, new ones where they have not come before."""
        known = self._rows
        found = [known.get(identifier, -1) for identifier in identifiers]
        if -1 in found:
            found = [self.row(key if isinstance(key, str) or _small(key) else str(key)) for key in identifiers]
        return found

    def categories(self, names: Sequence[Any]) -> list[int]:
        """Codes of categories, new ones where they have not come before."""
        known = self._names
        found = [known.get(name, 0) for name in names]
        return found if 0 not in found else [self.code(name) for name in names]

    def code(self, category: Any) -> int:
        """Code of a category, from 1 on; 0 for none."""
        if category is None or category != category:
            return 0
        text = str(int(category)) if isinstance(category, float) and category.is_integer() else str(category)
        return self._names.setdefault(text[:200], len(self._names) + 1)

    @property
    def ids(self) -> np.ndarray:
        """Identifiers by row, all int or all str, (n,)."""
        keys = list(self._rows)
        if keys and all(isinstance(key, int) for key in keys):
            return np.array(keys, np.int64)
        return np.array([str(key) for key in keys] or np.empty(0, "U1"))

    @property
    def codes(self) -> np.ndarray:
        """Category code by row, int64 (n,)."""
        return np.array(self._codes, np.int64)

    @property
    def names(self) -> list[str]:
        return list(self._names)
