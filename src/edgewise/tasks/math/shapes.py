r"""Shapes of answers: lists, tuples, sets, intervals, unions, matrices and systems, taken apart into their members, and expressions into value and unit."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgewise.tasks.quantities import LABEL, known_unit, read_quantity

TRAILING = re.compile(r"^(.*?\S)\s+((?:square|sq|cubic|cu)?\s*[A-Za-z]+\s*(?:\^\s*\{?[23]\}?)?)$")
MOST_PARTS = 60
OPENING, CLOSING = "([{", ")]}"
OR = re.compile(r"\s*,?\s+or\s+")
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
COORDINATES = re.compile(r"^\([a-z](?:\s*,\s*[a-z]){1,3}\)\s*=\s*(?=[(\[])")
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
RELATION = re.compile(r"\\le|\\ge|<|>|\\cup|\\in|\\pm|\\lt|\\gt|\\mathbb")
END = r"\s*[^][(),;\s][^][(),;]*"
OUTWARD = re.compile(rf"([][(])({END}[,;]{END})([][)])")
"""An interval, whose brackets may point outward."""
UNION = re.compile(r"(?<=[\])])\s*U\s*(?=[\[(])")


def condition(text: str) -> str:
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


def inward(found: re.Match[str]) -> str:
    """The interval `(0, 1)` of `]0, 1[`."""
    return f"{found[1].replace(']', '(')}{found[2]}{found[3].replace('[', ')')}"


def union_pieces(text: str, other: str) -> list[str]:
    r"""The pieces of a union; those between `or` too where the other side has `\cup`."""
    alternatives = OR.split(text)
    if "\\cup" in other and all(RELATION.search(part) or bracketed(part) for part in alternatives):
        text = " \\cup ".join(alternatives)
    return split(text, "\\cup")


def joined_parts(text: str) -> list[str] | None:
    r"""The two values of a text with one `\pm`; None for any other."""
    return [text.replace("\\pm", sign) for sign in "+-"] if text.count("\\pm") == 1 and "\\mp" not in text else None


def both_signs(parts: Sequence[str]) -> list[str]:
    r"""The parts of a list, with both values of one with `\pm`."""
    return [value for part in parts for value in joined_parts(part) or [part]]


def unnamed_value(text: str) -> str:
    """The tuple of `(x, y) = (1, 2)`, or the text; names in another order than the alphabet's stay."""
    found = COORDINATES.match(text)
    letters = re.findall("[a-z]", found[0]) if found else []
    return text[found.end() :] if found and letters == sorted(letters) else text


def as_matrix(text: str) -> str:
    r"""A matrix that is written as an array, or with spaced rows, as `\begin{pmatrix}`."""
    return ARRAY.sub(r"\\begin{pmatrix}\1\\end{pmatrix}", SPACED_ROW.sub(r"\\\\ ", text))


def matrix_of_rows(found: re.Match[str]) -> str:
    """The matrix of `[[1, 2], [3, 4]]`."""
    rows = (row.strip(" ,[").replace(",", "&") for row in found[1].split("]"))
    return f"\\begin{{pmatrix}}{ROW.join(filter(None, rows))}\\end{{pmatrix}}"


def as_tuple(text: str) -> str:
    r"""The tuple of a column vector or of `\langle 1, 2 \rangle`, or the text."""
    text = TRANSPOSED.sub(r"(\1)", text)
    found = COLUMN.match(text)
    if not found or "&" in text:
        return text
    rows = (found[1] or found[2] or "").split(ROW)
    return f"({','.join(filter(None, map(str.strip, rows)))})"


def bracketed(text: str) -> tuple[str, list[str]] | None:
    r"""Kind of bracket and parts of `(1, 2)`, `[0, 1)` or `\{1, 2\}`; None if the text is not one bracket."""
    text = text.strip()
    if text.startswith("\\{") and text.endswith("\\}"):
        kind, inside = SET, text[2:-2]
    elif text[:1] in ("(", "[") and text[-1:] in (")", "]"):
        kind, inside = text[0] + text[-1], text[1:-1]
    else:
        return None
    parts = split(inside, ",") if ";" not in inside else split(inside, ";")
    return (
        None if closes_early(inside) or len(parts) > MOST_PARTS else (kind, both_signs(parts) if kind == SET else parts)
    )


def unit_of(text: str) -> tuple[str, str] | None:
    r"""An expression and the known unit behind it, or any label in `\text`; None without one."""
    head, label, rest = text.partition(LABEL)
    found = TRAILING.match(text)
    quantity = read_quantity(f"1{label}{rest}" if label else f"1 {found[2]}" if found else "", cleaned=True)
    if quantity is None or quantity.value != 1 or closes_early(rest) or not (label or known_unit(quantity.unit)):
        return None
    return head if label or not found else found[1], quantity.unit


def closes_early(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character in OPENING) - (character in CLOSING)
        if depth < 0:
            return True
    return False


def list_parts(text: str) -> list[str] | None:
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
