"""A method of selection in one word, as command lines and configs write it: `edge`, `mopps:decay=0.5`, `edge+ds`, `ds`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from edgewise.errors import ConfigError, unknown_name
from edgewise.selectors.base import list_selectors, selectors

GATE = "+ds"
DYNAMIC_SAMPLING = "ds"


@dataclass(frozen=True)
class Spec:
    """A selector by name with its options, and whether a gate with refill follows it (dynamic sampling)."""

    selector: str
    options: dict[str, Any]
    gated: bool


def parse(text: str) -> Spec:
    """Read `selector[:option=value]...[+ds]`; `ds` alone is `uniform+ds`. Values are JSON, or else text.

    Raises:
        ConfigError: no such selector, an option without a value, or one that the selector does not take.
    """
    name = "uniform" + GATE if text == DYNAMIC_SAMPLING else text
    gated = name.endswith(GATE)
    selector, *parts = name.removesuffix(GATE).split(":")
    if selector not in (known := list_selectors()):
        raise unknown_name("method", selector, [DYNAMIC_SAMPLING, *known])
    options: dict[str, Any] = {}
    for part in parts:
        option, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"'{part}' in '{text}' is not an option; write {selector}:name=value")
        options[option] = _value(value)
    selectors.check(selector, options, given=1)
    return Spec(selector, options, gated)


def _value(text: str) -> Any:
    """JSON where it is JSON (numbers, true, null, lists), numbers as `.5` too, text otherwise."""
    for read in (json.loads, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
