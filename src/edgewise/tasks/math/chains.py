"""Chains of equal or nearly equal values, `3 + 4 = 7` and `\\sqrt{2} \\approx 1.41`: which part is the answer."""

from __future__ import annotations

import re
from fractions import Fraction

from edgewise.tasks.math.shapes import bracketed, list_parts, unit_of
from edgewise.tasks.quantities import LABEL, NAME, equal, read_quantity
from edgewise.tasks.written_number import CLOSE, number

DECIMALS = re.compile(r"-?[0-9,]+(?:\.([0-9]{0,12}))?[^0-9]*")
REMARK = re.compile(
    rf"\s*\([\s{LABEL}]*(?:\\approx(?![A-Za-z])|(?:approximately|approx\.?|about|roughly)\b)\s*([^()]*)\)$"
)
"""A rounding in brackets behind a value."""
APPROXIMATED = re.compile(r"\s*\\approx(?![A-Za-z])\s*")
LETTERS = re.compile(
    r"(?<![\\A-Za-z])[A-Za-z]|[<>]|\\(?:var)?(?i:alpha|beta|gamma|delta|epsilon|theta|lambda|mu|rho|sigma|tau|phi|psi|omega)(?![A-Za-z])"
)
"""Letters that belong to no command or are Greek, but for the number pi, and relations."""


def end_of_chain(text: str) -> str | None:
    """The last part of a chain of equal numbers, `3 + 4 = 7`, or the text; None for a chain of other numbers, `3 + 4 = 8`."""
    parts = [part.strip() for part in text.split("=")]
    if len(parts) < 2 or LETTERS.search("".join(parts[:-1])):
        return text
    if not read_quantity(parts[-1], cleaned=True) and LETTERS.search((unit_of(parts[-1]) or parts[-1:])[0]):
        return text  # 25 = x^2 + y^2
    return parts[-1] if _near(parts[0], parts[-1]) else None


def roundings(text: str, trusted: bool) -> list[str]:
    r"""The values that `\sqrt{2} \approx 1.4` stands for: the first, and the last where it is the first one rounded.

    None where the two are not near, unless the text is trusted; the text itself where there is no such sign.
    """
    first, *others = APPROXIMATED.split(REMARK.sub(r" \\approx \1", text))
    if not others or trusted:
        return [first, *others]
    if NAME.fullmatch(f"{first}=") and number(first) is None:
        return roundings(" \\approx ".join(others), trusted)
    if not all(_near(first, other) for other in others):
        return []
    value = number(first.rpartition("=")[2])
    return [first, others[-1]] if value is not None and _is_rounding(value, others[-1]) else [first]


def _near(text: str, other: str) -> bool:
    """Whether two sides of an equation may be the same number: not if both are read, and differ by more than a rounding."""
    one, two = read_quantity(text, cleaned=True), read_quantity(other, cleaned=True)
    if one and two and equal(one, two):
        return True
    if (one and one.unit) or (two and two.unit):
        return not (one and two)
    x, y = number(text), number(other)
    if one and two and (x is None or y is None):  # powers of ten, which may be larger than a float
        return abs(one.value - two.value) <= Fraction(CLOSE) * max(abs(one.value), abs(two.value))
    if x is None or y is None:
        several = (
            list_parts(side) or (bracketed(side) or ("", []))[1][1:] or "\\infty" in side for side in (text, other)
        )
        return x is None is y or not any(several)  # a number is neither a list nor an interval
    return abs(x - y) <= CLOSE * max(abs(x), abs(y)) or _is_rounding(x, other)


def _is_rounding(value: float, text: str) -> bool:
    """Whether a plain decimal is a value rounded to as many decimals."""
    rounding, found = number(text), DECIMALS.fullmatch(text.strip())
    if rounding is None or found is None:
        return False
    return 2 * abs(value - rounding) * 10 ** len(found[1] or "") <= 1 + CLOSE
