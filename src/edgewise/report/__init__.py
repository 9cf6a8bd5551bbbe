"""Pictures of a comparison of selection methods: one self-contained HTML page, and a table for the terminal.

Left out on purpose: a server, a template engine and a plotting notebook. The page is built from the files of the runs alone
and opens offline.
"""

from edgewise.report.page import build_report
from edgewise.report.terminal import table

__all__ = ["build_report", "table"]
