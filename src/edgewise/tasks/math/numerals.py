"""Numbers in words: `twenty-one`, `two hundred and five`, `two thirds`, `two and a half`."""

from __future__ import annotations

import re

BELOW_TWENTY = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
VALUES = {word: number for number, word in enumerate(BELOW_TWENTY)} | {
    word: 10 * number for number, word in enumerate(TENS, start=2)
}
DIGIT = "|".join(BELOW_TWENTY[1:10])
BELOW_HUNDRED = rf"(?:(?:{'|'.join(TENS)})(?:[-\s](?:{DIGIT}))?|{'|'.join(reversed(BELOW_TWENTY))})"
BELOW_THOUSAND = rf"(?:(?:{DIGIT}|an?)\s+hundred(?:\s+(?:and\s+)?{BELOW_HUNDRED})?|{BELOW_HUNDRED})"
PARTS = {
    name: size
    for size, names in enumerate(
        ("half halves", "third", "fourth quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"), start=2
    )
    for name in names.split()
}
MINUS = re.compile(r"(?:minus|negative)\s+(?!(?:minus|negative)\b)", re.IGNORECASE)
PART = rf"(?P<part>{'|'.join(PARTS)})s?\b"
MIXED = re.compile(
    rf"(?:(?P<whole>{BELOW_THOUSAND}|[0-9]{{1,9}})\s+and\s+)?(?:(?P<top>{DIGIT}|an?)[-\s]|(?=half)){PART}",
    re.IGNORECASE,
)
NUMERAL = re.compile(
    rf"(?P<thousands>{BELOW_THOUSAND}|a)\s+thousand\b(?:,?\s+(?:and\s+)?(?P<units>{BELOW_THOUSAND})\b)?"
    rf"|(?P<only>{BELOW_THOUSAND})\b(?:[-\s]{PART})?",
    re.IGNORECASE,
)


def in_digits(text: str) -> str:
    """A text that begins with a number in words, in digits; any other as it is.

    Example:
        >>> in_digits("two thousand and twelve apples"), in_digits("Three-quarters"), in_digits("one-to-one")
        ('2012 apples', '3/4', 'one-to-one')
    """
    minus = MINUS.match(text)
    if minus:
        rest = in_digits(text[minus.end() :])
        return f"-{rest}" if rest[:1].isdigit() else text
    found = MIXED.match(text) or NUMERAL.match(text)
    if not found or text[found.end() : found.end() + 1] not in ("", " ", ",", ".", ";"):
        return text
    if found.re is MIXED:
        whole = found["whole"] or "0"
        whole, top = int(whole) if whole.isdigit() else _value(whole), _value(found["top"] or "a")
        return f"{whole or ''} {top}/{PARTS[found['part'].lower()]}{text[found.end() :]}".lstrip()
    number = str(1000 * _value(found["thousands"] or "") + _value(found["units"] or found["only"] or ""))
    return f"{number}{'/' if found['part'] else ''}{PARTS.get((found['part'] or '').lower(), '')}{text[found.end() :]}"


def _value(words: str) -> int:
    hundreds, _, rest = words.lower().rpartition("hundred")
    return 100 * _sum(hundreds) + _sum(rest)


def _sum(words: str) -> int:
    return sum(VALUES.get(word, word in ("a", "an")) for word in re.split(r"[-\s]+", words) if word != "and")
