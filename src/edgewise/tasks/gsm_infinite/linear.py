"""Linear arithmetic of solutions: + - * over integers and one unknown x, parsed from text and never evaluated by Python.

A value is (a, b), standing for a*x + b; plain numbers have a = 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

Linear = tuple[int, int]

UNKNOWN: Linear = (1, 0)
DIGITS = 9
"""Numbers of more digits are not parsed."""
LARGEST = 10**12
"""Results beyond this are not values."""
LONGEST = 300
"""Characters of one expression."""

TOKEN = re.compile(r" *([0-9]+|[A-Za-z]|[-+*()])")
TERM = r"(?:[0-9]{1,9}(?: ?\* ?x)?|x)"
LITERAL = re.compile(rf"(- ?)?({TERM})(?: ?([-+]) ?({TERM}))?")
STRENGTH = {"(": 0, "+": 1, "-": 1, "*": 2, "negate": 3}


def literal(text: str) -> Linear | None:
    """The value of `7`, `-7`, `x`, `4*x`, `4*x + 7` or `5 - x`; None for any other text.

    At most one number and one multiple of x, in either order and of either sign.
    """
    match = LITERAL.fullmatch(text) if len(text) <= 4 * DIGITS else None
    if match is None:
        return None
    sign, term, other_sign, other = match.groups()
    first = _term(term, "-" if sign else "+")
    if other is None:
        return first
    second = _term(other, other_sign)
    if bool(first[0]) == bool(second[0]):
        return None
    return first[0] + second[0], first[1] + second[1]


def evaluate(text: str, values: Mapping[str, Linear]) -> Linear | None:
    """The value of an expression over the letters in `values`.

    None if the text is no expression, names another letter, multiplies x by x or exceeds the bounds.
    """
    output: list[Linear] = []
    for token in postfix(text) or ():
        if token == "negate":
            a, b = output.pop()
            output.append((-a, -b))
        elif token in STRENGTH:
            (c, d), (a, b) = output.pop(), output.pop()
            if token == "*":
                if a and c:
                    return None
                result = (a * d + c * b, b * d)
            else:
                result = (a + c, b + d) if token == "+" else (a - c, b - d)
            if max(abs(result[0]), abs(result[1])) > LARGEST:
                return None
            output.append(result)
        else:
            value = (0, int(token)) if token.isdigit() else values.get(token)
            if value is None:
                return None
            output.append(value)
    return output[0] if output else None


@lru_cache(maxsize=4096)
def postfix(text: str) -> tuple[str, ...] | None:
    """Operands and operators of an expression in postfix order; None if the text is no expression.

    Operators are + - * and "negate"; operands are numbers and single letters. Precedence climbing with an explicit stack:
    linear time, no recursion.
    """
    if len(text) > LONGEST:
        return None
    output: list[str] = []
    waiting: list[str] = []
    operand, place = True, 0  # whether an operand must come next
    text = text.strip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            return None
        token, place = match[1], match.end()
        if token == "(" or (operand and token == "-"):
            if not operand:
                return None
            waiting.append("(" if token == "(" else "negate")
        elif operand:
            if token in "+*)" or len(token) > DIGITS:
                return None
            output.append(token)
            operand = False
        elif token == ")":
            while waiting and waiting[-1] != "(":
                output.append(waiting.pop())
            if not waiting:
                return None
            waiting.pop()
        elif token in "+-*":
            while waiting and STRENGTH[waiting[-1]] >= STRENGTH[token]:
                output.append(waiting.pop())
            waiting.append(token)
            operand = True
        else:
            return None
    if operand or "(" in waiting:
        return None
    return (*output, *reversed(waiting))


def letters(text: str) -> set[str]:
    """The letters of an expression."""
    return {character for character in text[:LONGEST] if "a" <= character <= "z" or "A" <= character <= "Z"}


def _term(text: str, sign: str) -> Linear:
    number = int(f"{sign}{text.partition('*')[0].replace('x', '1')}")
    return (number, 0) if text.endswith("x") else (0, number)
