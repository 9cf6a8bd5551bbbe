"""Identity of prompts: an id where there is one, the hash of the content otherwise; categories beside it."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgewise.arrays import whole_as_int
from edgewise.replay.logs.values import is_missing


def digest(prompt: Any) -> str:
    """16 hex digits of a prompt's content: text, or messages without the keys that hold nothing.

    The adapters make the same ids, so what is read from a log and what a curriculum has saved belong together.
    """
    text = prompt if isinstance(prompt, str) else json.dumps(_bare(prompt), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


DENSE = 2**24
"""Ids that are numbers below this are looked up in a table."""


def _small(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < 2**53


def _label(category: Any) -> str:
    return str(whole_as_int(category))[:200]


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_bare(item) for item in value]
    return value


class PromptIndex:
    """Rows of prompts in the order in which they first come, with the first category named for each.

    Attributes:
        shared: ids that stand for prompts of several categories.
    """

    def __init__(self) -> None:
        self._rows: dict[Any, int] = {}
        self._names: dict[str, int] = {}
        self._codes: list[int] = []
        # Of the prompts that have come first under an id of a log with categories.
        self._digests: dict[Any, str] = {}
        self.shared: set[Any] = set()
        self._texts = False
        self._known: dict[Any, int] = {}
        self._table = np.empty(0, np.int32)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, identifier: Any, category: Any = None) -> int:
        """Row of a prompt; a new one if it has not come before. A number and its text are one id: 17 and "17"."""
        known = len(self._rows)
        if identifier not in self._rows:
            identifier = self._twin(identifier)
            self._texts = self._texts or isinstance(identifier, str)
        row = self._rows.setdefault(identifier, known)
        if row == known:
            self._codes.append(0)
        if category is not None and not self._codes[row]:
            self._codes[row] = self.code(category)
        return row

    def key(self, identifier: Any, category: Any, prompt: Any) -> Any:
        """The id that a prompt has here: that of the log, with the category before it where prompts of several have the same.

        Ids may be numbered in each category. Where prompts are logged, the same prompt stays one, whatever its category is.
        """
        known = identifier if identifier in self._rows else self._twin(identifier)
        row = self._rows.get(known)
        if row is None:
            if not is_missing(prompt):
                self._digests[known] = digest(prompt)
            return known
        code = self.code(category)
        if not code or self._codes[row] in (0, code):
            return known
        if known in self._digests and not is_missing(prompt) and self._digests[known] == digest(prompt):
            return known
        self.shared.add(known)
        return f"{_label(category)}/{known}"

    def _twin(self, identifier: Any) -> Any:
        """The id by which a prompt has come before in the other type, or the id itself."""
        if isinstance(identifier, str):
            other: Any = int(identifier) if identifier.isdecimal() and len(identifier) < 16 else None
            return other if str(other) == identifier and other in self._rows else identifier
        return str(identifier) if self._texts and str(identifier) in self._rows else identifier

    def rows(self, identifiers: Sequence[Any]) -> np.ndarray:
        """Rows of int or str ids, new ones where they have not come before, int32 (n,); ValueError where one is missing."""
        if identifiers and type(identifiers[0]) is int:
            try:
                numbers = np.frombuffer(array("q", identifiers), np.int64)
            except (TypeError, OverflowError):
                numbers = np.empty(0, np.int64)
            if len(numbers) and numbers.min() >= 0 and numbers.max() < DENSE and not self._texts:
                return self._dense(numbers)
        found = list(map(self._rows.get, identifiers))
        if None in found:
            if any(map(is_missing, identifiers)):
                raise ValueError("a prompt has no id")
            keys = map(whole_as_int, identifiers)
            found = [self.row(key if isinstance(key, str) or _small(key) else str(key)) for key in keys]
        return np.array(found, np.int32)

    def _dense(self, numbers: np.ndarray) -> np.ndarray:
        """Rows of small numbers, by a table instead of a dictionary."""
        top = int(numbers.max()) + 1
        if top > len(self._table):
            self._table = np.concatenate(
                [self._table, np.full(max(top, 2 * len(self._table)) - len(self._table), -1, np.int32)]
            )
        found = self._table[numbers]
        if found.min() >= 0:
            return found
        fresh = list(dict.fromkeys(numbers[found < 0].tolist()))
        known = len(self._rows)
        self._rows.update(
            zip((key for key in fresh if key not in self._rows), range(known, known + len(fresh)), strict=False)
        )
        self._codes += [0] * (len(self._rows) - known)
        self._table[fresh] = [self._rows[key] for key in fresh]
        return self._table[numbers]

    def categories(self, names: Sequence[Any]) -> np.ndarray:
        """Codes of categories, new ones where they have not come before, int32 (n,)."""
        found: list[Any] = list(map(self._known.get, names))
        if None in found:
            found = [self.code(name) for name in names]
            for name, code in zip(names, found, strict=True):
                if name is None or isinstance(name, str):
                    self._known[name] = code
        return np.array(found, np.int32)

    def code(self, category: Any) -> int:
        """Code of a category, from 1 on; 0 for none."""
        if is_missing(category):
            return 0
        return self._names.setdefault(_label(category), len(self._names) + 1)

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
