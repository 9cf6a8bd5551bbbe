"""Values of written numbers: 3.5, 1,200, 7/2, 5\\sqrt{3}, \\frac{7}{2}, 12\\pi, with a unit or in the marks of LaTeX.

Read by a small grammar in one pass, never evaluated by Python; texts of more than 200 characters are not read.
"""

from __future__ import annotations

import math
import re

from edgewise.tasks.quantities import LABEL, NAME, clean

LONGEST = 200
DEPTH = 8
CLOSE = 0.01
"""Relative error of a rounded value."""
WRAPPED = re.compile(
    r"\$\$(.*)\$\$|\$(.*)\$|\\\((.*)\\\)|\\\[(.*)\\\]|\*\*(.*)\*\*|\\boxed\{(.*)\}|\\text\{(.*)\}|\{(.*)\}"
)
NAMED = re.compile(r"^(?:m ?)?(?:(?:\\?angle|∠) ?[A-Za-z0-9]{1,12}|\\overline ?\{ ?[A-Za-z]{2} ?\}) ?= ?")
"""An angle or a segment, which `NAME` does not have."""
CHAIN = re.compile(r"=|\\approx(?![A-Za-z])|≈")
DIGITS = re.compile(r"\\[dt]?frac ?([0-9]) ?([0-9])")
"""A fraction of single digits without braces: LaTeX reads `\\frac12` as 1/2."""
MIXED = re.compile(
    r"(?<![0-9.,/])([0-9]{1,12})(?: ?(?=\\)| )(\\[dt]?frac ?\{ ?[0-9]{1,12} ?\} ?\{ ?[0-9]{1,12} ?\}|[0-9]{1,12}/[0-9]{1,12}(?![0-9.,/]))"
)
"""A mixed number, `3\\frac{1}{2}` or `3 1/2`: a sum, where other factors side by side are a product."""
LENGTH_OR_ANGLE = (
    r"(?:deg(?:ree)?s?|\\circ|\^ ?\\circ|\^ ?\{ ?\\circ ?\}|(?:square |sq\.? |cubic )?(?:cm|mm|m|km|in|ft|yd|units?|inch(?:es)?|f(?:oo|ee)t"
    r"|yards?|miles?|(?:centi|milli|kilo)?met(?:er|re)s?)(?: ?\^? ?(?:[23]|\{[23]\})| squared)?)"
)
UNIT = re.compile(rf" *(?:{LENGTH_OR_ANGLE}|\( ?{LENGTH_OR_ANGLE} ?\))\.?$")
TOKEN = re.compile(
    r" *([0-9]{1,12}(?:,[0-9]{3})*(?:\.[0-9]{0,12})?|\.[0-9]{1,12}|\\[dt]?frac|\\sqrt|\\pi|π|√|sqrt|pi|\\cdot|\\times|[-+*/(){}])"
)


def number(text: str) -> float | None:
    """The value of a written number, the first of a chain of equal ones; None if the text is none, or several numbers."""
    text = text.strip()
    if len(text) > LONGEST:
        return None
    text = " ".join(clean(text).replace(LABEL, " ").split())
    text = MIXED.sub(r"(\1 + \2)", DIGITS.sub(r"\\frac{\1}{\2}", text))
    for _ in range(4):
        before = text
        text = NAME.sub("", NAMED.sub("", UNIT.sub("", text))).strip()
        wrapped = WRAPPED.fullmatch(text)
        if wrapped is not None:
            text = next(part for part in wrapped.groups() if part is not None).strip()
        if text == before:
            break
    chain = CHAIN.split(text)
    if len(chain) > 1:
        first, *others = map(number, chain)
        same = first is not None and all(x is not None and abs(x - first) <= CLOSE * abs(first) for x in others)
        return first if same else None
    tokens: list[str] = []
    place = 0
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            return None
        tokens.append(match[1])
        place = match.end()
    try:
        value, rest = _sum(tokens, 0, 0)
    except (_NoNumberError, OverflowError, ZeroDivisionError, ValueError):
        return None
    return value if rest == len(tokens) and math.isfinite(value) else None


class _NoNumberError(Exception):
    pass


def _sum(tokens: list[str], at: int, depth: int) -> tuple[float, int]:
    value, at = _product(tokens, at, depth)
    while at < len(tokens) and tokens[at] in "+-":
        other, after = _product(tokens, at + 1, depth)
        value, at = value + (other if tokens[at] == "+" else -other), after
    return value, at


def _product(tokens: list[str], at: int, depth: int) -> tuple[float, int]:
    sign = 1.0
    while at < len(tokens) and tokens[at] in "+-":
        sign, at = -sign if tokens[at] == "-" else sign, at + 1
    value, at = _factor(tokens, at, depth)
    while at < len(tokens) and tokens[at] not in "+-)}":
        if tokens[at] in ("*", "\\cdot", "\\times", "/"):
            other, after = _factor(tokens, at + 1, depth)
            value, at = (value / other if tokens[at] == "/" else value * other), after
        elif tokens[at][0].isdigit() or tokens[at][0] == ".":
            raise _NoNumberError  # two numbers side by side
        else:
            other, at = _factor(tokens, at, depth)
            value *= other
    return sign * value, at


def _factor(tokens: list[str], at: int, depth: int) -> tuple[float, int]:
    if at >= len(tokens) or depth > DEPTH:
        raise _NoNumberError
    token = tokens[at]
    if token[0].isdigit() or token[0] == ".":
        return float(token.replace(",", "")), at + 1
    if token in ("\\pi", "π", "pi"):
        return math.pi, at + 1
    if token in ("\\sqrt", "√", "sqrt"):
        value, at = _factor(tokens, at + 1, depth + 1)
        return math.sqrt(value), at
    if token.endswith("frac"):
        above, at = _factor(tokens, at + 1, depth + 1)
        below, at = _factor(tokens, at, depth + 1)
        return above / below, at
    if token in "({":
        value, at = _sum(tokens, at + 1, depth + 1)
        if at >= len(tokens) or tokens[at] != {"(": ")", "{": "}"}[token]:
            raise _NoNumberError
        return value, at + 1
    raise _NoNumberError
