"""Method of selection in one word, as command lines, configs and tables write it: `edge`, `mopps:decay=0.5`, `edge+ds`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgewise.errors import ConfigError, unknown_name
from edgewise.gates import Gate, gates, make_gate
from edgewise.pool import PromptPool
from edgewise.selectors.base import Selector, list_selectors, make_selector, selectors

GATED = "+ds"
DYNAMIC_SAMPLING = "ds"
DAPO = {"refill": "batch"}
"""Options of the gate that `+ds` stands for: whole generation batches, whose surplus counts for the next step, as in DAPO's code."""


OF_THE_RUN = ("rollouts", "seed")
"""Arguments of selectors that are the same for every method of a comparison."""


@dataclass(frozen=True)
class Method:
    """A selector by name with its options, and whether dynamic sampling follows it: the informative gate, with refill.

    Attributes:
        name: what tables call it.
        selector: registered name, or a function (pool, rollouts=, seed=, options) that makes one.
        options: options of the selector.
        gated: uninformative groups are dropped and refilled.
        gate_options: options of the informative gate.

    Example:
        >>> method = Method.parse("edge:exploration=0+ds")
        >>> method.selector, method.options, method.gates
        ('edge', {'exploration': 0}, [Informative(max_rounds=10, refill='batch')])
        >>> method.make(PromptPool(range(3)), rollouts=4, seed=1).rollouts
        4
    """

    name: str
    selector: str | Callable[..., Selector]
    options: Mapping[str, Any] = field(default_factory=dict)
    gated: bool = False
    gate_options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Method:
        """Read `selector[:option=value]...[+ds[:option=value]...]`; `ds` is `uniform+ds`. Values are JSON, or else text.

        `+ds` refills with whole batches as DAPO does; `+ds:refill=shortfall` selects as many prompts as are missing.

        Raises:
            ConfigError: no such selector, an option without a value, or one that the selector does not take.
        """
        written = "uniform+" + text if text.split(":")[0] == DYNAMIC_SAMPLING else text
        before, plus, after = written.partition(GATED)
        selector, *parts = before.split(":")
        if not selectors.holds(selector):
            raise unknown_name("method", selector, [DYNAMIC_SAMPLING, *list_selectors()])
        if after and not after.startswith(":"):
            raise ConfigError(f"'{after}' in '{text}' is not an option of the gate; write +ds:name=value")
        options, gate_options = _options(parts, selector, text), _options(after.split(":")[1:], GATED, text)
        selectors.check(selector, options, given=1)
        gates.check("informative", gate_options)
        return cls(text, selector, options, bool(plus), {**DAPO, **gate_options} if plus else {})

    @property
    def gates(self) -> list[Gate]:
        """Gates of the curriculum."""
        return [make_gate("informative", **self.gate_options)] if self.gated else []

    def make(self, pool: PromptPool, *, rollouts: int = 8, seed: int = 0) -> Selector:
        """The selector over `pool`."""
        if callable(self.selector):
            return self.selector(pool, rollouts=rollouts, seed=seed, **self.options)
        return make_selector(self.selector, pool, rollouts=rollouts, seed=seed, **self.options)


def listed(text: str) -> list[str]:
    """Names of methods separated by commas; those within brackets belong to a value.

    Raises:
        ConfigError: there is none.

    Example:
        >>> listed("edge, mopps:threshold=[0.3,0.7]")
        ['edge', 'mopps:threshold=[0.3,0.7]']
    """
    names, depth = [""], 0
    for sign in text:
        depth += (sign in "[{(") - (sign in ")}]")
        if sign == "," and depth <= 0:
            names.append("")
        else:
            names[-1] += sign
    found = [name.strip() for name in names if name.strip()]
    if not found:
        raise ConfigError(f"'{text}' names no method; write one or more, separated by commas")
    return found


def _options(parts: list[str], owner: str, text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for part in parts:
        option, equals, value = part.partition("=")
        if not equals or not option:
            raise ConfigError(f"'{part}' in '{text}' is not an option; write {owner}:name=value")
        if option in options:
            raise ConfigError(f"'{text}' gives {option} twice")
        if option in OF_THE_RUN:
            raise ConfigError(f"{option} in '{text}' is a setting of the run, not of a method")
        options[option] = _value(value)
    return options


def _value(text: str) -> Any:
    """JSON where it is JSON (numbers, true, null, lists), numbers as `.5` too, text otherwise."""
    for read in (json.loads, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
