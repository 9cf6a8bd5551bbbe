"""Letters that math-verify confuses with others."""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"\\(?:text|mathrm|mathbb|mathcal|operatorname|begin|end)\s*\{[^{}]*\}|\\Gamma\s*(?:\\left\s*)?\(|(?P<symbol>\\[A-Za-z]+|[A-Za-z])"
)
"""A name or the gamma function of something, or a command or letter."""
CAPITALS = frozenset("ABCDFGHJKLMNOPQRSTUVWXYZ") | {
    f"\\{name}" for name in ("Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega")
}
"""Those that are read as the small letter; E and I are constants."""
FREE = "abckmnpqrstuvwxyz"
"""Letters that stand for others: none has a meaning of its own."""


def distinct_letters(one: str, two: str) -> tuple[str, str]:
    r"""Two expressions with other letters for capitals that stand beside their small letter in one of them, and for gamma where it is no function.

    math-verify reads `M` as `m` and `\Omega` as `\omega`, so that `\frac{M}{m}` is 1, and `\gamma-1` as the gamma function at
    -1. Where no expression has both letters, `x` for `X` is no error.

    Example:
        >>> distinct_letters("M-m", "0")
        ('a-m', '0')
    """
    used = [{found["symbol"] for found in TOKEN.finditer(text)} for text in (one, two)]
    symbols = used[0] | used[1]
    confused = {symbol for some in used for symbol in some & CAPITALS if symbol.lower() in some}
    confused |= symbols & {r"\gamma", r"\Gamma"}
    if not confused:
        return one, two
    free = (letter for letter in FREE if letter not in symbols and letter.upper() not in symbols)
    others = dict(zip(sorted(confused), free, strict=False))

    def other(found: re.Match[str]) -> str:
        letter = others.get(found["symbol"])
        if letter is None:
            return found[0]
        # Behind a command, as in `\frac\Omega2`, a letter would become a part of it.
        return f" {letter}" if found[0].startswith("\\") and found.string[: found.start()][-1:].isalpha() else letter

    return TOKEN.sub(other, one), TOKEN.sub(other, two)
