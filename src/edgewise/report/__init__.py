"""Self-contained pages of comparisons and RL runs, and tables for the terminal.

Left out on purpose: a server, a template engine and a plotting notebook. The page is built from the files of the runs alone
and opens offline.
"""

from edgewise.report.page import build_report, write
from edgewise.report.terminal import table

__all__ = ["build_report", "table", "write"]
