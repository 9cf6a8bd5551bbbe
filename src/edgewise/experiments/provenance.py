"""Provenance of a result: the command, code, date and machine that its values come from."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgewise.experiments.workers import cores

SOURCE = Path(__file__).parents[3]
PACKAGES = ("numpy", "torch")


def stamped(values: Any, command: str, source: Path = SOURCE) -> dict[str, Any]:
    """`values` beside their command, commit ("+" where files differ from it), date and machine, as JSON values.

    Args:
        values: what was measured.
        command: that made it.
        source: the repository whose code ran; outside of one the commit is empty, as it is for an installed package, whose
            environment may lie in the repository of another project.
    """
    tracked = _git(source, "ls-files")
    commit = _git(source, "rev-parse", "--short", "HEAD") if tracked else ""
    changed = tracked and _git(source, "status", "--porcelain", "-uno")
    return {
        "command": command,
        "commit": commit + ("+" if changed else ""),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "processor": _processor(),
            "cores": cores(),
            "python": platform.python_version(),
            **{package: found for package in PACKAGES if (found := _version(package))},
        },
        "values": values,
    }


def _git(source: Path, *words: str) -> str:
    try:
        return subprocess.run(["git", *words], cwd=source, capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
