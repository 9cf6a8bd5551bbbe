"""Self-contained pages of comparisons and RL runs, and tables for the terminal.

Left out on purpose: a server, a template engine and a plotting library. The page is built from the files of the runs alone
and opens offline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewise.report.page import build_report, write
    from edgewise.report.terminal import table

__all__ = ["build_report", "table", "write"]


def __getattr__(name: str) -> Any:
    # Loaded when used: the watch page needs the style and the charts alone, and opens in a second.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edgewise.report import page, terminal

    return getattr(terminal if name == "table" else page, name)
