r"""Equality of two answers: plain numbers, text, lists, tuples, sets and intervals here, expressions by math-verify.

math-verify alone is generous: it drops units (`5 cm` = `5 m`), bases (`2_5` = 2) and brackets (`(2, 3)` = `2, 3`), and takes
`1.2340001` for `1.234`. Structure is therefore compared first, and only single expressions are left to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from edgewise.tasks.answers import LONGEST_ANSWER
from edgewise.tasks.math.chains import end_of_chain, roundings
from edgewise.tasks.math.kinds import CLOCK, TIME, bare, proportional, same_in_base, same_residue, same_time
from edgewise.tasks.math.letters import distinct_letters
from edgewise.tasks.math.notation import in_latex
from edgewise.tasks.math.numerals import in_digits
from edgewise.tasks.math.shapes import (
    CLOSING,
    NESTED,
    OPENING,
    OR,
    OUTWARD,
    RELATION,
    SET,
    UNION,
    as_matrix,
    as_tuple,
    both_signs,
    bracketed,
    condition,
    inward,
    joined_parts,
    list_parts,
    matrix_of_rows,
    union_pieces,
    unit_of,
    unnamed_value,
)
from edgewise.tasks.quantities import LABEL, NAME, NO_LABEL, Quantity, clean, equal, read_quantity
from edgewise.tasks.written_number import number

Compare = Callable[[str, str], bool | None]
"""Equality of two expressions; None where it could not be decided."""
LONGEST_EXPRESSION = 300
"""Characters of an expression for math-verify, unless the gold one is as long."""
DEEPEST = 40
"""Nested brackets; what is deeper is not read."""
OTHER_DIGITS = re.compile(r"(?![0-9])\d")
EXPLOSIVE = re.compile(
    r"(?:\^|\*\*)\s*[({]*\s*-?[0-9]{5,}"  # exponents of five digits
    r"|(?:\^|\*\*)\s*[({]*\s*-?[0-9.]+\s*}*\s*(?:\^|\*\*)"  # towers of powers
    r"|(?:\^|\*\*)\s*[({]*\s*-?[0-9.]{2,}\s*[})]+\s*(?:\^|\*\*)"  # powers of powers, but for (1 + x^2)^2
    r"|(?:(?:\^|\*\*)\s*[({]*\s*-?[0-9]\s*[})]+\s*){2}(?:\^|\*\*)"  # the same, three times
    r"|[0-9]{4}\s?\)*!"  # factorials of four digits
    r"|[0-9.][eE][-+]?[0-9]{4,}"  # decimal exponents of four digits
    r"|(?:[-+*/^_=]\s*){8}"  # chains of signs
)
NUMBERED = re.compile(r"(?<![\^_0-9.A-Za-z])[0-9.]+\s*_\s*\{?\s*([^\s{}]+)")
"""The index of a number, its base; not that of `x^2_1`."""
WORDS = re.compile(r"^[A-Za-z][A-Za-z\s'&.-]*$")
LETTER = re.compile(r"^(?:[Oo]ption |[Cc]hoice )?\(?([A-Za-z])\)?[.)]?$")
CHOICE = re.compile(
    r"^\(?([A-Ja-j])[).:]\s+(?!.*\(\s*[A-J]\s*\)|(?:\W|\\[a-z]+|(?:also|maybe|perhaps|possibly)\b)*[A-J]$)(?!(?:or|and)\b|\(?[A-J](?:[).:,]|$))([^\s+*/^=<>,;&].*)$"
)
"""A letter and the option that it stands for, not another letter."""
MARKUP = re.compile(r"[\s$]*(?:\\(?:text|textbf|textit|textrm|mbox)\s*\{[^{}]*\}[\s$.]*)+")
ARTICLE = re.compile(r"^\W*(?:an?|the)\s+(?=[a-z]{3})")
ORDINAL = re.compile(r"(?<=[0-9])(?:st|nd|rd|th)\b")
SEGMENT = re.compile(r"\\overline\s*\{\s*([A-Z]{2})\s*\}")
SIGNS = re.compile(r"[=^_+<>*/]|(?<![A-Za-z])-")
"""What makes mathematics of words; a hyphen does not."""
UNEQUAL = r"(?:\\(?:neq?|geq?|leq?|[gl]t|not)(?![A-Za-z])|[<>\u2260])"
ONE_SIDED = re.compile(rf"^{UNEQUAL}|{UNEQUAL}$")
NEGATED = re.compile(r"(?<!\\)\bnot\b", re.IGNORECASE)
UNBOUNDED = re.compile(r"\[\s*-\s*(?:\\infty|inf)|(?:\\infty|inf(?:inity)?)\s*\]")
"""A closed end of an interval where there is none."""
DOTS = re.compile(r"\\[lc]?dots(?![A-Za-z])|\.{3}|\u2026")
APPLIED = r"(?:(?:[fghpqFGHPQNST]|\\?(?:gcd|lcm|min|max|deg|det|Pr|Var|Cov))\s*\([^()=]*(?:\([^()=]*\)[^()=]*)*\)|(?:E|\\mathbb\s*\{E\})\s*\[[^][=]*\]|\\overline\s*\{\s*[A-Z]{2}\s*\}|\|\s*[A-Z]{2,3}\s*\||\[\s*[A-Z]{3,6}\s*\])"
FACTOR = rf"(?:{APPLIED}|[A-Za-z](?:_\{{?[A-Za-z0-9]+\}}?)?(?:\^\{{?[0-9]\}}?)?)"
TERM = rf"{FACTOR}(?:\s*(?:\\cdot\s*)?{FACTOR})*"
ASKED = re.compile(rf"^({TERM}(?:\s*[-+]\s*{TERM})*)\s*=\s*(?=[^=]*$)")
"""What a problem may ask for, `m + n` or `f(2)`: no free number, which would leave an unknown of another value."""
JOINED = re.compile(r"\s(and|or)\s")
POINT = re.compile(r"^(?:(?:[Tt]he\s+)?(?:[Pp]oint|[Oo]rdered pair)\s+[A-Z]?|[A-Z])\s*(?=\()")
ANGLE = re.compile(
    r"(\\?(?:sin|cos|tan|cot|sec|csc)(?:\s*\^\s*\{?-?[0-9]\}?)?)\s*([({])?\s*([0-9.]+) degrees(?(2)\s*[)}])"
)
TOUCHING = re.compile(r"(?<=[0-9}])(?=[A-Za-z])")
NAMED = re.compile(r"([A-Za-z])\s*=")
PHRASES = [
    re.compile(spellings, re.IGNORECASE)
    for spellings in (
        r"\\(?:emptyset|varnothing)|\\\{\s*\\\}|(?:there (?:is|are) )?no (?:real )?solutions?|(?:the )?empty set",
        r"(?:the limit )?(?:does not|doesn't) exist|DNE",
        r"\\mathbb\s*\{?\s*R\s*\}?|-\s*\\infty\s*<\s*[A-Za-z]\s*<\s*\+?\s*\\infty|\(\s*-\s*\\infty\s*,\s*\+?\s*\\infty\s*\)|(?:the set of )?(?:all )?(?:real numbers|reals)",
    )
]
"""Spellings of the empty set, of a limit that does not exist, and of the real numbers."""
MEMBER = re.compile(r"^[A-Za-z]\s*\\in\s*")


class Comparison(NamedTuple):
    """Whether two answers are equal, and why not: "wrong answer", "unreadable answer" or "grading limit"."""

    correct: bool
    reason: str = "correct"


RIGHT, WRONG = Comparison(True), Comparison(False, "wrong answer")
UNREADABLE, LIMIT = Comparison(False, "unreadable answer"), Comparison(False, "grading limit")


def compare(gold: str, answer: str, expressions: Compare) -> Comparison:
    """Whether an answer equals the gold one. Never raises; `expressions` decides what is not decided by its structure."""
    if len(answer) > LONGEST_ANSWER:
        return UNREADABLE
    a, b = (SEGMENT.sub(r"\1", clean(text)) for text in (gold, answer))
    if not bare(a):
        return WRONG
    if bare(a) == bare(b):
        return RIGHT
    if not readable(b):
        return UNREADABLE
    result = _equal(a, b, expressions, 0, is_text=bool(MARKUP.fullmatch(gold)))
    return LIMIT if result is None else RIGHT if result else WRONG


def readable(answer: str) -> bool:
    """Whether an answer is short, shallow, in ASCII digits, balanced, and of bounded cost to evaluate."""
    if len(answer) > LONGEST_ANSWER or OTHER_DIGITS.search(answer) or EXPLOSIVE.search(answer) or "\x00" in answer:
        return False
    depth = deepest = 0
    for character in answer:
        depth += (character in OPENING) - (character in CLOSING)
        deepest = max(deepest, depth)
    return deepest <= DEEPEST and answer.count("{") == answer.count("}")


def _equal(a: str, b: str, expressions: Compare, depth: int, is_text: bool = False) -> bool | None:
    if bare(a) == bare(b) or _same_phrase(a, b):
        return True
    a, b = (as_matrix(condition(text)) for text in (a, b))
    if "matrix" in a + b:
        a, b = (NESTED.sub(matrix_of_rows, text) for text in (a, b))
    if any(bool(pattern.search(a)) != bool(pattern.search(b)) for pattern in (ONE_SIDED, NEGATED, UNBOUNDED)):
        return False
    choices = CHOICE.match(a), CHOICE.match(b)
    if any(choices):
        letters = [found or LETTER.match(text) for found, text in zip(choices, (a, b), strict=True)]
        named = [found[1].lower() for found in letters if found]
        if len(named) == 2 and (named[0] != named[1] or not all(choices)):
            return named[0] == named[1]
        a, b = (found[2] if found else text for found, text in zip(choices, (a, b), strict=True))
    a, b = _numeral(a), _numeral(b)
    if "=" in b and "=" not in a:
        b = _asked(b)
    elif "=" in a and "=" not in b and not re.search("[xyz]", a.partition("=")[0]):  # these are curves, x^2 + y^2 = 25
        a = _asked(a)
    one, two = read_quantity(a, cleaned=True), read_quantity(b, cleaned=True)
    # Letters that touch a number, `5m`, are its unit where the other side has one.
    if one and one.unit and not two:
        two = read_quantity(TOUCHING.sub(" ", b), cleaned=True)
    elif two and two.unit and not one:
        one = read_quantity(TOUCHING.sub(" ", a), cleaned=True)
    name, other = NAME.match(a), NAME.match(b)
    if name and other and bare(name[0]) != bare(other[0]):
        if one and two:
            return False
        if "(" in name[0] + other[0]:  # f(x) = and y = name the same function
            a, b = NAME.sub("", a), NAME.sub("", b)
    elif (name and other) or (name and "=" not in b) or (other and "=" not in a):
        a, b = _unnamed(a), _unnamed(b)
        if bare(a) == bare(b):
            return True
    if one and two:
        return equal(one, two)
    rounded = roundings(a, True), roundings(b, False)
    if depth < 4 and rounded != ([a], [b]):
        results = (_equal(x, y, expressions, depth + 1, is_text) for x in rounded[0] for y in rounded[1])
        return next((result for result in results if result is not False), False)
    x, y = end_of_chain(a), end_of_chain(b)
    if x is None or y is None:
        return False
    if (x, y) != (a, b):
        return _equal(x, y, expressions, depth + 1, is_text) if depth < 4 else False
    if (one and "=" in b) or (two and "=" in a):
        return False  # an equation is no number
    if (CLOCK.match(a) or CLOCK.match(b)) and TIME.match(a) and TIME.match(b) and not NO_LABEL.search(b):
        return same_time(a, b)
    if is_text or WORDS.match(a) or LETTER.match(a):
        text = _text(a, b, is_text)
        if text is not None:
            return text
    for notation in (same_in_base, same_residue):
        same = notation(a, b)
        if same is not None:
            return same
    if depth < 4:
        terms, others = a.split(":"), b.split(":")
        if max(len(terms), len(others)) > 2:
            return proportional(terms, others) or _ordered(terms, others, expressions, depth)
        listed = _parts(a, b, expressions, depth)
        if listed:
            return listed[0]
    if one and not any(character in b for character in "\\^_{}()+-*/=") and WORDS.match(b):
        return False  # a number is no word
    if ("=" in a) != ("=" in b) and number((a if "=" in a else b).partition("=")[0]) is not None:
        return False  # nor is x + 1 what 7 = x + 1 states
    return _expressions(a, b, expressions)


def _same_phrase(a: str, b: str) -> bool:
    """Whether two texts are spellings of the same phrase, such as the empty set."""
    a, b = (MEMBER.sub("", text.replace(LABEL, "")).strip() for text in (a, b))
    return any(phrase.fullmatch(a) and phrase.fullmatch(b) for phrase in PHRASES)


def _numeral(text: str) -> str:
    """A text with a number in words, behind a name or not, in digits."""
    name = NAME.match(text)
    start = name.end() if name else 0
    return text[:start] + in_digits(text[start:])


def _asked(text: str) -> str:
    """The number of `m + n = 204`, or the text; `x^2 = 9` and `-x = 3` are no answers for x."""
    found = ASKED.match(text)
    if not found or not (re.search(APPLIED, found[1]) or len(set(re.findall(r"[A-Za-z](?:_\{?\w+)?", found[1]))) > 1):
        return text
    value = text[found.end() :]
    return value if read_quantity(value, cleaned=True) else text


def _unnamed(text: str) -> str:
    """A text without the name before it, unless its parts have names, `y = 1, x = 2`."""
    return text if any("=" in part for part in (list_parts(text) or [])[1:]) else NAME.sub("", text)


def _expressions(a: str, b: str, expressions: Compare) -> bool | None:
    """Equality of single expressions, with or without a unit behind them."""
    if len(b) > max(LONGEST_EXPRESSION, 2 * len(a)):
        return False
    if a.count("'") != b.count("'"):
        return False  # math-verify drops what marks a derivative
    if len(DOTS.findall(a)) != len(DOTS.findall(b)):
        return False  # and what stands for more terms
    if NUMBERED.findall(a) != NUMBERED.findall(b):
        return False  # and bases
    a, b = (ANGLE.sub(r"\1(\\frac{\3 \\pi}{180})", text) for text in (a, b))
    one, two = unit_of(a), unit_of(b)
    if one and two and not equal(Quantity(Fraction(1), one[1]), Quantity(Fraction(1), two[1])):
        return False
    return expressions(*distinct_letters(*(in_latex(unit[0] if unit else text) for text, unit in ((a, one), (b, two)))))


def _text(a: str, b: str, is_text: bool) -> bool | None:
    """Equality of words; None if the gold answer is none."""
    letter, other = LETTER.match(a), LETTER.match(b)
    if letter and (other or is_text):
        return other is not None and (letter[1] == other[1] or (is_text and letter[1].lower() == other[1].lower()))
    words, others = _words(a), _words(b)
    if SIGNS.findall(a) != SIGNS.findall(b):
        return None
    if not words or (not is_text and len(max(words, key=len)) < 3):
        return None
    return words == others


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", ORDINAL.sub("", ARTICLE.sub("", text.lower())))


def _parts(a: str, b: str, expressions: Compare, depth: int) -> tuple[bool | None] | None:
    """Equality of lists, tuples, sets, intervals and unions, part by part; None if it cannot be decided by the parts."""
    interval = "\\infty" in a or (MEMBER.match(a) and "\\{" not in a)
    a, b = (UNION.sub(r"\\cup ", OUTWARD.sub(inward, unnamed_value(MEMBER.sub("", text)))) for text in (a, b))
    a, b = (POINT.sub("", text) if other.startswith("(") else text for text, other in ((a, b), (b, a)))
    if not ("matrix" in a and "matrix" in b):
        column = as_tuple(a)
        if column != a and b.startswith("["):
            b = f"({b[1:-1]})" if b.endswith("]") else b
        a, b = column, as_tuple(b)
    left, right = union_pieces(a, b), union_pieces(b, a)
    if len(left) > 1 and len(right) > 1:
        pieces = _unordered(left, right, expressions, depth)
        # Unions of other pieces may still be the same set.
        return (_expressions(a, b, expressions) if pieces is False else pieces,)
    one, two = bracketed(a), bracketed(b)
    if one and two:
        if len(one[1]) == 1 == len(two[1]) and one[0] == two[0] == "()":
            return None  # parentheses around an expression
        if one[0] != two[0] or len(one[1]) != len(two[1]):
            return (False,)
        return (TOGETHER[one[0] == SET](one[1], two[1], expressions, depth),)
    listed, other = (None if found else both_signs(list_parts(text) or []) for text, found in ((a, one), (b, two)))
    if (listed or (one and one[0] == SET)) and not (other or two):
        other = joined_parts(b)
    if (other or (two and two[0] == SET)) and not (listed or one):
        listed = joined_parts(a)
    if not (listed or other or one or two) and joined_parts(a) and joined_parts(b):
        listed, other = joined_parts(a), joined_parts(b)
    if listed and other:
        if RELATION.search(a) and len({*JOINED.findall(a), *JOINED.findall(b)}) > 1:
            return (False,)  # x < 1 and x > 3 is empty
        return (_unordered(listed, other, expressions, depth),)
    if one and other and len(one[1]) > 1:
        return (
            one[0] in (() if interval else (SET, "()")) and TOGETHER[one[0] == SET](one[1], other, expressions, depth),
        )
    if two and listed:
        names = {found[1] for found in map(NAMED.match, listed) if found}
        return (
            (two[0] == SET or (two[0] == "()" and len(names) == len(listed)))
            and TOGETHER[two[0] == SET](listed, two[1], expressions, depth),
        )
    for found, rest in ((one, None if two else b), (two, None if one else a)):
        if found and len(found[1]) > 1 and rest is not None and not RELATION.search(rest):
            return (False,)
    if bool(listed) != bool(other) and not (one or two) and "\\pm" not in a + b:
        alternatives = OR.split(b)
        results = (_equal(a, part, expressions, depth + 1) for part in alternatives)
        return (len(alternatives) > 1 and next((result for result in results if not result), True),)
    return None


def _ordered(a: Sequence[str], b: Sequence[str], expressions: Compare, depth: int) -> bool | None:
    if len(a) != len(b):
        return False
    a, b = _in_order(a), _in_order(b)
    for x, y in zip(a, b, strict=True):
        result = _equal(x, y, expressions, depth + 1)
        # An undecided part has used up the time of the whole comparison.
        if not result:
            return result
    return True


def _in_order(parts: Sequence[str]) -> Sequence[str]:
    """Parts such as `y = 1` and `x = 2` in the order of their names; others as they are."""
    names = [found[1] for found in map(NAMED.match, parts) if found]
    return sorted(parts, key=lambda part: part[0]) if len(set(names)) == len(parts) else parts


def _unordered(a: Sequence[str], b: Sequence[str], expressions: Compare, depth: int) -> bool | None:
    """Equality as multisets; parts are matched greedily, which is exact for an equivalence."""
    if len(a) != len(b):
        return False
    left = list(b)
    for x in a:
        for y in left:
            result = _equal(x, y, expressions, depth + 1)
            if result is None:
                return None
            if result:
                left.remove(y)
                break
        else:
            return False
    return True


TOGETHER = (_ordered, _unordered)
