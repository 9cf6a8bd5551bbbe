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
from edgewise.tasks.math.letters import distinct_letters
from edgewise.tasks.math.notation import in_latex
from edgewise.tasks.math.numerals import in_digits
from edgewise.tasks.quantities import LABEL, NAME, NO_LABEL, Quantity, clean, equal, known_unit, read_quantity
from edgewise.tasks.written_number import CLOSE, number

Compare = Callable[[str, str], bool | None]
"""Equality of two expressions; None where it could not be decided."""

LONGEST_EXPRESSION = 300
"""Characters of an expression for math-verify, unless the gold one is as long."""
DEEPEST = 40
"""Nested brackets; what is deeper is not read."""
MOST_PARTS = 60
OPENING, CLOSING = "([{", ")]}"
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
CLOCK = re.compile(r"^[0-9]{1,2}\s*:\s*[0-9]{2}")
TIME = re.compile(r"^[0-9]{1,2}(?:\s*:\s*[0-9]{2}){0,2}[A-Za-z.'\s]*$")
BASED = re.compile(r"^\(?(-?[0-9A-Za-z.]{1,60})\)?_\{?([0-9]{1,2})\}?$")
NUMBERED = re.compile(r"(?<![\^_0-9.A-Za-z])[0-9.]+\s*_\s*\{?\s*([^\s{}]+)")
"""The index of a number, its base; not that of `x^2_1`."""
IN_BASE = re.compile(
    r"\s*(?:\(?\s*(?:in\s+)?base[-\s]*([0-9]{1,2}|[a-z]{3,7})\s*\)?|_\s*\{?\s*([a-z]{3,7})\s*\}?)$", re.IGNORECASE
)
MODULAR = re.compile(
    r"^(?:[A-Za-z]\s*(?:\\equiv|=)\s*)?(-?[0-9]{1,60})\s*[({]?\s*\\?[pb]?mod\s*\{?\s*([0-9]{1,60})\s*\}?\s*[)}]?$"
)
"""A residue and its modulus."""
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
BLANKS = re.compile(r"\s+(?![0-9])|(?<![0-9])\s+|\s(?=[0-9]{3}(?![0-9/]))")
"""Blanks without a meaning: not that of `3 1/2`, but those around anything else and of `10 000`."""
APPLIED = r"(?:(?:[fghpqFGHPQNST]|\\?(?:gcd|lcm|min|max|deg|det|Pr|Var|Cov))\s*\([^()=]*(?:\([^()=]*\)[^()=]*)*\)|(?:E|\\mathbb\s*\{E\})\s*\[[^][=]*\]|\\overline\s*\{\s*[A-Z]{2}\s*\}|\|\s*[A-Z]{2,3}\s*\||\[\s*[A-Z]{3,6}\s*\])"
FACTOR = rf"(?:{APPLIED}|[A-Za-z](?:_\{{?[A-Za-z0-9]+\}}?)?(?:\^\{{?[0-9]\}}?)?)"
TERM = rf"{FACTOR}(?:\s*(?:\\cdot\s*)?{FACTOR})*"
ASKED = re.compile(rf"^({TERM}(?:\s*[-+]\s*{TERM})*)\s*=\s*(?=[^=]*$)")
"""What a problem may ask for, `m + n` or `f(2)`: no free number, which would leave an unknown of another value."""
OR = re.compile(r"\s*,?\s+or\s+")
JOINED = re.compile(r"\s(and|or)\s")
CONJUNCTION = re.compile(r"\s*,?\s+(?:and|or)\s+|\s*;\s*")
BUILDER = re.compile(
    r"^\\\{\s*[A-Za-z]\s*(?:\\in\s*\\mathbb\s*\{?\s*R\s*\}?\s*)?(?:\\(?:mid|vert)(?![A-Za-z])|[:|])(?=.*(?:[<>=]|\\[lgi]))\s*(.*\S)\s*\\\}$"
)
"""A set by a condition on its members."""
RELATED = r"((?:[<>]|\\[lg](?:eq?(?:slant)?|t)(?![A-Za-z]))=?)"
BOTH = re.compile(rf"^([A-Za-z])\s*{RELATED}([^<>,]+?),?\s+and\s+\1\s*{RELATED}([^<>,]+)$")
"""Two conditions on a letter, its bounds."""
LOWER = (">", ">=", "\\g")
GREATER, LESS = "\\g", "\\l"
POINT = re.compile(r"^(?:(?:[Tt]he\s+)?(?:[Pp]oint|[Oo]rdered pair)\s+[A-Z]?|[A-Z])\s*(?=\()")
COORDINATES = re.compile(r"^\([a-z](?:\s*,\s*[a-z]){1,3}\)\s*=\s*(?=[(\[])")
ANGLE = re.compile(
    r"(\\?(?:sin|cos|tan|cot|sec|csc)(?:\s*\^\s*\{?-?[0-9]\}?)?)\s*([({])?\s*([0-9.]+) degrees(?(2)\s*[)}])"
)
TRAILING = re.compile(r"^(.*?\S)\s+((?:square|sq|cubic|cu)?\s*[A-Za-z]+\s*(?:\^\s*\{?[23]\}?)?)$")
TOUCHING = re.compile(r"(?<=[0-9}])(?=[A-Za-z])")
SET = "\\{\\}"
ROW = "\\\\"
SPACED_ROW = re.compile(r"\\\\\s*\[\s*[0-9.]+\s*(?:pt|em|ex|mm|cm)\s*\]|\\cr(?![A-Za-z])")
ARRAY = re.compile(
    r"[(\[]\s*\\begin\{(?:array\}\s*\{[clr|\s]*|(?:small)?matrix)\}(.*)\\end\{(?:array|(?:small)?matrix)\}\s*[)\]]"
)
NESTED = re.compile(r"^\[\s*((?:\[[^][]*\]\s*,\s*)*\[[^][]*\])\s*\]$")
"""Rows of a matrix as a list of lists."""
TRANSPOSED = re.compile(r"^[(\[]([^][()&]*)[)\]]\s*\^\s*\{?\s*(?:T|\\(?:top|intercal|mathsf\{T\}))\s*\}?$")
SYSTEM = re.compile(
    r"^(?:\\\{)?\s*\\begin\{(?:cases|aligned|align\*?|gathered)\}(.*)\\end\{(?:cases|aligned|align\*?|gathered)\}$"
)
COLUMN = re.compile(r"^\\begin\{[pb]matrix\}(.*)\\end\{[pb]matrix\}$|^\\langle(?![A-Za-z])(.*)\\rangle$")
DECIMALS = re.compile(r"-?[0-9,]+(?:\.([0-9]{0,12}))?[^0-9]*")
REMARK = re.compile(
    rf"\s*\([\s{LABEL}]*(?:\\approx(?![A-Za-z])|(?:approximately|approx\.?|about|roughly)\b)\s*([^()]*)\)$"
)
"""A rounding in brackets behind a value."""
APPROXIMATED = re.compile(r"\s*\\approx(?![A-Za-z])\s*")
RELATION = re.compile(r"\\le|\\ge|<|>|\\cup|\\in|\\pm|\\lt|\\gt|\\mathbb")
LETTERS = re.compile(
    r"(?<![\\A-Za-z])[A-Za-z]|[<>]|\\(?:var)?(?i:alpha|beta|gamma|delta|epsilon|theta|lambda|mu|rho|sigma|tau|phi|psi|omega)(?![A-Za-z])"
)
"""Letters that belong to no command or are Greek, but for the number pi, and relations."""
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
END = r"\s*[^][(),;\s][^][(),;]*"
OUTWARD = re.compile(rf"([][(])({END}[,;]{END})([][)])")
"""An interval, whose brackets may point outward."""
UNION = re.compile(r"(?<=[\])])\s*U\s*(?=[\[(])")


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
    if not _bare(a):
        return WRONG
    if _bare(a) == _bare(b):
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


