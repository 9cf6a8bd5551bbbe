"""Errors that name the culprit: what was given, what was expected, what to do."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable


class EdgewiseError(Exception):
    """Base of every error that Edgewise raises on purpose."""


class PoolError(EdgewiseError):
    """Ids, rows or counts that do not fit the prompt pool."""


class RewardError(EdgewiseError):
    """Rewards, successes or trials outside their range, or for a batch that is not in flight."""


class CheckpointError(EdgewiseError):
    """A checkpoint that is damaged, foreign or of another version."""


class ConfigError(EdgewiseError):
    """A name, option or setting that does not exist or does not fit."""


class TaskError(EdgewiseError):
    """A problem that cannot be generated or read."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """A `ConfigError` for a name that is not registered, with the nearest one that is."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return ConfigError(f"unknown {kind} '{name}'.{hint} Known: {', '.join(names)}.")


def printable(text: str, keep: str = "") -> str:
    """Text from files without what a terminal would obey: control characters and changes of direction become `·`.

    Args:
        text: any.
        keep: characters that stay as they are, such as line breaks.

    Example:
        >>> printable("a\\x1b[31mb")
        'a·[31mb'
    """
    return "".join(
        "·" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in keep else c for c in text
    )
