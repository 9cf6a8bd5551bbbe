"""Units of a study on a Ray cluster: one actor a unit, with its resources; stages live in a folder that all machines see."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgewise.errors import ConfigError, EdgewiseError
from edgewise.experiments.study.plan import Unit, run_unit
from edgewise.experiments.workers import Event, EventHandler, Interrupted

STOP = "stop"
"""Name of a file in the study's folder: while it is there, actors stop after the step in hand."""


def run_on_ray(units: list[Unit], root: Path, out: Path, on_event: EventHandler) -> None:
    """Do these units on the cluster that RAY_ADDRESS names, or on a local one that is started and stopped here.

    An actor is started when the unit it builds on is finished, so that nothing that waits holds a GPU.

    Raises:
        ConfigError: Ray is not installed.
        Interrupted: Ctrl-C; actors saved what they had.
        EdgewiseError: a unit failed; finished ones are kept.
    """
    try:
        import ray
        from ray.util.queue import Queue
    except ModuleNotFoundError as error:
        raise ConfigError("--engine ray needs Ray: pip install 'edgewise[ray]'") from error
    ours = not ray.is_initialized()
    if ours:
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    stop = out / STOP
    stop.unlink(missing_ok=True)
    news = Queue()
    actor = ray.remote(UnitActor)
    try:
        _follow(ray, actor, units, root.resolve(), stop.resolve(), news, on_event)
    finally:
        stop.unlink(missing_ok=True)
        if ours:
            ray.shutdown()


class UnitActor:
    """Process of the cluster that does one unit."""

    def __init__(self, cpus: float) -> None:
        import torch

        torch.set_num_threads(max(int(cpus), 1))

    def run(self, unit: Unit, root: str, stop: str, news: Any) -> bool:
        def report(line: dict[str, Any]) -> None:
            news.put((unit.name, "step", line))

        return run_unit(unit, Path(root), report, Path(stop).exists)


def resources(unit: Unit) -> dict[str, float]:
    """CPUs and GPUs of an actor: the most that any of its stages needs."""
    wanted = [unit.resources.get(stage.kind, {}) for stage in unit.stages]
    return {
        "num_cpus": max([part.get("cpus", 1.0) for part in wanted]),
        "num_gpus": max([part.get("gpus", 0.0) for part in wanted]),
    }


def _follow(ray: Any, actor: Any, units: list[Unit], root: Path, stop: Path, news: Any, on_event: EventHandler) -> None:
    waiting = list(units)
    running: dict[Any, tuple[Unit, Any]] = {}
    done = {unit.after for unit in units} - {unit.name for unit in units}
    finish: Callable[[Any], bool] = ray.get
    try:
        while waiting or running:
            for unit in [unit for unit in waiting if unit.after in done]:
                waiting.remove(unit)
                wanted = resources(unit)
                worker = actor.options(**wanted).remote(wanted["num_cpus"])
                # The actor lives as long as somebody holds it.
                running[worker.run.remote(unit, str(root), str(stop), news)] = (unit, worker)
            ready, _ = ray.wait(list(running), timeout=0.2)
            while not news.empty():
                on_event(Event(*news.get()))
            for reference in ready:
                unit, _ = running.pop(reference)
                try:
                    finish(reference)
                except ray.exceptions.RayTaskError as error:
                    cause = error.cause
                    if isinstance(cause, EdgewiseError):
                        raise cause from None
                    raise
                except ray.exceptions.RayActorError as error:
                    raise EdgewiseError(
                        f"the actor of {unit.name} died (killed, or out of memory); the same command goes on"
                    ) from error
                done.add(unit.name)
                on_event(Event(unit.name, "finished", {}))
    except KeyboardInterrupt:
        _stop(ray, running, stop)
        raise Interrupted("stopped; what was done is kept") from None
    except BaseException:
        _stop(ray, running, stop)
        raise


def _stop(ray: Any, running: dict[Any, Any], stop: Path, patience: float = 60.0) -> None:
    """Stop the actors, with time to save."""
    stop.touch()
    end = time.monotonic() + patience
    left = list(running)
    while left and time.monotonic() < end:
        _, left = ray.wait(left, num_returns=len(left), timeout=0.5)