def _bare(text: str) -> str:
    return BLANKS.sub("", text)


def _equal(a: str, b: str, expressions: Compare, depth: int, is_text: bool = False) -> bool | None:
    if _bare(a) == _bare(b) or _same_phrase(a, b):
        return True
    a, b = (_matrix(_condition(text)) for text in (a, b))
    if "matrix" in a + b:
        a, b = (NESTED.sub(_rows, text) for text in (a, b))
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
    if name and other and _bare(name[0]) != _bare(other[0]):
        if one and two:
            return False
        if "(" in name[0] + other[0]:  # f(x) = and y = name the same function
            a, b = NAME.sub("", a), NAME.sub("", b)
    elif (name and other) or (name and "=" not in b) or (other and "=" not in a):
        a, b = _unnamed(a), _unnamed(b)
        if _bare(a) == _bare(b):
            return True
    if one and two:
        return equal(one, two)
    rounded = _rounded(a, True), _rounded(b, False)
    if depth < 4 and rounded != ([a], [b]):
        results = (_equal(x, y, expressions, depth + 1, is_text) for x in rounded[0] for y in rounded[1])
        return next((result for result in results if result is not False), False)
    x, y = _chained(a), _chained(b)
    if x is None or y is None:
        return False
    if (x, y) != (a, b):
        return _equal(x, y, expressions, depth + 1, is_text) if depth < 4 else False
    if (one and "=" in b) or (two and "=" in a):
        return False  # an equation is no number
    if (CLOCK.match(a) or CLOCK.match(b)) and TIME.match(a) and TIME.match(b) and not NO_LABEL.search(b):
        return _same_time(a, b)
    if is_text or WORDS.match(a) or LETTER.match(a):
        text = _text(a, b, is_text)
        if text is not None:
            return text
    for notation in (_based, _modular):
        same = notation(a, b)
        if same is not None:
            return same
    if depth < 4:
        terms, others = a.split(":"), b.split(":")
        if max(len(terms), len(others)) > 2:
            return _proportional(terms, others) or _ordered(terms, others, expressions, depth)
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


