"""Values that are known of each prompt before a run: from a column of the dataset, from a JSON file, or by id."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewise.errors import ConfigError

log = logging.getLogger("edgewise")

Column = Callable[[str], Sequence[Any]]
"""Values of a column of the dataset by its name, (n,)."""


@dataclass(frozen=True)
class Known:
    """An option of the adapters that takes one value a prompt.

    Attributes:
        option: its name.
        values: plural noun of what it takes, for messages.
        command: command that writes such a file, for messages.
    """

    option: str
    values: str
    command: str

    def read(
        self, given: str | os.PathLike[str] | Mapping[Any, Any], ids: Sequence[Any], column: Column | None
    ) -> tuple[list[Any], str]:
        """The value of each prompt, (n,), None where there is none; and where they come from, for messages.

        Args:
            given: name of a column, a JSON file by id (its name ends in .json), or values by id.
            ids: of the prompts, (n,). In a JSON file an id is a text.
            column: the dataset's columns; None: the trainer's dataset has none.

        Raises:
            ConfigError: no such file, or values of which none belongs to these prompts.
        """
        if isinstance(given, Mapping):
            return self._by_id(given, ids, self.option), self.option
        if str(given).endswith(".json"):
            return self._by_id(self._read_file(Path(given)), [str(value) for value in ids], str(given)), str(given)
        if not isinstance(given, str):
            raise ConfigError(
                f"{self.option} are the name of a column, a file that ends in .json, or {self.values} by id, got"
                f" {given!r:.100}"
            )
        if column is None:
            raise ConfigError(
                f"{self.option}={given!r}: this trainer's prompts have no columns; give a file that ends in .json, as"
                f" {self.command} writes it, or {self.values} by id"
            )
        return list(column(given)), f"column '{given}'"

    def _by_id(self, known: Mapping[Any, Any], ids: Sequence[Any], source: str) -> list[Any]:
        found = sum(value in known for value in ids)
        if ids and not found:
            example = next(iter(known), None)
            raise ConfigError(
                f"none of the {len(known)} prompts of {source} is in the dataset: {source} has ids such as {example!r}, the"
                f" dataset ids such as {ids[0]!r}"
            )
        log.info("%s: %s of %d of %d prompts are known", source, self.values, found, len(ids))
        return [known.get(value) for value in ids]

    def _read_file(self, path: Path) -> dict[str, Any]:
        try:
            loaded = json.loads(path.read_text("utf-8-sig"))
        except OSError as error:
            raise ConfigError(f"{self.option}: {path} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{self.option}: {path} is no JSON: {error}") from error
        if not isinstance(loaded, dict):
            raise ConfigError(f"{self.option}: {path} must hold {self.values} by id, as {self.command} writes them")
        return loaded
