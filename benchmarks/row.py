"""One line of the table, and how times are taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measured claim.

    Attributes:
        name: what was measured.
        ours: the measurement.
        unit: of `ours` and `baseline`.
        baseline: what it is compared with; None where the measurement itself is judged.
        target: the ratio ("x faster", "x slower") or the measurement that is asked for.
        holds: whether it was reached.
    """

    name: str
    ours: float
    unit: str
    target: str
    holds: bool
    baseline: float | None = None

    @classmethod
    def faster(cls, name: str, ours: float, baseline: float, times: float) -> Row:
        """At least `times` as fast as the baseline; both in seconds."""
        return cls(name, 1e3 * ours, "ms", f">= {times:g}x faster", baseline >= times * ours, 1e3 * baseline)

    @classmethod
    def flat(cls, name: str, ours: float, baseline: float, times: float) -> Row:
        """At most `times` as long as the same at a smaller size; both in seconds."""
        return cls(name, 1e3 * ours, "ms", f"<= {times:g}x slower", ours <= times * baseline, 1e3 * baseline)

    @classmethod
    def rate(cls, name: str, ours: float, baseline: float, unit: str, times: float) -> Row:
        """At least `times` the baseline's rate; both in `unit`, more is better."""
        return cls(name, ours, unit, f">= {times:g}x the rate", ours >= times * baseline, baseline)

    @classmethod
    def below(cls, name: str, ours: float, unit: str, limit: float) -> Row:
        """At most `limit`."""
        return cls(name, ours, unit, f"<= {limit:g} {unit}", ours <= limit)


def seconds(action: Callable[[], Any], repeats: int = 21) -> float:
    """Median seconds of `action`, after one call that does not count."""
    action()
    return median(_once(action) for _ in range(repeats))


def alternating(
    actions: list[Callable[[], Any]], repeats: int = 21, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Median seconds of each action by a clock, taken in turns: what else the machine does falls on all alike."""
    for action in actions:
        action()
    times = [[_once(action, clock) for action in actions] for _ in range(repeats)]
    return [median(column) for column in zip(*times, strict=True)]


def _once(action: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    action()
    return clock() - start
