"""Units of a study on this machine: processes of one thread each."""

from __future__ import annotations

from pathlib import Path

from edgewise.experiments.study.plan import Unit, run_unit
from edgewise.experiments.workers import Job, Tell, run_jobs, send, stopped


def run_here(units: list[Unit], root: Path, workers: int | None, tell: Tell) -> None:
    """Do these units, `workers` at a time (default: one a core); raises as `run_jobs` does."""
    run_jobs(
        [Job(unit.name, _run, (unit, str(root)), (unit.after,) if unit.after else ()) for unit in units], workers, tell
    )


def _run(name: str, unit: Unit, root: str) -> bool:
    """In a worker process."""
    return run_unit(unit, Path(root), lambda line: send(name, line), stopped)