def _condition(text: str) -> str:
    r"""The condition of `\{x \mid x > 1\}`, `1 < x \le 2` for `x > 1 \text{ and } x \le 2`, and the lines of a system as a list."""
    system = SYSTEM.match(text)
    if system:
        return ", ".join(filter(None, (line.replace("&", "").strip(" ,;.") for line in system[1].split(ROW))))
    text = BUILDER.sub(r"\1", text)
    found = BOTH.match(text.replace(LABEL, " "))
    if not found or (found[2][:2] in LOWER) == (found[4][:2] in LOWER):
        return text
    letter, (low, start), (high, end) = (
        found[1],
        *sorted(((found[2], found[3]), (found[4], found[5])), key=lambda bound: bound[0][:2] not in LOWER),
    )
    return f"{start.strip()} {low.replace('>', '<').replace(GREATER, LESS)} {letter} {high} {end.strip()}"


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
    return text if any("=" in part for part in (_list(text) or [])[1:]) else NAME.sub("", text)


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
    one, two = _unit(a), _unit(b)
    if one and two and not equal(Quantity(Fraction(1), one[1]), Quantity(Fraction(1), two[1])):
        return False
    return expressions(*distinct_letters(*(in_latex(unit[0] if unit else text) for text, unit in ((a, one), (b, two)))))


def _unit(text: str) -> tuple[str, str] | None:
    r"""An expression and the known unit behind it, or any label in `\text`; None without one."""
    head, label, rest = text.partition(LABEL)
    found = TRAILING.match(text)
    quantity = read_quantity(f"1{label}{rest}" if label else f"1 {found[2]}" if found else "", cleaned=True)
    if quantity is None or quantity.value != 1 or _closes_early(rest) or not (label or known_unit(quantity.unit)):
        return None
    return head if label or not found else found[1], quantity.unit


def _chained(text: str) -> str | None:
    """The last part of a chain of equal numbers, `3 + 4 = 7`, or the text; None for a chain of other numbers, `3 + 4 = 8`."""
    parts = [part.strip() for part in text.split("=")]
    if len(parts) < 2 or LETTERS.search("".join(parts[:-1])):
        return text
    if not read_quantity(parts[-1], cleaned=True) and LETTERS.search((_unit(parts[-1]) or parts[-1:])[0]):
        return text  # 25 = x^2 + y^2
    return parts[-1] if _near(parts[0], parts[-1]) else None


def _rounded(text: str, trusted: bool) -> list[str]:
    r"""The values that `\sqrt{2} \approx 1.4` stands for: the first, and the last where it is the first one rounded.

    None where the two are not near, unless the text is trusted; the text itself where there is no such sign.
    """
    first, *others = APPROXIMATED.split(REMARK.sub(r" \\approx \1", text))
    if not others or trusted:
        return [first, *others]
    if NAME.fullmatch(f"{first}=") and number(first) is None:
        return _rounded(" \\approx ".join(others), trusted)
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
        several = (_list(side) or (_bracketed(side) or ("", []))[1][1:] or "\\infty" in side for side in (text, other))
        return x is None is y or not any(several)  # a number is neither a list nor an interval
    return abs(x - y) <= CLOSE * max(abs(x), abs(y)) or _is_rounding(x, other)


