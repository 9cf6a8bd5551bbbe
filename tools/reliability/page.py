"""Outcomes of the trials: recorded, and shown as a table in docs/reliability.md."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tools.numbers import ROOT, record
from tools.reliability.trials import TRIALS, Outcome, Trial


def keep(name: str, function: Trial, outcome: Outcome, seconds: float) -> None:
    """Record an outcome; those of other trials stay."""
    path = ROOT / "docs" / "results" / "reliability.json"
    values = json.loads(path.read_text("utf-8"))["values"] if path.exists() else {}
    values[name] = {
        "what": (function.__doc__ or "").strip(),
        "trials": outcome.trials,
        "faults": len(outcome.faults),
        "first_faults": outcome.faults[:5],
        "figures": outcome.figures,
        "cpu_seconds": round(seconds, 1),
        "commit": _commit(),
    }
    record(ROOT, "reliability", values, "python -m tools.reliability")
    page = ROOT / "docs" / "reliability.md"
    page.write_text(with_table(page.read_text("utf-8"), values), "utf-8")


def _commit() -> str:
    """Of the code that was tried: trials are recorded one by one."""
    parts = ("src", "tools")
    commit = subprocess.run(["git", "log", "-1", "--format=%h", "--", *parts], cwd=ROOT, capture_output=True, text=True)
    changed = subprocess.run(["git", "status", "--porcelain", "--", *parts], cwd=ROOT, capture_output=True, text=True)
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")


BEGIN, END = "<!-- trials -->\n", "<!-- end of trials -->"


def with_table(page: str, values: dict[str, Any]) -> str:
    """The page with the table of recorded results between its two marks."""
    rows = ["| trial | tried | faults left | figures |", "|---|---|---|---|"]
    for name in (name for name in TRIALS if name in values):
        found = values[name]
        figures = ", ".join(
            f"{key.replace('_', ' ')} {value:.4g}"
            for key, value in found["figures"].items()
            if not key.endswith(("_refused", "_correct"))  # shares by kind, kept in the results alone
        )
        what = found["what"].split("\n")[0]
        rows.append(f"| `{name}`: {what} | {found['trials']:,} | {found['faults']} | {figures} |")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n" + "\n".join(rows) + f"\n\n{END}{rest.partition(END)[2]}"
