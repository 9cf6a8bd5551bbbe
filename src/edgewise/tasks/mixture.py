"""Mixtures: shares that must sum to 1, of kinds and of whole difficulties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgewise.errors import ConfigError, unknown_name
from edgewise.tasks.base import is_finite, is_whole

TOLERANCE = 1e-6

Share = str | Mapping[Any, float]


def check_settings(given: Iterable[str], known: Sequence[str], what: str = "difficulty setting") -> None:
    """`ConfigError` for a name that is not known, with the nearest one that is."""
    for name in given:
        if name not in known:
            raise unknown_name(what, name, known)


def kinds(name: str, given: Share, known: Sequence[str]) -> dict[str, float]:
    """Kind -> share, of one kind or a mapping of kinds to shares; `ConfigError` for unknown kinds or another sum than 1."""
    if not isinstance(given, str | Mapping):
        raise ConfigError(f"{name} must be one of {', '.join(known)}, or their shares, got {given!r}")
    shares = {given: 1.0} if isinstance(given, str) else _checked(name, given)
    for kind in shares:
        if kind not in known:
            raise ConfigError(f"{name} must be one of {', '.join(known)}, or their shares, got '{kind}'")
    return shares


def numbers(name: str, given: Sequence[int] | Mapping[Any, float], low: int, high: int) -> dict[int, float]:
    """Number, such as an op -> share, of a range (first, last), all alike, or of a mapping such as {2: 0.1, "3-5": 0.9}; errors name the setting.

    Raises:
        ConfigError: not that, outside low..high, or shares that do not sum to 1.
    """
    shares: dict[int, float] = {}
    whole = isinstance(given, Sequence) and all(map(is_whole, given))
    if not isinstance(given, Mapping) and not whole:
        raise ConfigError(f"{name} must be a range (first, last) inside {low}..{high}, or shares, got {given!r}")
    ranges = _checked(name, given) if isinstance(given, Mapping) else {tuple(given): 1.0}
    for key, share in ranges.items():
        first, last = _range(key, low, high, name)
        for op in range(first, last + 1):
            shares[op] = shares.get(op, 0.0) + share / (last - first + 1)
    return shares


def components(mixture: Sequence[Mapping[str, Any]], known: Sequence[str]) -> list[tuple[float, dict[str, Any]]]:
    """(share, settings) of each component, a mapping with `share` and some of the known settings.

    Raises:
        ConfigError: not that, other settings, or shares that do not sum to 1.
    """
    if (
        not isinstance(mixture, Sequence)
        or not mixture
        or not all(isinstance(part, Mapping) and "share" in part for part in mixture)
    ):
        raise ConfigError(f"a mixture is a list of settings, each with a share, got {mixture!r}")
    for part in mixture:
        check_settings(part, ("share", *known), "setting in a mixture")
    _checked("mixture", dict(enumerate(part["share"] for part in mixture)))
    return [(float(part["share"]), {key: value for key, value in part.items() if key != "share"}) for part in mixture]


def _checked(name: str, given: Mapping[Any, float]) -> dict[Any, float]:
    numbers = all(is_finite(share) and share >= 0 for share in given.values())
    if not numbers or abs(sum(given.values()) - 1) > TOLERANCE:
        total = f", which is {sum(given.values()):g}" if numbers else ""
        raise ConfigError(f"the shares of {name} must be numbers >= 0 that sum to 1, got {list(given.values())}{total}")
    return dict(given)


def _range(key: Any, low: int, high: int, name: str) -> tuple[int, int]:
    pair = (key if isinstance(key, tuple) else str(key).split("-")) or [""]
    values = [int(part) if str(part).isdecimal() else -1 for part in pair]
    first, last = values[0], values[-1]
    if len(values) > 2 or not low <= first <= last <= high:
        raise ConfigError(
            f"{name} must be a range inside {low}..{high}, or shares such as {{3: 0.5, '4-5': 0.5}}, got {key}"
        )
    return first, last
