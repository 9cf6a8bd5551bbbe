"""Contexts: the names of a problem's quantities. A new one is one small data file in `contexts/`, or anywhere else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgewise.errors import ConfigError, unknown_name

FOLDER = Path(__file__).parent / "contexts"
PLACES, ITEMS = 10, 5
"""The fewest that a context needs, for problems of 40 operations."""
NAME = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*(?: [^\W\d_]+(?:['-][^\W\d_]+)*)*")


@dataclass(frozen=True)
class Context:
    """Places, the items that each may have, and what all the items of a place are called together."""

    name: str
    places: tuple[str, ...]
    items: tuple[str, ...]
    all: str

    def quantity(self, place: int, item: int) -> str:
        """The name of the number of items of a kind in a place; item -1 stands for all of them."""
        return f"{self.items[item]} in {self.places[place]}" if item >= 0 else self.total(place)

    def total(self, place: int) -> str:
        return f"total number of {self.all} in {self.places[place]}"


def context_names() -> list[str]:
    """The contexts that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


@cache
def load_context(name: str) -> Context:
    """A context by name, or by the path of its file (ending in .json).

    Raises:
        ConfigError: there is no such context, or its file does not hold `places` (at least 10), `items` (at least 5) and
            `all`: distinct names made of letters, single spaces, hyphens and apostrophes.
    """
    path = Path(name) if name.endswith(".json") else FOLDER / f"{name}.json"
    if path.parent == FOLDER and not path.exists():
        raise unknown_name("context", name, context_names())
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"cannot read the context in {path}: {error}") from error
    if not isinstance(given, dict) or set(given) != {"places", "items", "all"}:
        raise ConfigError(f"the context in {path} must be an object with places, items and all")
    for key, fewest in (("places", PLACES), ("items", ITEMS)):
        if not isinstance(given[key], list) or len(given[key]) < fewest:
            raise ConfigError(f"the context in {path} needs a list of at least {fewest} {key}")
    words = [*given["places"], *given["items"], given["all"]]
    for word in words:
        if not isinstance(word, str) or not NAME.fullmatch(word) or {"in", "as", "Define"} & set(word.split()):
            raise ConfigError(
                f"{word!r} in {path} is not a name of letters, single spaces, hyphens and apostrophes, without the words"
                " in, as and Define"
            )
        if words.count(word) > 1:
            raise ConfigError(f"'{word}' stands twice in the context in {path}")
    return Context(path.stem, tuple(given["places"]), tuple(given["items"]), given["all"])
