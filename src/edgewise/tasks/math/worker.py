"""Process that grades with math-verify, apart from the run it serves: standalone, started by `grader.Worker`.

Protocol: one JSON object a line. The keeper (this process) imports math-verify once and forks a child that computes; a child
that exceeds its time or memory is killed and replaced by a fork, in milliseconds. Left out: a pool; grading is rarely what
a step waits for, since plain answers never come here.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
from typing import Any

GRACE = 1.0
"""Seconds after which the kernel ends a child whose keeper is gone."""


def compute(request: dict[str, Any]) -> dict[str, Any]:
    """Verdict on {"gold", "answer"}, or whether {"parse"} is an expression."""
    from math_verify import parse, verify

    def read(text: str) -> Any:
        return parse(f"${text}$", fallback_mode="no_fallback", parsing_timeout=None)

    if "parse" in request:
        return {"parsed": bool(read(request["parse"]))}
    gold, answer = read(request["gold"]), read(request["answer"])
    correct = bool(gold and answer) and verify(gold, answer, allow_set_relation_comp=True, timeout_seconds=None)
    if correct and far(gold[0], answer[0]):
        correct = False
    return {"correct": bool(correct), "gold_parsed": bool(gold), "parsed": bool(answer)}


def far(gold: Any, answer: Any) -> bool:
    """Whether two numbers differ by more than a millionth; math-verify rounds to six decimals, whatever the size."""
    try:
        x, y = complex(gold), complex(answer)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return False
    return abs(x - y) > 1e-6 * max(abs(x), abs(y))


def address_space() -> int:
    """Bytes of address space that this process has."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 4 * 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def serve(inputs: int, outputs: int, seconds: float, memory: int) -> None:
    """Answer requests until the keeper closes its end."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with contextlib.suppress(ValueError, OSError):
        limit = memory + address_space()
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with os.fdopen(inputs, "rb") as requests:
        for line in requests:
            signal.setitimer(signal.ITIMER_REAL, seconds + GRACE)
            try:
                answer = compute(json.loads(line))
            except MemoryError:
                os._exit(1)
            except BaseException as error:  # math-verify and sympy raise anything
                answer = {"correct": False, "parsed": False, "error": type(error).__name__}
            signal.setitimer(signal.ITIMER_REAL, 0)
            os.write(outputs, json.dumps(answer).encode() + b"\n")


class Child:
    """The forked process that computes, and the pipes to it."""

    def __init__(self, seconds: float, memory: int):
        from_keeper, self.requests = os.pipe()
        self.answers, to_keeper = os.pipe()
        self.seconds = seconds
        self.pid = os.fork()
        if not self.pid:
            try:
                os.close(self.requests)
                os.close(self.answers)
                serve(from_keeper, to_keeper, seconds, memory)
            finally:
                os._exit(0)
        os.close(from_keeper)
        os.close(to_keeper)

    def ask(self, line: bytes) -> bytes | None:
        """The answer, or None if the child did not give one in time or died; it is then gone."""
        try:
            os.write(self.requests, line)
            ready, _, _ = select.select([self.answers], [], [], self.seconds)
            answer = os.read(self.answers, 1 << 16) if ready else b""
        except OSError:
            answer = b""
        if answer.endswith(b"\n"):
            return answer
        self.end()
        return None

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.requests)
        os.close(self.answers)


def main() -> None:
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is the run's own affair; the end of its pipe ends this process
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    from math_verify import parse

    parse("$\\frac{1}{2}$", parsing_timeout=None)  # builds the parser's tables before the first fork
    out = sys.stdout.buffer
    out.write(b'{"ready": true}\n')
    out.flush()
    child: Child | None = None
    for line in sys.stdin.buffer:
        child = child or Child(seconds, memory)
        answer = child.ask(line)
        if answer is None:
            child, answer = None, b'{"correct": false, "parsed": false, "error": "limit"}\n'
        out.write(answer)
        out.flush()
    if child is not None:
        child.end()


if __name__ == "__main__":
    main()
