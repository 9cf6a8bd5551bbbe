"""One colour and one dash a method, the same in every picture; the style sheet holds the values for light and dark."""

from __future__ import annotations

NAMED = {
    "uniform": ("var(--uniform)", "dot"),
    "ds": ("var(--ds)", "dash"),
    "mopps": ("var(--mopps)", "solid"),
    "edge": ("var(--edge)", "solid"),
}
OTHERS = 6
"""Colours --other-0 .. --other-5 of the style sheet."""
DASHES = ("solid", "dashdot", "longdash", "dot")


def styles(methods: list[str]) -> dict[str, tuple[str, str]]:
    """(colour, dash) by method."""
    others = [method for method in methods if method not in NAMED]
    rest = {m: (f"var(--other-{i % OTHERS})", DASHES[i // OTHERS % len(DASHES)]) for i, m in enumerate(others)}
    return {method: NAMED.get(method) or rest[method] for method in methods}
