"""Jobs on all cores: processes of one thread each, live events, a stop that loses nothing."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from edgewise.errors import ConfigError, EdgewiseError


class Interrupted(EdgewiseError):
    """Stopped on request; the same command goes on."""


@dataclass(frozen=True)
class Event:
    """An event of one job: its name, what happened ("step", "finished", "kept") and its metrics line."""

    run: str
    what: str
    line: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """Work for one process.

    `call(name, *arguments)` is a module's function. It returns True when it is finished and False when it was stopped, reports
    each step with `send` and checks `stopped` after it. Jobs named in `after` are finished before it begins.
    """

    name: str
    call: Callable[..., bool]
    arguments: tuple[Any, ...]
    after: tuple[str, ...] = ()


EventHandler = Callable[[Event], None]


def run_jobs(jobs: Sequence[Job], workers: int | None, on_event: EventHandler) -> None:
    """Do every job, `workers` at a time (default: one a core), those given first before others.

    Raises:
        Interrupted: stopped on request.
        EdgewiseError: what a job raised, or its process died; the others were stopped.
    """
    workers = workers if workers is not None else len(os.sched_getaffinity(0))
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    if not jobs:
        return
    # Children take these from the environment before they load torch: one thread a job, and idle ones sleep.
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", TOKENIZERS_PARALLELISM="false")
    context = multiprocessing.get_context("spawn")
    news, stop = context.Queue(), context.Event()
    with (
        ProcessPoolExecutor(min(workers, len(jobs)), context, _prepare, (news, stop, os.getpid())) as pool,
        _on_interrupt(stop),
    ):
        try:
            _follow(list(jobs), pool, news, stop, on_event)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if stop.is_set():
        raise Interrupted("stopped; what was done is kept")


def _follow(waiting: list[Job], pool: ProcessPoolExecutor, news: Any, stop: Any, on_event: EventHandler) -> None:
    left: dict[Future[bool], str] = {}
    done: set[str] = {name for job in waiting for name in job.after} - {job.name for job in waiting}
    while waiting or left:
        ready = [job for job in waiting if done.issuperset(job.after)]
        waiting = [job for job in waiting if not done.issuperset(job.after)]
        for job in ready:
            left[pool.submit(_work, job.call, job.name, *job.arguments)] = job.name
        finished, _ = wait(left, timeout=0.1, return_when=FIRST_COMPLETED)
        _drain(news, on_event)
        if stop.is_set():
            waiting = []
            for future in left:
                future.cancel()
        for future in finished:
            name = left.pop(future)
            if future.cancelled():
                continue
            try:
                if future.result():
                    done.add(name)
                    on_event(Event(name, "finished", {}))
            except BrokenProcessPool as error:
                raise EdgewiseError(
                    f"the process of run {name} died (killed, or out of memory); the same command goes on"
                ) from error
    _drain(news, on_event)


def _drain(news: Any, on_event: EventHandler) -> None:
    while True:
        try:
            on_event(Event(*news.get_nowait()))
        except queue.Empty:
            return


class _on_interrupt:
    """Turns Ctrl-C and a termination signal into a stop of the jobs after their step."""

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
_busy = threading.Lock()
"""Held while a worker process does a job."""
WATCH = 1.0
"""Seconds between looks for the parent of an idle worker."""


def _work(call: Callable[..., bool], name: str, *arguments: Any) -> bool:
    """In a worker process: one job."""
    with _busy:
        return call(name, *arguments)


def _leave_when_orphaned() -> None:
    """In a thread of a worker process: end the process when its parent is gone and no job is under way.

    A worker waits for jobs on a queue that it holds open itself, so that it would wait for ever.
    """
    while os.getppid() == _parent:
        time.sleep(WATCH)
    with _busy:  # the job in hand stops after its step, and saves it
        os._exit(1)


def _prepare(news: Any, stop: Any, parent: int) -> None:
    """In a worker process, once; `parent` by its number, since it may be gone before this process asks for it."""
    global _news, _stop, _parent
    _news, _stop, _parent = news, stop, parent
    threading.Thread(target=_leave_when_orphaned, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    import torch

    torch.set_num_threads(1)


def send(name: str, line: dict[str, Any]) -> None:
    """In a worker process: a step of job `name` was done."""
    _news.put((name, "step", line))


def stopped() -> bool:
    """In a worker process: whether to stop, by request or because the parent is gone (the next command goes on)."""
    return bool(_stop.is_set()) or os.getppid() != _parent
