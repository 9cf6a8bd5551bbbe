"""Runs the benchmarks and prints one table; exits with 1 if a target was missed."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

from benchmarks.row import Row

HEAD = ("benchmark", "ours", "baseline", "ratio", "target", "")


def main(words: list[str]) -> int:
    table = [HEAD]
    missed = 0
    for module in sorted(info.name for info in pkgutil.iter_modules([str(Path(__file__).parent)])):
        part = importlib.import_module(f"benchmarks.{module}") if module != "__main__" else None
        if not hasattr(part, "rows") or (words and not any(word in module for word in words)):
            continue
        print(f"{module} ...", file=sys.stderr, flush=True)
        for row in part.rows():  # type: ignore[union-attr]
            table.append(_cells(row))
            missed += not row.holds
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEAD))]
    for cells in table:
        print(
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
        )
    return 1 if missed else 0


def _cells(row: Row) -> tuple[str, ...]:
    if row.baseline is None:
        baseline = ratio = "-"
    else:
        baseline = f"{row.baseline:.3g} {row.unit}"
        more = row.baseline / row.ours
        ratio = f"{more:.3g}x" if "faster" in row.target or "fewer" in row.target else f"{1 / more:.3g}x"
    return row.name, f"{row.ours:.3g} {row.unit}", baseline, ratio, row.target, "ok" if row.holds else "MISSED"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
