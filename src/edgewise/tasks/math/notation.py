r"""Expressions as math-verify reads them: `pi/4`, `2sqrt3`, `asin(1/3)`, `C(10, 3)` and other notation in LaTeX."""

from __future__ import annotations

import re

THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
SHORT_ROOT = re.compile(r"(\\sqrt\s*\[[^][]*\])\s*([0-9A-Za-z])")
SHORT_FRACTION = re.compile(r"\\(frac|binom)\s*(\\[A-Za-z]+|[0-9A-Za-z])\s*(\\[A-Za-z]+|[0-9A-Za-z])")
BRACKET = r"\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)"
ROOT = re.compile(rf"(?<![A-Za-z])(?:\\?sqrt\s*{BRACKET}|(?<!\\)sqrt\s*([0-9]+))")
DEEPEST_ROOT = 4
INVERSE = re.compile(r"(?<![\\A-Za-z])a(?=(?:sin|cos|tan)(?![A-Za-z]))")
NAMED = re.compile(
    r"(?<![\\A-Za-z])((?:arc)?(?:sin|cos|tan)|cot|sec|csc|ln|log|exp|pi|alpha|beta|theta|phi|lambda|omega)(?![A-Za-z])"
)
"""A function or constant whose name has no backslash."""
COUNTED = re.compile(
    r"(?<![A-Za-z])([CP])\s*(?:\(\s*([0-9]+)\s*,\s*([0-9]+)\s*\)|_\s*\{?\s*([0-9]+)\s*\}?\s*\^\s*\{?\s*([0-9]+)(?:\s*\})?)"
    r"|(?:\{\}\s*)?[_^]\s*\{?([0-9]+)\}?\s*([CP])\s*_\s*\{?([0-9]+)(?:\})?"
    r"|(?<![\w.])([0-9]+)([CP])([0-9]+)(?!\w)"
)
"""Numbers of combinations and permutations: `C(10, 3)`, `C_{10}^3`, `{}_{10}C_3` and `10C3`."""
CHOOSE = re.compile(r"\{?\s*([0-9A-Za-z+-]+)\s*\\choose(?![A-Za-z])\s*([0-9A-Za-z+-]+)\s*\}?")
OVER = re.compile(r"\{([^{}]*)\\over(?![A-Za-z])([^{}]*)\}")
QUOTIENT = re.compile(rf"(?<![\w.^)}}])(?<![\w.^)}}]\s){BRACKET}\s*/\s*{BRACKET}")
COEFFICIENT = re.compile(
    r"(?<![\w.^)}/])(?<![0-9]\s)([0-9]+|[0-9]*\s?\\sqrt\{?[0-9]+\}?)\s*/\s*([0-9]+)\s*(?=[A-Za-z\\(])"
)
"""A fraction before a factor: `1/2 x` is x / 2, from left to right, where math-verify reads 1 / (2 x)."""
POWER = re.compile(r"\s*\*\*\s*")
MIXED = re.compile(r"(?<![\w.^)}/])([0-9]+)(?:\s*\\frac\{([0-9]+)\}\{([0-9]+)\}|\s+([0-9]+)/([0-9]+)(?![0-9.]))")
RATIO = re.compile(r"(?<=[0-9])\s+to\s+(?=[0-9])")
SUBSCRIPT = re.compile(r"_\s*(?:\{\s*(?:\\(max|min)|([A-Za-z]{2,}))\s*\}|\\(max|min)(?![A-Za-z]))")
"""A subscript of several letters, as a name, a label or `\\max`."""
PRIMED = re.compile(r"([A-Za-z])('+)")
FALLING = re.compile(r"(>|\\g(?:e(?:q(?:slant)?)?|t)(?![A-Za-z]))")
RISING = re.compile(r"<|\\l(?:e|t)|\\\{|[,=]")
RISE = {">": "<", "\\gt": "<", **dict.fromkeys(("\\ge", "\\geq", "\\geqslant"), "\\le ")}


def in_latex(text: str) -> str:
    r"""An expression in LaTeX with braces (`\frac\pi 2`), without thousands separators, with primes and subscripts as names, and with rising inequalities.

    Example:
        >>> in_latex("C(5, 2) pi"), in_latex("a > b > 0")
        ('\\binom{5}{2} \\pi', '0 < b < a')
    """
    text = COUNTED.sub(_count, RATIO.sub(":", THOUSANDS.sub("", text)))
    text = POWER.sub("^", OVER.sub(r"\\frac{\1}{\2}", CHOOSE.sub(r"\\binom{\1}{\2}", text)))
    for _ in range(DEEPEST_ROOT):
        text = ROOT.sub(r"\\sqrt{\1\2}", text)
    text = NAMED.sub(r"\\\1", INVERSE.sub("arc", text))
    text = COEFFICIENT.sub(r"\\frac{\1}{\2} ", QUOTIENT.sub(r"\\frac{\1}{\2} ", text))
    text = SHORT_ROOT.sub(r"\1{\2}", SHORT_FRACTION.sub(r"\\\1{\2}{\3}", text))
    text = MIXED.sub(_improper, text)
    text = SUBSCRIPT.sub(lambda found: f"_{{{next(filter(None, found.groups()))}}}", text)
    text = PRIMED.sub(lambda found: f"{found[1]}_{{{len(found[2]) * 'p'}}}", text)
    parts = FALLING.split(text)
    return (
        text
        if len(parts) < 5 or RISING.search(text)
        else " ".join(RISE.get(part, part).strip() for part in reversed(parts))
    )


def _count(found: re.Match[str]) -> str:
    """A number of combinations or permutations in LaTeX; of permutations of at most 999 things."""
    kind, n, k = sorted(filter(None, found.groups()), key=str.isdigit)
    if kind == "C":
        return f"\\binom{{{n}}}{{{k}}}"
    return f"\\frac{{{n}!}}{{{int(n) - int(k)}!}}" if int(k) <= int(n) < 1000 else found[0]


def _improper(found: re.Match[str]) -> str:
    """A mixed number as one fraction; a product where it is none."""
    whole, above, below = map(int, filter(None, found.groups()))
    return f"\\frac{{{whole * below + above}}}{{{below}}} " if above < below else found[0]
