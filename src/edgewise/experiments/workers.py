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
from edgewise.lab.run.interrupts import SIGNALS, Stop, accept, handling, withheld


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


def cores() -> int:
    """Cores that this process may use; those of the machine where the system has no limit for a process, as on macOS."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(jobs: Sequence[Job], workers: int | None, on_event: EventHandler) -> None:
    """Do every job, `workers` at a time (default: one a core), those given first before others.

    Raises:
        Interrupted: stopped on request.
        EdgewiseError: what a job raised, or its process died; the others were stopped.
    """
    workers = workers if workers is not None else cores()
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    if not jobs:
        return
    # Children take these from the environment before they load torch: one thread a job, and idle ones sleep.
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", TOKENIZERS_PARALLELISM="false")
    context = multiprocessing.get_context("spawn")
    with withheld():
        news, stop = context.Queue(), context.Event()
    request = Stop()
    with (
        handling(request.ask),
        ProcessPoolExecutor(min(workers, len(jobs)), context, _prepare, (news, stop, os.getpid())) as pool,
    ):
        try:
            _follow(list(jobs), pool, news, stop, request, on_event)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        if request.asked:
            stop.set()
    if request.asked:
        raise Interrupted("stopped; what was done is kept")


def _follow(
    waiting: list[Job], pool: ProcessPoolExecutor, news: Any, stop: Any, request: Stop, on_event: EventHandler
) -> None:
    left: dict[Future[bool], str] = {}
    done: set[str] = {name for job in waiting for name in job.after} - {job.name for job in waiting}
    while left or (waiting and not request.asked):
        ready = [job for job in waiting if done.issuperset(job.after) and not request.asked]
        waiting = [job for job in waiting if job not in ready]
        name = ready[0].name if ready else ""
        try:
            for job in ready:
                with withheld():  # submission starts the processes
                    left[pool.submit(_work, job.call, job.name, *job.arguments)] = job.name
            finished, _ = wait(left, timeout=0.1, return_when=FIRST_COMPLETED)
            _drain(news, on_event)
            if request.asked:
                stop.set()  # not by the signal's handler: the event's lock may be held where the signal arrives
            for future in finished:
                name = left.pop(future)
                if future.result():
                    done.add(name)
                    on_event(Event(name, "finished", {}))
                else:
                    request.ask()  # of the worker alone, by a signal
        except BrokenProcessPool as error:
            if not request.asked:
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


_news: Any = None
_stop: Any = None
_parent = 0
_terminated = Stop()
_busy = threading.Lock()
"""Held while a worker process does a job."""
WATCH = 0.5
"""Seconds between looks of an idle worker for a reason to stop."""


def _work(call: Callable[..., bool], name: str, *arguments: Any) -> bool:
    """In a worker process: one job, unless a stop was requested before it began."""
    with _busy:
        return not stopped() and call(name, *arguments)


def _leave_when_stopped() -> None:
    """In a thread of a worker process: end the process when it has to stop and no job is under way.

    A worker waits for jobs on a queue that it holds open itself, so that without its parent it would wait for ever, as it
    would where another one has left with the lock of that queue.
    """
    while not stopped():
        time.sleep(WATCH)
    with _busy:  # the job in hand stops after its step, and saves it
        time.sleep(0.1)  # its result is sent after that
        os._exit(1)


def _prepare(news: Any, stop: Any, parent: int) -> None:
    """In a worker process, once; `parent` by its number, since it may be gone before this process asks for it."""
    global _news, _stop, _parent
    _news, _stop, _parent = news, stop, parent
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # where all processes get it, the parent stops this one
    # The executor, too, terminates its workers when one of them has died.
    signal.signal(signal.SIGTERM, lambda *_: _terminated.ask())
    accept()
    threading.Thread(target=_leave_when_stopped, daemon=True).start()
    import torch

    torch.set_num_threads(1)


def send(name: str, line: dict[str, Any]) -> None:
    """In a worker process: a step of job `name` was done."""
    _news.put((name, "step", line))


def stopped() -> bool:
    """In a worker process: whether to stop, by request or because the parent is gone (the next command goes on)."""
    return _terminated.asked or os.getppid() != _parent or bool(_stop.is_set())
