"""Names for interchangeable parts, so that the CLI, configs and third-party packages find them."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from numbers import Number
from typing import Any, Generic, TypeVar

from edgewise.errors import ConfigError, unknown_name

log = logging.getLogger("edgewise")
T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., Any])


class Registry(Generic[T]):
    """Factories of one kind by name; third parties add theirs through the entry-point group `edgewise.<kind>s`.

    Example:
        >>> shapes: Registry[list[int]] = Registry("shape")
        >>> @shapes.register("square")
        ... def square(side: int = 1) -> list[int]:
        ...     return [side, side]
        >>> shapes.make("square", side=2), shapes.names()
        ([2, 2], ['square'])
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._factories: dict[str, Callable[..., T]] = {}
        # Reason why a part of an installed package cannot be had, by name.
        self._faults: dict[str, str] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[C], C]:
        """Decorator: make a class or function known under `name`.

        Raises:
            ConfigError: a name that a method in a word cannot hold, one that another module has taken, or no class or function.
        """
        if not re.fullmatch(r"[\w.-]+", name):
            raise ConfigError(f"a {self.kind} has a name of letters, digits, '_', '.' and '-', got '{name}'")

        def add(factory: C) -> C:
            if not callable(factory):
                raise ConfigError(f"the {self.kind} {name} must be a class or a function, got {factory!r:.100}")
            taken = getattr(self._factories.get(name, factory), "__module__", None)
            if taken != getattr(factory, "__module__", None):
                raise ConfigError(f"the {self.kind} {name} is that of {taken} already; choose another name")
            self._factories[name] = factory
            return factory

        return add

    def names(self) -> list[str]:
        self._discover()
        return sorted(self._factories)

    def holds(self, name: str) -> bool:
        """Whether `name` is registered; installed packages are searched only for names that are not built in."""
        if name not in self._factories:
            self._discover()
        return name in self._factories or name in self._faults

    def get(self, name: str) -> Callable[..., T]:
        """The factory called `name`; an unknown name raises `ConfigError` with the nearest known one."""
        if not self.holds(name):
            raise unknown_name(self.kind, name, self._factories)
        if name not in self._factories:
            raise ConfigError(self._faults[name])
        return self._factories[name]

    def accepted(self, name: str, **offered: Any) -> dict[str, Any]:
        """Those of the offered options that `name` takes."""
        parameters = inspect.signature(self.get(name)).parameters
        return {option: value for option, value in offered.items() if option in parameters}

    def check(self, name: str, options: Iterable[str], given: int = 0) -> None:
        """Raise `ConfigError` for options that `name` does not take, with those it does, beyond the first `given`."""
        parameters = inspect.signature(self.get(name)).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            known = list(parameters)[given:]
            for option in options:
                if option not in known:
                    raise unknown_name(f"option of {self.kind} {name}", option, known)

    def make(self, name: str, *args: Any, **options: Any) -> T:
        """Build `name`; options it does not take raise `ConfigError` with those it does."""
        self.check(name, options, len(args))
        try:
            return self.get(name)(*args, **options)
        except (TypeError, ValueError, OverflowError) as error:
            odd = self._not_numbers(name, options) or self._missing(name, len(args), options)
            raise ConfigError(f"{self.kind} {name}: {'; '.join(odd) or error}") from error

    def _not_numbers(self, name: str, options: Mapping[str, Any]) -> list[str]:
        """Options that are numbers by their default and were given something else, a sentence each."""
        parameters = inspect.signature(self.get(name)).parameters
        return [
            f"{option} must be a number, got {value!r:.80}"
            for option, value in options.items()
            if isinstance(getattr(parameters.get(option), "default", None), int | float)
            and not isinstance(value, Number)
        ]

    def _missing(self, name: str, given: int, options: Mapping[str, Any]) -> list[str]:
        """Options without a default that were not given, a sentence each."""
        parameters = list(inspect.signature(self.get(name)).parameters.values())[given:]
        return [
            f"{parameter.name}= is needed, it has no default"
            for parameter in parameters
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            and parameter.name not in options
        ]

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        # Imported here: it costs more than the rest of the core together and built-in names never need it.
        from importlib.metadata import entry_points

        for point in entry_points(group=f"edgewise.{self.kind}s"):
            try:
                self.register(point.name)(point.load())
            except Exception as error:  # whatever a foreign package raises: it takes none of the others away
                fault = f"the {self.kind} {point.name}, an entry point to {point.value}, cannot be used: {error!r}"
                log.warning("%s", fault)
                self._faults[point.name] = fault
