"""Requests to a worker process of bounded time and memory, which is replaced when it hangs."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path
from select import select
from typing import Any

from edgewise.errors import ConfigError, TaskError

SCRIPT = Path(__file__).with_name("bounded_process.py")
SECONDS = 2.0
WALL = 30.0
"""Seconds by the clock for a second of processor time: a request is not cut short because the machine is busy."""
MEMORY = 1 << 30
"""Bytes of one request beyond those of the idle process."""
START = 120.0
"""Seconds for the first import of the package on a busy machine."""
MARGIN = 10.0


class Worker:
    """Process that answers requests; started at the first one, replaced when it fails.

    Safe to use from several threads; a forked process starts a worker of its own.

    Args:
        computation: file with `prepare()` and `compute(request)`, loaded by the process without this package.
        package: package that it imports.
        extra: extra of this package that installs it.
        seconds: processor time of one request, > 0; the wall-clock time is limited to `WALL` times that.
        memory: bytes of one request beyond those of the idle process, > 0.

    Raises:
        ConfigError: the package is not installed, or a limit is not above 0.
    """

    def __init__(self, computation: Path, package: str, extra: str, *, seconds: float = SECONDS, memory: int = MEMORY):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"{package} is not installed: pip install 'edgewise[{extra}]'")
        if not (seconds > 0 and memory > 0):
            raise ConfigError(f"the limits of a worker must be above 0, got {seconds} seconds and {memory} bytes")
        self.computation, self.package, self.extra = computation, package, extra
        self.seconds, self.memory = seconds, memory
        self.failures = 0
        """Requests that exceeded the limits."""
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()
        self._buffer = b""

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer of the worker; {"error": ...} where it had none within the limits."""
        line = json.dumps(request).encode() + b"\n"
        if os.getpid() != self._owner:
            self._lock, self._process = threading.Lock(), None  # the pipes of a forked process belong to its parent
        with self._lock:
            for _ in range(2):  # a worker that died between two requests is replaced once
                process = self._started()
                assert process.stdin is not None
                try:
                    process.stdin.write(line)
                    process.stdin.flush()
                    answer = json.loads(self._line(WALL * self.seconds + MARGIN))
                except (OSError, ValueError):
                    self.close()
                    continue
                self.failures += answer.get("error") == "limit"
                return answer
        self.failures += 1
        return {"error": "worker"}

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if stream is not None:
                        stream.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._buffer, self._owner = b"", os.getpid()
            limits = self.seconds, WALL * self.seconds, self.memory
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(SCRIPT), str(self.computation), *map(str, limits)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
                start_new_session=True,
            )
            try:
                self._line(START)
            except OSError as error:
                self.close()
                raise TaskError(f"the process of {self.computation.name} did not start: {error}") from error
        return self._process

    def _line(self, seconds: float) -> bytes:
        """The next line of the worker; `OSError` if it ends or takes longer."""
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            ready, _, _ = select([descriptor], [], [], seconds)
            data = os.read(descriptor, 1 << 16) if ready else b""
            if not data:
                raise OSError("no answer in time" if not ready else "its output ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def __reduce__(self) -> tuple[Any, ...]:
        return shared_worker, (self.computation, self.package, self.extra, self.seconds, self.memory)

    def __repr__(self) -> str:
        return (
            f"Worker({self.computation.name}, seconds={self.seconds}, memory={self.memory}, failures={self.failures})"
        )


@lru_cache(maxsize=16)
def shared_worker(
    computation: Path, package: str, extra: str, seconds: float = SECONDS, memory: int = MEMORY
) -> Worker:
    """The worker of this process with these settings, ended with the process; all tasks use one."""
    worker = Worker(computation, package, extra, seconds=seconds, memory=memory)
    atexit.register(worker.close)
    return worker
