"""Number of solutions of a countdown problem, by dynamic programming over the subsets of its numbers, in exact fractions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgewise.errors import TaskError

Ints = npt.NDArray[np.int64]
LARGEST = 2**62


class Values(NamedTuple):
    """Different values of the expressions of some numbers, sorted: top / bottom (n,), and how many expressions have each (n,)."""

    top: Ints
    bottom: Ints
    ways: Ints


def count_solutions(numbers: Sequence[int], target: int) -> int:
    """Number of expressions that use every number once, by + - * /, and equal the target.

    Expressions are binary trees, up to the order of the operands of + and *; equal numbers count as different ones. Division by
    zero is excluded; intermediate values may be fractions or below 0.

    Raises:
        TaskError: the numbers are too many (more than 6) or too large for 64-bit fractions.

    Example:
        >>> count_solutions([3, 7], 21), count_solutions([3, 3, 8, 8], 24) > 0, count_solutions([1, 1], 7)
        (1, True, 0)
    """
    size = len(numbers)
    bound = math.prod(max(abs(number), 2) for number in numbers) * 2**size * max(abs(target), 1)
    if not 1 <= size <= 6 or bound >= LARGEST:
        raise TaskError(f"solutions are counted for 1 to 6 numbers of limited size, got {list(numbers)} and {target}")
    one = np.ones(1, np.int64)
    values: dict[int, Values] = {
        1 << i: Values(np.array([number], np.int64), one, one) for i, number in enumerate(numbers)
    }
    everything = (1 << size) - 1
    if size == 1:
        return int(numbers[0] == target)
    for subset in sorted(range(1, everything), key=int.bit_count):
        if subset not in values:
            values[subset] = _merged([_combined(values[a], values[b]) for a, b in _halves(subset)])
    return sum(_reaching(values[a], values[b], target) for a, b in _halves(everything))


def _halves(subset: int) -> list[tuple[int, int]]:
    """Every way to split a subset in two, each once."""
    parts = []
    part = (subset - 1) & subset
    while part:
        if part > subset ^ part:
            parts.append((part, subset ^ part))
        part = (part - 1) & subset
    return parts


def _combined(a: Values, b: Values) -> Values:
    """Values of all expressions of one part joined with one of the other: + - * / and the two reversed ones."""
    (p, q, m), (r, s, n) = (tuple(x[:, None] for x in a), tuple(x[None, :] for x in b))
    ps, rq, qs, pr, count = p * s, r * q, q * s, p * r, m * n
    tops, bottoms, counts = [ps + rq, ps - rq, rq - ps, pr], [qs] * 4, [count] * 4
    for top, bottom in ((ps, rq), (rq, ps)):
        finite = bottom != 0
        tops.append(np.where(finite, top, 0))
        bottoms.append(np.where(finite, bottom, 1))
        counts.append(np.where(finite, count, 0))
    top, bottom, number = (
        np.concatenate([part.ravel() for part in np.broadcast_arrays(*parts)]) for parts in (tops, bottoms, counts)
    )
    kept = number > 0
    return _reduced(top[kept], bottom[kept], number[kept])


def _reduced(top: Ints, bottom: Ints, ways: Ints) -> Values:
    divisor = np.gcd(top, bottom) * np.sign(bottom)
    return Values(top // divisor, bottom // divisor, ways)


def _merged(parts: Sequence[Values]) -> Values:
    """The union of several lists of values; equal ones are added up."""
    top, bottom, count = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((bottom, top))
    top, bottom, count = top[order], bottom[order], count[order]
    first = np.flatnonzero(np.r_[True, (top[1:] != top[:-1]) | (bottom[1:] != bottom[:-1])])
    return Values(top[first], bottom[first], np.add.reduceat(count, first))


def _reaching(a: Values, b: Values, target: int) -> int:
    """Number of pairs whose sum, differences, product or quotients equal the target."""
    p, q, t = a.top, a.bottom, target
    one = np.ones_like(p)
    # What the other part must be: a + b, a - b, b - a, a * b, a / b, b / a.
    wanted = [(t * q - p, q), (p - t * q, q), (p + t * q, q), (t * q, p), (p, t * q), (p * t, q)]
    total = 0
    for kind, (top, bottom) in enumerate(wanted):
        usable = bottom != 0
        if kind == 5:
            usable &= p != 0  # b / a
        found = _counts(b, *_reduced(np.where(usable, top, 0), np.where(usable, bottom, 1), one)[:2])
        if kind == 4:
            found = np.where(top == 0, 0, found)  # a / b with b = 0
        total += int((found * a.ways)[usable].sum())
        if t == 0 and kind in (3, 4):
            # a * b = 0 with a = 0 holds for every b; a / b = 0 with a = 0 for every b but 0.
            zero = int(a.ways[p == 0].sum())
            every = int(b.ways.sum()) - (int(b.ways[b.top == 0].sum()) if kind == 4 else 0)
            total += zero * every
    return total


def _counts(values: Values, top: Ints, bottom: Ints) -> Ints:
    """How many expressions have each of the wanted values (n,)."""
    merged_top = np.concatenate([values.top, top])
    merged_bottom = np.concatenate([values.bottom, bottom])
    order = np.lexsort((np.arange(len(merged_top)) >= len(values.top), merged_bottom, merged_top))
    new = np.r_[True, (np.diff(merged_top[order]) != 0) | (np.diff(merged_bottom[order]) != 0)]
    group = np.cumsum(new) - 1
    by_group = np.zeros(group[-1] + 1, np.int64)
    known = order < len(values.top)
    by_group[group[known]] = values.ways[order[known]]
    result = np.empty(len(top), np.int64)
    asked = order[~known] - len(values.top)
    result[asked] = by_group[group[~known]]
    return result
