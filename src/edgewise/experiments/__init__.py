"""Controlled studies: a config, many runs, one table with confidence intervals."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewise.experiments.comparison import ComparisonConfig, compare, preset
    from edgewise.experiments.summary import Summary, summarise

_FROM = {"ComparisonConfig": "comparison", "compare": "comparison", "preset": "comparison"}
_FROM |= {"Summary": "summary", "summarise": "summary"}
__all__ = ["ComparisonConfig", "Summary", "compare", "preset", "summarise"]


def __getattr__(name: str) -> Any:
    # Runs need torch; reading their folders does not.
    if name in _FROM:
        return getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
