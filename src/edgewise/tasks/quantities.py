r"""Plain numbers with units as people and models write them: `1{,}200`, `\frac12`, `3.50 dollars`, `90^\circ`, `40\%`.

Reading is by bounded regular expressions on at most 200 characters, exact (fractions), and in ASCII digits only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

LONGEST = 200
MIN_DECIMALS = 6
"""Decimals that a rounded value of a fraction such as 1/3 must have to be equal to it."""

PRODUCTS = "\u00b7\u22c5\u2217"
"""Signs of multiplication that are no LaTeX; `\u00d7` is not among them, since it is read as `\\times`."""
COMMANDS = {
    "\\\\": "\\\\",  # a line of a matrix: its second backslash begins no command
    "\\varnothing": "\\emptyset",
    "\\dfrac": "\\frac",
    "\\tfrac": "\\frac",
    "\\cfrac": "\\frac",
    "\\sfrac": "\\frac",
    "\\nicefrac": "\\frac",
    "\\left": "",
    "\\right": "",
    **dict.fromkeys((f"\\{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m")), ""),
    **dict.fromkeys(("\\displaystyle", "\\limits", "\\large", "\\Large", "\\bf", "\\bfseries", "\\rm"), ""),
    "\\bigcup": "\\cup",
    "\\dbinom": "\\binom",
    "\\tbinom": "\\binom",
    "\\backslash": "\\setminus ",
    ",\\! ": ",",
    "\\,": "",
    "\\!": "",
    "\\;": " ",
    "\\:": " ",
    "\\colon": ":",
    "\\ ": " ",
    "~": " ",
    "\\quad": " ",
    "\\qquad": " ",
    **dict.fromkeys(("\\enspace", "\\thinspace", "\\medspace", "\\thickspace"), " "),
    "\\%": "%",
    "\\$": "\ue000",
    "\\#": "#",
    "{,}": ",",
    "\\lbrace": "\\{",
    "\\rbrace": "\\}",
    "^{\\circ}": " degrees ",
    "^\\circ": " degrees ",
    "^{\\prime}": "'",
    "^\\prime": "'",
    "\u2032": "'",
    "\\degree": " degrees ",
    "\u00b0": " degrees ",
    "\u00ba": " degrees ",
    "\u02da": " degrees ",
    "\u2212": "-",
    "\uff0d": "-",
    "\u2013": "-",
    "\u00d7": "\\times ",
    **dict.fromkeys(PRODUCTS, "\\cdot "),
    "\u00a0": " ",
    "\u202f": "",
    "\u2009": "",
    "\u00bd": "\\frac12",
    "\u00bc": "\\frac14",
    "\u00be": "\\frac34",
    "\u2153": "\\frac13",
    "\u2154": "\\frac23",
    "\u2044": "/",
    "\u03c0": "\\pi ",
    "\u221e": "\\infty ",
    "\u2264": "\\le ",
    "\u2265": "\\ge ",
    "\u2248": "\\approx ",
    "\u222a": "\\cup ",
    "\u221a": "\\sqrt ",
    "\u2208": "\\in ",
    "\u2205": "\\emptyset ",
    **dict.fromkeys(("\u00b1", "+-", "+/-"), "\\pm "),
}
RAISED_O = re.compile(r"(?<=[0-9])\s*\^\s*(?:o(?![A-Za-z])|\{\s*(?:o|\\(?:text|mathrm|rm)\s*\{\s*o\s*\})\s*\})")
"""Sign of degrees as it is written without `\\circ`."""
COMMAND = re.compile("|".join(sorted((re.escape(key) + (r"(?![A-Za-z])" if key[-1].isalpha() and key[0] == "\\" else "") for key in COMMANDS), key=len, reverse=True)))  # fmt: skip
RAISED = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b"
LOWERED = "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089\u208b"
SCRIPT = re.compile(f"([{RAISED}]+)|[{LOWERED}]+")
PLAIN = str.maketrans(RAISED + LOWERED, 2 * "0123456789-")
DOLLAR = "\ue000"
"""Stands for a dollar sign of money while those around formulas are removed."""
LABEL = "\u2003"
"""Stands before and behind what was in `\\text`: a white space, so that it separates words as one does."""
EMPTY = re.compile(f"{LABEL} *{LABEL}")
"""A label without words, or the place where one ends and the next begins."""
ROOT = re.compile(r"\u221a\s*(?:([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+(?:\.[0-9]+)?)|\(([^()]*)\))")
PHANTOM = re.compile(r"\\phantom\s*(?:\{[^{}]*\})?|\\(?:text)?color\s*\{[A-Za-z]+\}")
"""What prints nothing: the place of a text, and a color."""
POINT = re.compile(r"(?<=[0-9])\.(?=\s*[/)}])")
TEXT = r"\\(?:text|textbf|textit|textrm|textsf|texttt|textnormal|emph|mathrm|mbox)\s*\{((?:[^{}]|\^\{-?[0-9]\})*)\}"
UNIT_FRACTION = re.compile(rf"\\frac\s*\{{\s*{TEXT}\s*\}}\s*\{{\s*{TEXT}\s*(\^\s*[23])?\s*\}}")
ABOUT = re.compile(r"^(?:\\approx(?![A-Za-z])|(?:approximately|about|roughly)\b)\s*", re.IGNORECASE)
HALF_OF_DAY = re.compile(r"(?<![A-Za-z])([ap])\.\s?(m)\b\.?", re.IGNORECASE)
FONT = re.compile(
    r"\\(?:mathbf|boldsymbol|bm|mathit|mathsf|underline|operatorname|vec)\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
)
WRAPPERS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("**", "**"),
    ("`", "`"),
    ('"', '"'),
    ("'", "'"),
)
ATOM = r"[^{}\\]|\\."
BRACED = re.compile(rf"^\{{((?:{ATOM}|\{{(?:{ATOM}|\{{(?:{ATOM})*\}})*\}})*)\}}$")
STOPS = re.compile("(?:(?<!\\.)\\.|[,;:\\s\u2705\u2713\u2714\ufe0f\U0001f300-\U0001faff])+$")
"""Stops, blanks and pictures at the end; several dots stand for more parts."""

INTEGER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?: [0-9]{3})+|[0-9]{1,100})"
SEPARATORS = re.compile("[, ]")
DECIMAL = rf"(?:{INTEGER}(?:\.[0-9]{{0,100}})?|\.[0-9]{{1,100}})"
RECURRING = (
    r"(?P<before>[0-9]{0,50})\.(?P<fixed>[0-9]{0,50})\\(?:overline|bar)\s*\{?\s*(?P<recurring>[0-9]{1,50})(?:\s*\})?"
)
ENDLESS = (
    (re.compile(r"\.([0-9]*)\\dot\s*\{?([0-9])\}?(?:([0-9]*)\\dot\s*\{?([0-9])\}?)?"), r".\1\\overline{\2\3\4}"),
    (re.compile(r"\.\(([0-9]+)\)"), r".\\overline{\1}"),
    (re.compile(r"\.([0-9]*?)(?:([0-9])\2{2,}|([0-9]{2,9})\3+)(?:\.{2,}|\\[lc]?dots|\u2026)"), r".\1\\overline{\2\3}"),
)
"""Other notations of recurring digits: `0.1\\dot{6}`, `0.(6)` and `0.1666...`."""
POWER = r"(?:\s*(?:\\times|\\cdot|[*xX])\s*10\s*\^\s*\{?\s*(?P<power>[-+]?[0-9]{1,3})(?:\s*\})?|[eE](?P<exponent>[-+]?[0-9]{1,3}))"


def _fraction(mark: str) -> str:
    r"""Pattern of `\frac{3}{4}`, `\frac34` or `3/4` whose groups end with a mark."""
    top, bottom = (rf"\{{\s*{sign}(?P<{name}{mark}>{INTEGER})\s*\}}|(?P<{name}_{mark}>[0-9])" for name, sign in (("top", "(?P<minus" + mark + ">-?)"), ("bottom", "")))  # fmt: skip
    return rf"\\frac\s*(?:{top})\s*(?:{bottom})|(?P<over{mark}>[0-9]{{1,100}})\s*/\s*(?P<under{mark}>[0-9]{{1,100}})"


NUMBER = re.compile(
    rf"(?P<sign>[-+]?)\s*(?:(?P<whole>[0-9]{{1,100}})(?:\s+|(?=\\))(?:{_fraction('a')})|(?:{_fraction('b')})|{RECURRING}|10\s*\^\s*\{{?\s*(?P<ten>[-+]?[0-9]{{1,3}})(?:\s*\}})?|(?P<decimal>{DECIMAL}){POWER}?)"
)
NAME = re.compile(
    r"^(?:m?\s*\\angle\s*)?(?:[A-Za-z]{1,12}(?:\s[A-Za-z]{1,12}){0,3}|\\[a-z]+)"
    r"(?:_\{?(?:[A-Za-z0-9\s]{1,40}|\\m(?:ax|in)\s*)\}?)?(?:\([A-Za-z]\))?\s*=\s*(?!=)"
)
UNIT = re.compile(rf"^[A-Za-z%$\u20ac\u00a3 {LABEL}./^{{}}0-9'-]*$")
FIRST = re.compile(r"[^A-Za-z]*([A-Za-z]+)")
SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
CHANGED = "squared|cubed|doubled|tripled|halved"
"""Words behind a number that change it."""
NO_LABEL = re.compile(
    rf"^(?:{CHANGED}|is|are|and)\b|\b(?:wrong|false|incorrect|not|or|plus|minus|at least|at most|mille|dozens?|half|halves|thirds?|(?:four|fif|six|seven|eigh|nin|ten|hundred|thousand)ths?"
    r"|pi|sin|cos|tan|log|exp|sqrt|mod|theta|factorial|infinity|root of|times the"
    r"|(?:two|three|four|five|six|seven|eight|nine|tens?|eleven|twelve)(?!-))\b"
)
"""Words behind a number that make another number of it."""
VARIABLE = re.compile(r"[A-Za-z] (?![ghlms]$)[a-z]$")
"""A letter at the end of words, `72 more than x`, that is no unit."""
COMPOUND = re.compile(r"^(.*?[A-Za-z])\s*(?:,|,?\sand\b|(?=\s))\s*(?=[0-9])(.*)$")
BRACKETED = re.compile(r"^\s*[(\[]([^][()]*)[)\]]$")
"""A unit in brackets."""
SCALE = re.compile(rf"\s*({'|'.join(SCALES)})s?(?![A-Za-z])", re.IGNORECASE)
ORDINALS = ("st", "nd", "rd", "th")
ABBREVIATIONS = frozenset(["J", "N", "V", "W", "K", "C", "A", "T", "eV", "Hz", "Pa", "nm", "ms", "AU", "pc", "ly", "kJ", "kW", "kV", "mA", "mV", "mW", "MW", "kN", "MJ", "dB", "am", "pm", "AM", "PM"])  # fmt: skip
"""Short units that are labels without `\\text` too, those of one letter before a slash."""
MEGA = re.compile(r"M(?:m|g|s|W|J|V|A|N|L|l|Hz|Pa|eV)")
"""Units of a million, whose small letter would make thousandths of them."""
SHORT = frozenset(["as", "at", "by", "if", "in", "is", "of", "on", "so", "to"])
"""Words of a sentence that goes on behind its number."""
INVERSE = re.compile(r"\s([A-Za-z]+)\s*\^\s*-\s*(?:1|([23]))(?![0-9])")
"""A unit below another one, `m s^{-2}`."""
WORDS = {"mph": "miles/hour", **dict.fromkeys(("kph", "kmh", "kmph"), "km/hour")}
"""Words for rates."""
SYMBOLS = {"$": "dollars", "\u20ac": "euros", "\u00a3": "pounds sterling"}


def _table(dimension: str, rows: str) -> dict[str, tuple[str, Fraction]]:
    """Spelling -> (dimension, size) of lines `size: spelling, spelling`."""
    table = {}
    for row in rows.strip().split(";"):
        size, _, names = row.partition(":")
        for name in names.split(","):
            table[name.strip()] = (dimension, Fraction(size.strip()))
    return table


UNITS: dict[str, tuple[str, Fraction]] = {
    **_table("length", "1: m, meter, metre; 1/100: cm, centimeter, centimetre; 1/1000: mm, millimeter, millimetre"),
    **_table("length", "1000: km, kilometer, kilometre"),
    **_table("imperial length", "1: in, inch, inche; 12: ft, foot, feet; 36: yd, yard; 63360: mi, mile"),
    **_table("mass", "1: g, gram; 1000: kg, kilogram, kilo; 1/1000: mg, milligram"),
    **_table("imperial mass", "1: oz, ounce; 16: lb, pound"),
    **_table("time", "1: s, sec, second; 60: min, minute; 3600: h, hr, hour; 86400: day; 604800: week"),
    **_table("volume", "1: l, liter, litre; 1/1000: ml, milliliter, millilitre"),
    **_table("dollars", "1: dollar, usd; 1/100: cent"),
    **_table("euros", "1: euro, eur"),
    **_table("sterling", "1: pound sterling, gbp"),
    **_table("angle", "1: degree, deg"),
    **_table("unit", "1: unit"),
}
CANONICAL: dict[tuple[str, Fraction], str] = {}
for _name, _kind in UNITS.items():
    CANONICAL.setdefault(_kind, _name)
RATE = re.compile(rf"/\s*((?:{'|'.join(name for name in UNITS if len(name) > 2)})s?)$")
"""What follows a number of something a unit, `18/day`; `18/n` is a formula."""
SPELLED = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


@dataclass(frozen=True)
class Quantity:
    """A number and its unit.

    Args:
        value: exact value.
        unit: unit or label in lower case, singular; empty without one, "%" for percent.
        decimals: digits after the point as written; -1 for a fraction.
    """

    value: Fraction
    unit: str = ""
    decimals: int = 0


def clean(text: str) -> str:
    r"""An answer without what does not change its meaning: dollar signs, spacing commands, `\left`, bold, a full stop."""
    text = ROOT.sub(r"\\sqrt{\1\2}", text.replace(LABEL, " ").strip())
    text = RAISED_O.sub(" degrees ", text)
    text = COMMAND.sub(lambda found: COMMANDS[found[0]], text)
    text = SCRIPT.sub(_script, text)
    text = FONT.sub(r" \1 ", UNIT_FRACTION.sub(r"\\text{\1/\2}\3", PHANTOM.sub("", text)))
    text = EMPTY.sub(" ", re.sub(TEXT, rf"{LABEL}\1{LABEL}", text))
    text = HALF_OF_DAY.sub(r"\1\2", POINT.sub("", text))
    for _ in range(4):
        before = text
        text = BRACED.sub(r"\1", STOPS.sub("", ABOUT.sub("", text.strip())))
        for left, right in WRAPPERS:
            inside = text[len(left) : len(text) - len(right)]
            if text.startswith(left) and text.endswith(right) and inside and left not in inside:
                text = inside
        if text == before:
            break
    return LABEL.join(" ".join(part.split()) for part in text.replace(DOLLAR, "$").split(LABEL)).strip()


def _script(found: re.Match[str]) -> str:
    """Raised or lowered characters in LaTeX; one has no braces, which do not belong inside of `\\text`."""
    digits = found[0].translate(PLAIN)
    return ("^" if found[1] else "_") + (digits if len(digits) == 1 else f"{{{digits}}}")


def read_quantity(text: str, *, cleaned: bool = False) -> Quantity | None:
    r"""The number and unit that a text consists of; None if it is anything else.

    Example:
        >>> read_quantity(r"x = \frac{3}{4}"), read_quantity("1,200 meters.").value, read_quantity("3 or 4")
        (Quantity(value=Fraction(3, 4), unit='', decimals=-1), Fraction(1200, 1), None)
    """
    if len(text) > LONGEST:
        return None
    if not cleaned:
        text = clean(text)
    text = NAME.sub("", text)
    if "." in text:
        for notation, overline in ENDLESS:
            text = notation.sub(overline, text)
    sign = ""
    if text[:1] in "-+" and text[1:2] in SYMBOLS:
        sign, text = text[0], text[1:]
    symbol = SYMBOLS.get(text[:1], "")
    if symbol:
        text = text[1:].lstrip()
    found = NUMBER.match(sign + text)
    if found is None:
        return None
    rest = BRACKETED.sub(r" \1", RATE.sub(r" per \1", (sign + text)[found.end() :]))
    if rest[:1].isdigit() or (rest[:1] in (".", ",", "/", "^", "_") and rest.strip(".,")):
        return None
    value, decimals = _value(found)
    if value is None:
        return None
    while scale := SCALE.match(rest):
        value, rest = value * SCALES[scale[1].lower()], rest[scale.end() :]
    unit = _unit(rest)
    if unit is not None and symbol:
        unit = _unit(f" {symbol} {rest}")
    return _compound(text) if unit is None else Quantity(value, unit, decimals)


def _compound(text: str) -> Quantity | None:
    """The sum of `2 hours and 30 minutes`, in its largest unit; None for anything but known units, one a part of the other."""
    found = COMPOUND.match(text)
    first, rest = (read_quantity(part, cleaned=True) for part in found.groups()) if found else (None, None)
    if not first or not rest or first.value < 0 or rest.value < 0:
        return None
    one, two = UNITS.get(first.unit), UNITS.get(rest.unit)
    if not one or not two or one[0] != two[0] or rest.value * two[1] >= one[1]:
        return None
    return Quantity(first.value + rest.value * two[1] / one[1], first.unit, -1)


def _value(found: re.Match[str]) -> tuple[Fraction | None, int]:
    groups = {name: value for name, value in found.groupdict().items() if value is not None}
    sign = -1 if groups["sign"] == "-" else 1
    if "ten" in groups:
        return sign * Fraction(10) ** int(groups["ten"]), -1
    if "decimal" in groups:
        digits = SEPARATORS.sub("", groups["decimal"])
        power = int(groups.get("power") or groups.get("exponent") or 0)
        decimals = len(digits.partition(".")[2])
        value = Fraction(digits.rstrip(".") or "0") * Fraction(10) ** power
        return sign * value, max(decimals - power, 0)
    if "recurring" in groups:
        fixed, recurring = groups["fixed"], groups["recurring"]
        tail = Fraction(int(recurring), 10 ** len(recurring) - 1)
        return sign * (int(groups["before"] + fixed or "0") + tail) / 10 ** len(fixed), -1
    minus = -1 if groups.get("minusa") or groups.get("minusb") else 1
    top, bottom = (
        next(int(SEPARATORS.sub("", groups[name])) for name in names if name in groups)
        for names in (
            ("topa", "top_a", "overa", "topb", "top_b", "overb"),
            ("bottoma", "bottom_a", "undera", "bottomb", "bottom_b", "underb"),
        )
    )
    mixed = "whole" in groups
    if not bottom or (mixed and not 0 <= top < bottom):
        return None, 0
    return sign * minus * (int(groups.get("whole", 0)) + Fraction(top, bottom)), -1


def _unit(text: str) -> str | None:
    """Canonical spelling of what follows a number; None if it is no unit or label."""
    if not UNIT.match(text):
        return None
    # A letter or two are a variable or a product, `3x`, unless `\text`, a space or their unit makes them a label.
    if not all(_is_label(part, bool(row % 2), not row) for row, part in enumerate(text.split(LABEL))):
        return None
    text = " ".join(text.split())
    if NO_LABEL.search(text.lower()) or VARIABLE.search(text):
        return None
    if text.startswith("%"):
        return None if text[1:].strip() else "%"
    if not text:
        return ""
    if text in ("percent", "per cent", "percentage points"):
        return "%"
    text = WORDS.get(text.lower(), SYMBOLS.get(text, text))
    text = text.replace("{", "").replace("}", "").replace(" per ", "/")
    text = INVERSE.sub(lambda found: f"/{found[1]}" + (f"^{found[2]}" if found[2] else ""), text)
    if not text[:1].isalpha() or re.search(r"[0-9]", re.sub(r"\^\s*-?\s*[1-9]\b", "", text)):
        return None
    words = []
    power = 0
    for spelling in re.sub(r"([./^-])", r" \1 ", text).split():
        word = spelling if MEGA.fullmatch(spelling) else spelling.lower()
        if word in SPELLED:
            power = SPELLED[word]
        elif word != ".":
            word = _singular(word)
            words.append(CANONICAL.get(UNITS[word], word) if word in UNITS else word)
    unit = " ".join(words)
    unit = re.sub(r"\s*\^\s*([23])", r"^\1", unit)
    return f"{unit}^{power}" if power else unit


def _is_label(text: str, inside: bool, first: bool) -> bool:
    r"""Whether letters behind a number, inside of `\text` or not, begin with a unit or another word."""
    found = FIRST.match(text)
    if not found:
        return True
    word, rest = found[1], text[found.end() :]
    known = word in UNITS or (len(word) > 1 and (_singular(word.lower()) in UNITS or word.lower() in SPELLED))
    if inside:
        return known or len(word) > 1 or word.isupper()
    if first and text[0].isalpha():  # they touch the number
        return (known and len(word) > 1) or text in ORDINALS
    if known or rest.lstrip().startswith("^"):
        return known
    if word in ABBREVIATIONS:
        return len(word) > 1 or rest.startswith("/")
    return len(word) > 2 or word in SHORT


def _singular(word: str) -> str:
    if word in UNITS or len(word) < 3 or word.endswith("ss"):
        return word
    return word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word.removesuffix("s")


def equal(gold: Quantity, given: Quantity) -> bool:
    """Whether two quantities are the same.

    A missing unit is no error. A percent sign that one side lacks is accepted for the number itself (40% and 40) and for its
    hundredth (40% and 0.4). Values are compared exactly; a rounded decimal equals a fraction that has no finite decimals if at
    least six decimals are given and all are right.

    Example:
        >>> equal(read_quantity("2 m"), read_quantity("200 cm")), equal(read_quantity("2 m"), read_quantity("2 cm"))
        (True, False)
    """
    a, b = gold, given
    if a.unit == b.unit or not (a.unit and b.unit):
        if (a.unit == "%") != (b.unit == "%"):
            percent, other = (a, b) if a.unit == "%" else (b, a)
            if not other.unit and percent.value / 100 == other.value:
                return True
            # A value below 1 with a percent sign is rarely what a gold answer without one means.
            return a.value == b.value and (percent is a or abs(b.value) >= 1)
        return _same_value(a, b)
    one, two = _size(a.unit), _size(b.unit)
    if one and two:
        return one[0] == two[0] and a.value * one[1] == b.value * two[1]
    if known_unit(a.unit) or known_unit(b.unit):
        return False
    words, others = set(a.unit.split()), set(b.unit.split())
    alike = (words <= others or others <= words) and ("/" in words) == ("/" in others)
    return alike and _same_value(a, b)


def known_unit(unit: str) -> bool:
    """Whether a unit, as a `Quantity` has it, can be converted."""
    return _single(unit) is not None


def _size(unit: str) -> tuple[tuple[tuple[str, int], ...], Fraction] | None:
    """Dimension and size of a unit or of a rate of two, `km / hour`, in base units; None where a part is not known."""
    parts = [_single(part) for part in unit.split(" / ", 2)]
    known = [part for part in parts if part]
    if len(known) < len(parts) or len(parts) > 2:
        return None
    (_, size), *below = known
    return tuple(dimension for dimension, _ in known), size / below[0][1] if below else size


def _single(unit: str) -> tuple[tuple[str, int], Fraction] | None:
    name, _, power = unit.partition("^")
    if name not in UNITS or not (power or "1").isdecimal():
        return None
    dimension, size = UNITS[name]
    exponent = int(power or 1)
    return (dimension, exponent), size**exponent


def _same_value(a: Quantity, b: Quantity) -> bool:
    if a.value == b.value:
        return True
    for exact, rounded in ((a, b), (b, a)):
        endless = _endless(exact.value.denominator)
        if endless and exact.decimals == -1 and rounded.decimals >= MIN_DECIMALS:
            return abs(exact.value - rounded.value) * 10**rounded.decimals * 2 <= 1
    return False


def _endless(denominator: int) -> bool:
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator > 1
