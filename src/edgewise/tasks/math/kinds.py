"""Numbers that are compared by rules of their own: times of day, numerals of other bases, residues, ratios."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from edgewise.tasks.math.numerals import in_digits
from edgewise.tasks.quantities import Quantity, read_quantity

CLOCK = re.compile(r"^[0-9]{1,2}\s*:\s*[0-9]{2}")
TIME = re.compile(r"^[0-9]{1,2}(?:\s*:\s*[0-9]{2}){0,2}[A-Za-z.'\s]*$")
BASED = re.compile(r"^\(?(-?[0-9A-Za-z.]{1,60})\)?_\{?([0-9]{1,2})\}?$")
IN_BASE = re.compile(
    r"\s*(?:\(?\s*(?:in\s+)?base[-\s]*([0-9]{1,2}|[a-z]{3,7})\s*\)?|_\s*\{?\s*([a-z]{3,7})\s*\}?)$", re.IGNORECASE
)
MODULAR = re.compile(
    r"^(?:[A-Za-z]\s*(?:\\equiv|=)\s*)?(-?[0-9]{1,60})\s*[({]?\s*\\?[pb]?mod\s*\{?\s*([0-9]{1,60})\s*\}?\s*[)}]?$"
)
"""A residue and its modulus."""
BLANKS = re.compile(r"\s+(?![0-9])|(?<![0-9])\s+|\s(?=[0-9]{3}(?![0-9/]))")
"""Blanks without a meaning: not that of `3 1/2`, but those around anything else and of `10 000`."""


def bare(text: str) -> str:
    return BLANKS.sub("", text)


def same_time(a: str, b: str) -> bool:
    """Whether two times of day are the same; a missing a.m. or p.m. is no error, nor are missing minutes before one."""
    (one, half), (two, other) = (
        ([int(part) for part in re.findall("[0-9]+", text)], re.findall("[ap](?=[. ]*m)", text.lower()))
        for text in (a, b)
    )
    one, two = ([*time, 0] if found and len(time) == 1 else time for time, found in ((one, half), (two, other)))
    return one == two and (half == other or not (half and other))


def same_in_base(a: str, b: str) -> bool | None:
    """Equality of numerals with a base such as 1010_2; None if neither has one."""
    a, b = (IN_BASE.sub(lambda found: f"_{in_digits(found[1] or found[2])}", text) for text in (a, b))
    one, two = BASED.match(bare(a)), BASED.match(bare(b))
    if one and two:
        return one[1].lower() == two[1].lower() and one[2] == two[2]
    if not one and not two:
        return None
    based, plain = (one, bare(b)) if one else (two, bare(a))
    assert based is not None
    if not re.match(r"^-?[0-9A-Za-z.]+$", plain):
        return None
    # An answer without the base that the question names is accepted, one with a base that it does not name is not.
    return bool(one) and based[1].lower() == plain.lower()


def same_residue(a: str, b: str) -> bool | None:
    """Equality of residues such as `3 \\pmod 7`; None if neither is one, or the other is no number."""
    one, two = MODULAR.match(a), MODULAR.match(b)
    if one and two:
        return one[2] == two[2] and (int(one[1]) - int(two[1])) % max(int(one[2]), 1) == 0
    residue, other = one or two, read_quantity(b if one else a, cleaned=True)
    if not residue or not other:
        return None
    return other == Quantity(Fraction(residue[1])) and 0 <= other.value < int(residue[2])


def proportional(terms: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two ratios of plain numbers are the same; math-verify divides the first term by all others."""
    one, two = ([read_quantity(term, cleaned=True) for term in side] for side in (terms, others))
    if len(one) != len(two) or not (one[0] and two[0] and one[0].value and two[0].value):
        return False
    return all(x and y and x.value * two[0].value == y.value * one[0].value for x, y in zip(one, two, strict=True))
