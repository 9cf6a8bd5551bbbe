"""Many RL runs spread over the cores: processes of one thread each, live events, a stop that loses nothing."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewise.checkpoint import write_json
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.lab.rl import RLConfig


class Interrupted(EdgewiseError):
    """Stopped on request; the same command goes on."""


@dataclass(frozen=True)
class Event:
    """News of one run: its name, what happened ("step", "finished", "kept") and its metrics line."""

    run: str
    what: str
    line: dict[str, Any]


def run_all(
    runs: dict[str, RLConfig], out: Path, workers: int | None = None, on_event: Callable[[Event], None] | None = None
) -> None:
    """Do every run that has no summary.json yet, `workers` at a time (default: one a core)."""
    workers = workers if workers is not None else len(os.sched_getaffinity(0))
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    tell = on_event or (lambda event: None)
    waiting = []
    for name, config in runs.items():
        if finished(out / name):
            tell(Event(name, "kept", {"step": config.steps, "steps": config.steps}))
        else:
            waiting.append((name, config))
    if not waiting:
        return
    # Children take these from the environment before they load torch: one thread a run, and idle ones sleep.
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", TOKENIZERS_PARALLELISM="false")
    context = multiprocessing.get_context("spawn")
    news, stop = context.Queue(), context.Event()
    with ProcessPoolExecutor(min(workers, len(waiting)), context, _prepare, (news, stop)) as pool, _on_interrupt(stop):
        futures = {pool.submit(_run, name, config, str(out / name)): name for name, config in waiting}
        try:
            _follow(futures, news, stop, tell)
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise
    if stop.is_set():
        raise Interrupted("stopped; what was done is kept")


def finished(folder: Path) -> bool:
    return (folder / "summary.json").exists()


def _follow(futures: dict[Future[bool], str], news: Any, stop: Any, tell: Callable[[Event], None]) -> None:
    left = set(futures)
    while left:
        done, left = wait(left, timeout=0.1, return_when=FIRST_COMPLETED)
        _drain(news, tell)
        if stop.is_set():
            for future in left:
                future.cancel()
        for future in done:
            if future.cancelled():
                continue
            try:
                if future.result():
                    tell(Event(futures[future], "finished", {}))
            except BrokenProcessPool as error:
                raise EdgewiseError(
                    f"the process of run {futures[future]} died (killed, or out of memory); the same command goes on"
                ) from error
    _drain(news, tell)


def _drain(news: Any, tell: Callable[[Event], None]) -> None:
    while True:
        try:
            tell(Event(*news.get_nowait()))
        except queue.Empty:
            return


class _on_interrupt:
    """Ctrl-C and a termination signal ask the runs to stop at their next step instead of tearing them down."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, stop: Any):
        self.stop = stop

    def __enter__(self) -> None:
        self.usable = threading.current_thread() is threading.main_thread()
        if self.usable:
            self.before = {number: signal.signal(number, lambda *_: self.stop.set()) for number in self.SIGNALS}

    def __exit__(self, *_: Any) -> None:
        if self.usable:
            for number, handler in self.before.items():
                signal.signal(number, handler)


_news: Any = None
_stop: Any = None
_parent = 0


def _prepare(news: Any, stop: Any) -> None:
    """In a worker process, once."""
    global _news, _stop, _parent
    _news, _stop, _parent = news, stop, os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    import torch

    torch.set_num_threads(1)


def _stopped() -> bool:
    """Asked to stop, or orphaned: a parent that was killed leaves its runs to whoever starts the command again."""
    return bool(_stop.is_set()) or os.getppid() != _parent


class _Stop(Exception):
    """Leaves the training loop at a step's end."""


def _run(name: str, config: RLConfig, folder: str) -> bool:
    """In a worker process: one run to its end (True) or to a stop (False)."""
    from edgewise.lab.rl import Trainer

    def report(line: dict[str, Any]) -> None:
        keys = ("step", "steps", "reward", "effective_ratio", "rollouts", "seconds")
        _news.put((name, "step", {key: line[key] for key in keys}))
        if _stopped():
            raise _Stop

    if _stopped():
        return False
    trainer = Trainer(config, Path(folder))
    try:
        summary = trainer.run(report)
    except _Stop:
        trainer.save()
        return False
    write_json(Path(folder) / "summary.json", summary)
    return True
