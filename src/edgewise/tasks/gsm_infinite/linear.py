"""Arithmetic of solutions: + - * over integers and one unknown x, read from text and never evaluated by Python.

A value is (a, b), standing for a*x + b; plain numbers have a = 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Linear = tuple[int, int]

UNKNOWN: Linear = (1, 0)
DIGITS = 9
"""Numbers of more digits are not read."""
LARGEST = 10**12
"""Results beyond this are not values."""
LONGEST = 300
"""Characters of one expression."""

TOKEN = re.compile(r" *([0-9]+|[A-Za-z]|[-+*()])")
LITERAL = re.compile(r"(-?[0-9]+)|(?:([0-9]+)\*)?x(?: ([+-]) ([0-9]+))?")
STRENGTH = {"(": 0, "+": 1, "-": 1, "*": 2, "negate": 3}


def literal(text: str) -> Linear | None:
    """The value of `7`, `-7`, `x`, `4*x` or `4*x + 7`; None for any other text."""
    match = LITERAL.fullmatch(text) if len(text) <= 4 * DIGITS else None
    if match is None:
        return None
    number, times, sign, constant = match.groups()
    if any(len(part or "") > DIGITS + (part or "").startswith("-") for part in (number, times, constant)):
        return None
    if number is not None:
        return 0, int(number)
    return int(times or 1), int(f"{sign or ''}{constant or 0}")


def evaluate(text: str, values: Mapping[str, Linear]) -> Linear | None:
    """The value of an expression over the letters in `values`.

    None if the text is no expression, names another letter, multiplies x by x or leaves the bounds. Precedence climbing with
    explicit stacks: linear time, no recursion.
    """
    if len(text) > LONGEST:
        return None
    output: list[Linear] = []
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
            value = _operand(token, values)
            if value is None:
                return None
            output.append(value)
            operand = False
        elif token == ")":
            while waiting and waiting[-1] != "(":
                if not _apply(waiting.pop(), output):
                    return None
            if not waiting:
                return None
            waiting.pop()
        elif token in "+-*":
            while waiting and STRENGTH[waiting[-1]] >= STRENGTH[token]:
                if not _apply(waiting.pop(), output):
                    return None
            waiting.append(token)
            operand = True
        else:
            return None
    if operand:
        return None
    while waiting:
        if not _apply(waiting.pop(), output):
            return None
    return output[0]


def letters(text: str) -> set[str]:
    """The letters of an expression."""
    return {character for character in text[:LONGEST] if "a" <= character <= "z" or "A" <= character <= "Z"}


def _operand(token: str, values: Mapping[str, Linear]) -> Linear | None:
    if token.isdigit():
        return (0, int(token)) if len(token) <= DIGITS else None
    return values.get(token)


def _apply(sign: str, output: list[Linear]) -> bool:
    """Replace the last operands by the result of `sign`; False where there is none."""
    if sign == "(":
        return False
    a, b = output.pop()
    if sign == "negate":
        output.append((-a, -b))
        return True
    c, d = output.pop()
    if sign == "*":
        if a and c:
            return False
        result = (a * d + c * b, b * d)
    else:
        result = (c + a, d + b) if sign == "+" else (c - a, d - b)
    output.append(result)
    return max(abs(result[0]), abs(result[1])) <= LARGEST
