"""Ctrl-C and a cluster's SIGTERM let the step in hand finish, so that it can be saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether a stop was asked for."""

    def __init__(self) -> None:
        self.asked = False


@contextmanager
def stopping() -> Iterator[Stop]:
    """Turns the first SIGINT or SIGTERM into `asked`; the second interrupts at once. Only the main thread gets signals."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