def _is_rounding(value: float, text: str) -> bool:
    """Whether a plain decimal is a value rounded to as many decimals."""
    rounding, found = number(text), DECIMALS.fullmatch(text.strip())
    if rounding is None or found is None:
        return False
    return 2 * abs(value - rounding) * 10 ** len(found[1] or "") <= 1 + CLOSE


def _same_time(a: str, b: str) -> bool:
    """Whether two times of day are the same; a missing a.m. or p.m. is no error, nor are missing minutes before one."""
    (one, half), (two, other) = (
        ([int(part) for part in re.findall("[0-9]+", text)], re.findall("[ap](?=[. ]*m)", text.lower()))
        for text in (a, b)
    )
    one, two = ([*time, 0] if found and len(time) == 1 else time for time, found in ((one, half), (two, other)))
    return one == two and (half == other or not (half and other))


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


def _based(a: str, b: str) -> bool | None:
    """Equality of numerals with a base such as 1010_2; None if neither has one."""
    a, b = (IN_BASE.sub(lambda found: f"_{in_digits(found[1] or found[2])}", text) for text in (a, b))
    one, two = BASED.match(_bare(a)), BASED.match(_bare(b))
    if one and two:
        return one[1].lower() == two[1].lower() and one[2] == two[2]
    if not one and not two:
        return None
    based, plain = (one, _bare(b)) if one else (two, _bare(a))
    assert based is not None
    if not re.match(r"^-?[0-9A-Za-z.]+$", plain):
        return None
    # An answer without the base that the question names is accepted, one with a base that it does not name is not.
    return bool(one) and based[1].lower() == plain.lower()


def _modular(a: str, b: str) -> bool | None:
    """Equality of residues such as `3 \\pmod 7`; None if neither is one, or the other is no number."""
    one, two = MODULAR.match(a), MODULAR.match(b)
    if one and two:
        return one[2] == two[2] and (int(one[1]) - int(two[1])) % max(int(one[2]), 1) == 0
    residue, other = one or two, read_quantity(b if one else a, cleaned=True)
    if not residue or not other:
        return None
    return other == Quantity(Fraction(residue[1])) and 0 <= other.value < int(residue[2])


