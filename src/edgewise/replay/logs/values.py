"""Values of log records: numbers, verdicts, keys and texts, whatever a trainer has written there."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import numpy as np

NUMBERED = re.compile(r"(.+)_\d{1,6}_\d{1,6}", re.DOTALL)
"""Keys that number the rollouts of a group and their outputs."""
VERDICTS = {"true": 1.0, "false": 0.0}
WIDEST = 1e30
"""Rewards and advantages are kept within this, which single precision holds."""


def is_missing(value: Any) -> bool:
    """Whether a record has nothing there: None, or NaN, which pandas puts in its place."""
    return value is None or value != value


def number_of(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            # verl writes the bools of numpy as text.
            value = float(VERDICTS.get(value.strip().lower(), value))
        except ValueError:
            return None
    if isinstance(value, (bool, int, float)) and abs(value) < WIDEST:
        return float(value)
    return None


def floats(values: list[Any] | None, n: int) -> np.ndarray:
    """Numbers, NaN for what is none, (n,)."""
    if values is None:
        return np.full(n, np.nan)
    try:
        return np.array(values, np.float64).reshape(n)
    except (TypeError, ValueError, OverflowError):
        return np.array([np.nan if (x := number_of(value)) is None else x for value in values])


def verdicts_of(values: list[Any] | None, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Yes or no as 0 and 1, and whether each is known, (n,)."""
    numbers = floats(values, n)
    known = np.isfinite(numbers)
    return np.where(known, numbers >= 0.5, False).astype(np.int64), known


def group_key(value: Any) -> int:
    """Key of a group; verl's v1 trainer writes `{uid}_{rollout}_{output}`, of which the uid is the group."""
    if isinstance(value, int):
        return value & (2**62 - 1)
    if isinstance(value, str) and (numbered := NUMBERED.fullmatch(value)):
        value = numbered[1]
    return int.from_bytes(hashlib.blake2b(str(value).encode("utf-8", "replace"), digest_size=7).digest(), "big")


def text_of(value: Any) -> str:
    """Text of a prompt or a completion: as it is, or the messages one below the other."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(part, dict) for part in value):
        return "\n\n".join(f"[{part.get('role', '')}] {part.get('content', '')}" for part in value)
    return "" if is_missing(value) else str(value)


def question_of(messages: Any) -> Any:
    """Messages without the answer at their end, which differs from rollout to rollout."""
    if isinstance(messages, list) and len(messages) > 1 and isinstance(messages[-1], dict):
        return messages[:-1] if messages[-1].get("role") == "assistant" else messages
    return messages


def length_of(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, (list, tuple)):
        return sum(len(str(part.get("content") or "")) if isinstance(part, dict) else 1 for part in value)
    return 0
