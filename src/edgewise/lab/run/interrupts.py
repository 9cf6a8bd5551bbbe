"""Signals that stop a command: the step in hand finishes, so that it can be saved.

Ctrl-C, a cluster and `timeout` signal all processes of a command, and `timeout` its first process twice.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

REPEATED = 1.0
"""Seconds after a signal in which another is the same request."""
WATCH = 0.5
"""Seconds between looks for a request to stop while nothing would be lost."""
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stop:
    """Whether a stop was asked for: by `ask`, or because `also` says so."""

    def __init__(self, also: Callable[[], bool] | None = None) -> None:
        self.also = also
        self._asked = False

    @property
    def asked(self) -> bool:
        return self._asked or (self.also is not None and self.also())

    def ask(self) -> None:
        self._asked = True


@contextmanager
def stopping(also: Callable[[], bool] | None = None) -> Iterator[Stop]:
    """Turns the first signal into `asked`; a later one interrupts at once. Only the main thread gets signals."""
    stop, signalled = Stop(also), False

    def ask() -> None:
        nonlocal signalled
        if signalled:
            raise KeyboardInterrupt
        signalled = True
        stop.ask()

    with handling(ask):
        yield stop


@contextmanager
def handling(request: Callable[[], None]) -> Iterator[None]:
    """Inside, `request` is called at each signal that is not a repetition; outside the main thread, nothing changes.

    A hangup that is ignored, as `nohup` does it, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last = -REPEATED

    def handle(*_: object) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before >= REPEATED:
            request()

    kept = {n: signal.getsignal(n) for n in SIGNALS}
    for number, handler in kept.items():
        if number in (signal.SIGINT, signal.SIGTERM) or handler != signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def at_once(stop: Stop | None) -> Iterator[None]:
    """Inside, where no step is in hand that could be lost, a stop interrupts without waiting for the end of the work.

    Args:
        stop: the request; None: nothing changes, as outside the main thread.
    """
    if stop is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    over, found, kept = threading.Event(), threading.Event(), signal.getsignal(signal.SIGTERM)

    def leave(number: int, frame: Any) -> None:
        # What handled the signal before, such as Ray, may end the process at one that it is sent.
        if callable(kept) and not found.is_set():
            kept(number, frame)
        if not over.is_set():  # once: a second one would interrupt what is being put away
            over.set()
            raise KeyboardInterrupt

    def watch() -> None:
        while not over.wait(WATCH):
            if stop.asked:
                found.set()
                _thread.interrupt_main(signal.SIGTERM)
                return

    signal.signal(signal.SIGTERM, leave)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        signal.signal(signal.SIGTERM, kept)


@contextmanager
def withheld() -> Iterator[None]:
    """Processes started inside get no signals before they call `accept`: Python would end with a traceback while it loads."""
    if os.name != "posix":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def accept() -> None:
    """In a process started while signals were withheld: get them from now on."""
    if os.name == "posix":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def leave_group() -> None:
    """In a process started while signals were withheld: get only signals of its own, none of those that all processes get."""
    if os.name == "posix":
        os.setpgid(0, 0)
        while waiting := signal.sigpending() & set(SIGNALS):
            signal.sigwait(waiting)
        accept()