def _proportional(terms: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two ratios of plain numbers are the same; math-verify divides the first term by all others."""
    one, two = ([read_quantity(term, cleaned=True) for term in side] for side in (terms, others))
    if len(one) != len(two) or not (one[0] and two[0] and one[0].value and two[0].value):
        return False
    return all(x and y and x.value * two[0].value == y.value * one[0].value for x, y in zip(one, two, strict=True))


def _parts(a: str, b: str, expressions: Compare, depth: int) -> tuple[bool | None] | None:
    """Equality of lists, tuples, sets, intervals and unions, part by part; None if it cannot be decided by the parts."""
    interval = "\\infty" in a or (MEMBER.match(a) and "\\{" not in a)
    a, b = (UNION.sub(r"\\cup ", OUTWARD.sub(_inward, _value(MEMBER.sub("", text)))) for text in (a, b))
    a, b = (POINT.sub("", text) if other.startswith("(") else text for text, other in ((a, b), (b, a)))
    if not ("matrix" in a and "matrix" in b):
        column = _column(a)
        if column != a and b.startswith("["):
            b = f"({b[1:-1]})" if b.endswith("]") else b
        a, b = column, _column(b)
    left, right = _pieces(a, b), _pieces(b, a)
    if len(left) > 1 and len(right) > 1:
        pieces = _unordered(left, right, expressions, depth)
        # Unions of other pieces may still be the same set.
        return (_expressions(a, b, expressions) if pieces is False else pieces,)
    one, two = _bracketed(a), _bracketed(b)
    if one and two:
        if len(one[1]) == 1 == len(two[1]) and one[0] == two[0] == "()":
            return None  # parentheses around an expression
        if one[0] != two[0] or len(one[1]) != len(two[1]):
            return (False,)
        return (TOGETHER[one[0] == SET](one[1], two[1], expressions, depth),)
    listed, other = (None if found else _signs(_list(text) or []) for text, found in ((a, one), (b, two)))
    if (listed or (one and one[0] == SET)) and not (other or two):
        other = _both(b)
    if (other or (two and two[0] == SET)) and not (listed or one):
        listed = _both(a)
    if not (listed or other or one or two) and _both(a) and _both(b):
        listed, other = _both(a), _both(b)
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


def _inward(found: re.Match[str]) -> str:
    """The interval `(0, 1)` of `]0, 1[`."""
    return f"{found[1].replace(']', '(')}{found[2]}{found[3].replace('[', ')')}"


def _pieces(text: str, other: str) -> list[str]:
    r"""The pieces of a union; those between `or` too where the other side has `\cup`."""
    alternatives = OR.split(text)
    if "\\cup" in other and all(RELATION.search(part) or _bracketed(part) for part in alternatives):
        text = " \\cup ".join(alternatives)
    return split(text, "\\cup")


def _both(text: str) -> list[str] | None:
    r"""The two values of a text with one `\pm`; None for any other."""
    return [text.replace("\\pm", sign) for sign in "+-"] if text.count("\\pm") == 1 and "\\mp" not in text else None


def _signs(parts: Sequence[str]) -> list[str]:
    r"""The parts of a list, with both values of one with `\pm`."""
    return [value for part in parts for value in _both(part) or [part]]


def _value(text: str) -> str:
    """The tuple of `(x, y) = (1, 2)`, or the text; names in another order than the alphabet's stay."""
    found = COORDINATES.match(text)
    letters = re.findall("[a-z]", found[0]) if found else []
    return text[found.end() :] if found and letters == sorted(letters) else text


def _matrix(text: str) -> str:
    r"""A matrix that is written as an array, or with spaced rows, as `\begin{pmatrix}`."""
    return ARRAY.sub(r"\\begin{pmatrix}\1\\end{pmatrix}", SPACED_ROW.sub(r"\\\\ ", text))


def _rows(found: re.Match[str]) -> str:
    """The matrix of `[[1, 2], [3, 4]]`."""
    rows = (row.strip(" ,[").replace(",", "&") for row in found[1].split("]"))
    return f"\\begin{{pmatrix}}{ROW.join(filter(None, rows))}\\end{{pmatrix}}"


def _column(text: str) -> str:
    r"""The tuple of a column vector or of `\langle 1, 2 \rangle`, or the text."""
    text = TRANSPOSED.sub(r"(\1)", text)
    found = COLUMN.match(text)
    if not found or "&" in text:
        return text
    rows = (found[1] or found[2] or "").split(ROW)
    return f"({','.join(filter(None, map(str.strip, rows)))})"


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


def _bracketed(text: str) -> tuple[str, list[str]] | None:
    r"""Kind of bracket and parts of `(1, 2)`, `[0, 1)` or `\{1, 2\}`; None if the text is not one bracket."""
    text = text.strip()
    if text.startswith("\\{") and text.endswith("\\}"):
        kind, inside = SET, text[2:-2]
    elif text[:1] in ("(", "[") and text[-1:] in (")", "]"):
        kind, inside = text[0] + text[-1], text[1:-1]
    else:
        return None
    parts = split(inside, ",") if ";" not in inside else split(inside, ";")
    return None if _closes_early(inside) or len(parts) > MOST_PARTS else (kind, _signs(parts) if kind == SET else parts)


def _closes_early(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character in OPENING) - (character in CLOSING)
        if depth < 0:
            return True
    return False


def _list(text: str) -> list[str] | None:
    """Parts of `1, 2 and 3`; None if it is no list."""
    if read_quantity(text, cleaned=True):
        return None
    parts = [part for piece in CONJUNCTION.split(text) for part in split(piece, ",")]
    return parts if 1 < len(parts) <= MOST_PARTS and all(parts) else None


def split(text: str, separator: str) -> list[str]:
    """The parts of a text between separators outside all brackets."""
    parts, depth, start = [], 0, 0
    if separator not in text:
        return [text.strip()]
    for index, character in enumerate(text):
        depth += (character in OPENING) - (character in CLOSING)
        if depth == 0 and text.startswith(separator, index):
            parts.append(text[start:index].strip())
            start = index + len(separator)
    return [*parts, text[start:].strip()]
