"""Method of selection in one word, as command lines, configs and tables write it: `edge`, `mopps:decay=0.5`, `edge+ds`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgewise.errors import ConfigError, unknown_name
from edgewise.pool import PromptPool
from edgewise.selectors.base import Selector, list_selectors, make_selector, selectors

GATED = "+ds"
DYNAMIC_SAMPLING = "ds"


@dataclass(frozen=True)
class Method:
    """A selector by name with its options, and whether dynamic sampling follows it: the informative gate, with refill.

    Attributes:
        name: what tables call it.
        selector: registered name, or a function (pool, rollouts=, seed=, options) that makes one.
        options: options of the selector.
        gated: uninformative groups are dropped and refilled.

    Example:
        >>> method = Method.parse("edge:exploration=0+ds")
        >>> method.selector, method.options, method.gates
        ('edge', {'exploration': 0}, ['informative'])
        >>> method.make(PromptPool(range(3)), rollouts=4, seed=1).rollouts
        4
    """

    name: str
    selector: str | Callable[..., Selector]
    options: Mapping[str, Any] = field(default_factory=dict)
    gated: bool = False

    @classmethod
    def parse(cls, text: str) -> Method:
        """Read `selector[:option=value]...[+ds]`; `ds` alone is `uniform+ds`. Values are JSON, or else text.

        Raises:
            ConfigError: no such selector, an option without a value, or one that the selector does not take.
        """
        written = "uniform" + GATED if text == DYNAMIC_SAMPLING else text
        selector, *parts = written.removesuffix(GATED).split(":")
        if selector not in (known := list_selectors()):
            raise unknown_name("method", selector, [DYNAMIC_SAMPLING, *known])
        options: dict[str, Any] = {}
        for part in parts:
            option, equals, value = part.partition("=")
            if not equals:
                raise ConfigError(f"'{part}' in '{text}' is not an option; write {selector}:name=value")
            options[option] = _value(value)
        selectors.check(selector, options, given=1)
        return cls(text, selector, options, written.endswith(GATED))

    @property
    def gates(self) -> list[str]:
        """Gates of the curriculum, by name."""
        return ["informative"] if self.gated else []

    def make(self, pool: PromptPool, *, rollouts: int = 8, seed: int = 0) -> Selector:
        """The selector over `pool`."""
        if callable(self.selector):
            return self.selector(pool, rollouts=rollouts, seed=seed, **self.options)
        return make_selector(self.selector, pool, rollouts=rollouts, seed=seed, **self.options)


def _value(text: str) -> Any:
    """JSON where it is JSON (numbers, true, null, lists), numbers as `.5` too, text otherwise."""
    for read in (json.loads, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
