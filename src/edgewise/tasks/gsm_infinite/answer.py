"""Answers in the forms that people and models write: 3, +3, 3.0, $3$, \\boxed{3}, x = 3, 3 animals."""

from __future__ import annotations

import re
from collections.abc import Collection

from edgewise.tasks.answers import last_tagged

LONGEST = 200
"""Characters of an answer."""
WRAPPED = re.compile(
    r"\\boxed\{(.*)\}|\\text\{(.*)\}|\\\((.*)\\\)|\\\[(.*)\\\]|\$\$(.*)\$\$|\$(.*)\$|\*\*(.*)\*\*|\((.*)\)"
)
NUMBER = re.compile(
    r"(?:[A-Za-z] *= *)?([-+]?)([0-9]{1,9}|[0-9]{1,3}(?:,[0-9]{3}){1,2})(?:\.0*)?(?: +([^\W\d_][^\d]*))?"
)
WORD = re.compile(r"[^\W\d_]+")


def split(text: str) -> tuple[str, str | None]:
    """The work before the answer, and the answer: behind the last tag that is closed or, without, after the last `Answer:`."""
    tagged = last_tagged(text)
    if tagged is not None:
        return tagged
    work, opened, given = text.rpartition("Answer:")
    if not opened:
        return text, None
    return work, re.split(r"\.(?!\d)|[\r\n]", given[: 2 * LONGEST], maxsplit=1)[0]


def whole_number(text: str, units: Collection[str] = ()) -> int | None:
    """The whole number that an answer gives; None if it gives none, more than one, or one of more than 9 digits.

    Around the number may stand a full stop, a sign, `x =`, decimals that are zero, commas between thousands, the marks of
    LaTeX and Markdown, and words after it that are all among `units` (lower case, in the singular or the plural).
    """
    text = text.strip()
    if len(text) > LONGEST:
        return None
    for _ in range(4):
        text = text.removesuffix(".").strip()
        wrapped = WRAPPED.fullmatch(text)
        if wrapped is None:
            break
        text = next(part for part in wrapped.groups() if part is not None).strip()
    match = NUMBER.fullmatch(text)
    if match is None:
        return None
    sign, digits, unit = match.groups()
    if unit is not None and not all(_forms(word) & set(units) for word in WORD.findall(unit.lower())):
        return None
    return int(f"{sign}{digits.replace(',', '')}")


def unit_words(names: Collection[str]) -> frozenset[str]:
    """The words that may follow a number, from the names of quantities."""
    words = {word for name in names for word in WORD.findall(name.lower())} | {"in", "of", "the", "total", "number"}
    return frozenset(form for word in words for form in _forms(word))


def _forms(word: str) -> set[str]:
    """A word with and without the ending of the plural."""
    return {word, *(word.removesuffix(ending) for ending in ("s", "es") if len(word) > 3)}
