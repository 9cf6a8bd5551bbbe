"""Trials by name, and the processes in which they happen."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENDED, FAILED, DONE = "ended", 3, 0


@dataclass
class Outcome:
    """Trials made, faults found (a line each), and figures worth reading."""

    trials: int
    faults: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


Trial = Callable[[int, Path], Outcome]
TRIALS: dict[str, tuple[Trial, int, int]] = {}
"""Name -> trial, number at full scale, number in the fast tests (0: only in the slow ones)."""


def trial(name: str, full: int, fast: int) -> Callable[[Trial], Trial]:
    def register(function: Trial) -> Trial:
        TRIALS[name] = function, full, fast
        return function

    return register


def in_child(work: Callable[[], Any], cpu_seconds: float = 0.0, setup: Callable[[], Any] | None = None) -> int | str:
    """Exit status of `work` in a forked process: 0, 3 after an unexpected error, "ended" by the timer."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that a fork does not take along: the child uses none of them
        child = os.fork()
    if child == 0:
        status = FAILED
        try:
            if setup is not None:
                setup()
            if cpu_seconds:
                signal.signal(signal.SIGPROF, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
            work()
            status = DONE
        except BaseException as error:
            with contextlib.suppress(BaseException):
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return ENDED if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def cpu_of(work: Callable[[], Any]) -> float:
    """CPU seconds of `work` in a forked process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if in_child(work) != DONE:
        raise SystemExit("the uninterrupted run failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextlib.contextmanager
def said() -> Iterator[Callable[[], str]]:
    """Standard error of child processes, kept: a call returns the last line since the call before."""
    before = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)

        def newest() -> str:
            file.seek(0)
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
            file.seek(0)
            file.truncate()
            return lines[-1] if lines else "no message"

        try:
            yield newest
        finally:
            os.dup2(before, 2)
            os.close(before)


def attempt(name: str, n: int | None = None) -> Outcome:
    """One trial in a folder of its own, n times (None: at full scale)."""
    function, full, _ = TRIALS[name]
    folder = Path(tempfile.mkdtemp(prefix="reliability-"))
    try:
        return function(full if n is None else n, folder)
    finally:
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(folder)
