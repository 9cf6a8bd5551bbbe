"""Process that computes what may hang or take all memory, apart from the run it serves: standalone, started by `bounded.Worker`.

Protocol: one JSON object a line. The keeper (this process) imports a package once and forks a child that computes; a child
that exceeds its time or memory is killed and replaced by a fork, in milliseconds. Left out: a pool of processes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import resource
import select
import signal
import sys
from types import ModuleType

GRACE = 1.0
"""Seconds after which the kernel ends a child whose keeper is gone."""


def load(path: str) -> ModuleType:
    """The module of a file: `prepare()` imports its package, `compute(request)` answers a request."""
    spec = importlib.util.spec_from_file_location("computation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def address_space() -> int:
    """Bytes of address space that this process has."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 4 * 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def serve(computation: ModuleType, inputs: int, outputs: int, seconds: float, wall: float, memory: int) -> None:
    """Answer requests, each in so many seconds of processor time and by the clock, until the keeper closes its end."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with contextlib.suppress(ValueError, OSError):
        limit = memory + address_space()
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with os.fdopen(inputs, "rb") as requests:
        for line in requests:
            signal.setitimer(signal.ITIMER_REAL, wall + GRACE)
            signal.setitimer(signal.ITIMER_PROF, seconds)
            try:
                answer = computation.compute(json.loads(line))
            except MemoryError:
                os._exit(1)
            except BaseException as error:  # what is computed with raises anything
                answer = {"error": type(error).__name__}
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            os.write(outputs, json.dumps(answer).encode() + b"\n")


class Child:
    """The forked process that computes, and the pipes to it."""

    def __init__(self, computation: ModuleType, seconds: float, wall: float, memory: int):
        from_keeper, self.requests = os.pipe()
        self.answers, to_keeper = os.pipe()
        self.wall = wall
        self.pid = os.fork()
        if not self.pid:
            try:
                os.close(self.requests)
                os.close(self.answers)
                serve(computation, from_keeper, to_keeper, seconds, wall, memory)
            finally:
                os._exit(0)
        os.close(from_keeper)
        os.close(to_keeper)

    def ask(self, line: bytes) -> bytes | None:
        """The answer, or None if the child did not give one in time or died; it is then gone."""
        try:
            os.write(self.requests, line)
            answer = b""
            while select.select([self.answers], [], [], self.wall)[0]:
                part = os.read(self.answers, 1 << 16)
                answer += part
                if answer.endswith(b"\n"):
                    return answer
                if not part:
                    break
        except OSError:
            pass
        self.end()
        return None

    def ended(self) -> bool:
        """Whether the process was killed after its last answer, by the kernel for memory, for example; its pipes are then closed."""
        if not os.waitpid(self.pid, os.WNOHANG)[0]:
            return False
        os.close(self.requests)
        os.close(self.answers)
        return True

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.requests)
        os.close(self.answers)


def main() -> None:
    computation, memory = load(sys.argv[1]), int(sys.argv[4])
    seconds, wall = float(sys.argv[2]), float(sys.argv[3])
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is the run's own affair; the end of its pipe ends this process
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    out, sys.stdout = sys.stdout.buffer, sys.stderr  # what a package prints is no answer
    computation.prepare()
    out.write(b'{"ready": true}\n')
    out.flush()
    child: Child | None = None
    for line in sys.stdin.buffer:
        if child is None or child.ended():
            child = Child(computation, seconds, wall, memory)
        answer = child.ask(line)
        if answer is None:
            child, answer = None, b'{"error": "limit"}\n'
        out.write(answer)
        out.flush()
    if child is not None:
        child.end()


if __name__ == "__main__":
    main()
