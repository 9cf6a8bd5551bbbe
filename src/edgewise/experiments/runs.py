"""RL runs on all cores; finished ones are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgewise.experiments.workers import Event, EventHandler, Interrupted, Job, run_jobs, send, stopped
from edgewise.lab.rl.trainer import RLConfig
from edgewise.lab.run.interrupts import Stop, at_once


def run_all(
    runs: dict[str, RLConfig], out: Path, workers: int | None = None, on_event: EventHandler | None = None
) -> None:
    """Do every run that has no summary.json yet, `workers` at a time (default: one a core)."""
    handle = on_event or (lambda event: None)
    waiting = []
    for name, config in runs.items():
        if finished(out / name):
            handle(Event(name, "kept", {"step": config.steps, "steps": config.steps}))
        else:
            waiting.append(Job(name, _run, (config, str(out / name))))
    run_jobs(waiting, workers, handle)


def finished(folder: Path) -> bool:
    return (folder / "summary.json").exists()


def _run(name: str, config: RLConfig, folder: str) -> bool:
    """In a worker process: one run to its end (True) or to a stop (False)."""
    from edgewise.lab.rl.trainer import Trainer

    def report(line: dict[str, Any]) -> None:
        keys = ("step", "steps", "reward", "effective_ratio", "rollouts", "seconds")
        send(name, {key: line[key] for key in keys})

    stop = Stop(stopped)
    try:
        with at_once(stop):
            trainer = Trainer(config, Path(folder))
        trainer.run(report, stop)
    except KeyboardInterrupt:
        return False
    return True


__all__ = ["Event", "Interrupted", "finished", "run_all"]
