"""Operations of written steps: the function of the parents that a step computes, and the numbers put in for them.

Two expressions are the same operation if they are equal as functions of the parents, so the order of terms, brackets and
intermediate letters do not matter: `2 * t` with `t = A + B` is `B + A + A + B`, `0 * A + 3` is not `A + 1`.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from edgewise.tasks.gsm_infinite.linear import LARGEST, Linear, postfix

Operation = Mapping[str, int]
"""Coefficient of each parent by name, without zeros; the constant under the empty name."""
Product = tuple[int, tuple[str, ...]]
"""A sign (1 or -1) and the sorted factors of a product: numbers and letters as they are written."""

MOST = 64
"""Products of an expression with its brackets expanded."""
MERGED = 6
"""Products of an expression whose terms may be combined step by step."""


@lru_cache(maxsize=4096)
def expand(text: str) -> tuple[Product, ...] | None:
    """An expression as a sum of products; None if it is no expression or has more than 64 products."""
    stack: list[list[Product]] = []
    for token in postfix(text) or ():
        if token == "negate":
            stack.append([(-sign, factors) for sign, factors in stack.pop()])
        elif token in "+-*":
            right, left = stack.pop(), stack.pop()
            if token == "*":
                stack.append(_multiplied(left, right))
            else:
                flip = 1 if token == "+" else -1
                stack.append([*left, *((flip * sign, factors) for sign, factors in right)])
            if len(stack[-1]) > MOST:
                return None
        else:
            stack.append([(1, (token,))])
    return tuple(stack[0]) if stack else None


def operation(products: Sequence[Product], letters: Mapping[str, Operation]) -> Operation | None:
    """The function that a sum of products is, given what the letters stand for; None if it is not linear."""
    total: Counter[str] = Counter()
    for sign, factors in products:
        scale, form = sign, {"": 1}
        for factor in factors:
            own = {"": int(factor)} if factor.isdigit() else letters.get(factor)
            if own is None:
                return None
            if not form.keys() - {""}:
                scale, form = scale * form.get("", 0), dict(own)
            elif not own.keys() - {""}:
                scale *= own.get("", 0)
            else:
                return None
            if abs(scale) > LARGEST:
                return None
        for name, coefficient in form.items():
            total[name] += scale * coefficient
    if any(abs(coefficient) > LARGEST for coefficient in total.values()):
        return None
    return {name: coefficient for name, coefficient in total.items() if coefficient}


def with_numbers(products: Sequence[Product], values: Mapping[str, Linear]) -> list[Product] | None:
    """The sum of products with each letter replaced by its value; None if a letter has none or it becomes too long."""
    result: list[Product] = []
    for sign, factors in products:
        expanded: list[Product] = [(sign, ())]
        for factor in factors:
            value = (0, int(factor)) if factor.isdigit() else values.get(factor)
            if value is None:
                return None
            expanded = _multiplied(expanded, _written(value))
            if len(expanded) > MOST:
                return None
        result += expanded
    return result if len(result) <= MOST else None


def simplifies(before: Sequence[Product], after: Sequence[Product]) -> bool:
    """Whether `after` is `before` in another order, or with some of its terms and factors combined into their results.

    `3 + 12 + 5` becomes `5 + 3 + 12` or `15 + 5`, but not `10 + 10`; `2 + 2` does not become `2 * 2`.
    """
    if not len(after) <= len(before) <= MERGED:
        return sorted(before) == sorted(after)
    left = Counter(before) - Counter(after)
    return _cover(list(left.elements()), list((Counter(after) - Counter(before)).elements()))


def _cover(before: list[Product], after: list[Product]) -> bool:
    """Whether the terms of `before` can be shared out so that each share combines into one term of `after`."""
    if not after:
        return not before
    for size in range(1, len(before) - len(after) + 2):
        for chosen in itertools.combinations(range(len(before)), size):
            if _combine([before[index] for index in chosen], after[0]):
                rest = [product for index, product in enumerate(before) if index not in chosen]
                if _cover(rest, after[1:]):
                    return True
    return False


def _combine(terms: Sequence[Product], result: Product) -> bool:
    """Whether a sum of terms is `result` by addition of what differs, or multiplication of the factors of one."""
    sign, factors = result
    for common, worked_out in _splits(factors):
        total = 0
        for own_sign, own in terms:
            rest = Counter(own)
            rest.subtract(common)
            if min(rest.values(), default=0) < 0:
                break
            numbers = list(rest.elements())
            if "x" in numbers or (not numbers and "x" not in common):
                break
            total += own_sign * math.prod(map(int, numbers))
        else:
            if total == sign * worked_out:
                return True
    return False


def _splits(factors: Sequence[str]) -> Iterator[tuple[list[str], int]]:
    """The factors without one number, and that number; all of them and 1 where there is an x."""
    for index, factor in enumerate(factors):
        if factor != "x":
            yield [*factors[:index], *factors[index + 1 :]], int(factor)
    if "x" in factors:
        yield list(factors), 1


def _multiplied(left: Sequence[Product], right: Sequence[Product]) -> list[Product]:
    if len(left) * len(right) > MOST:
        return [(1, ())] * (MOST + 1)
    return [
        (one * other, tuple(sorted((*factors, *others))))
        for one, factors in left
        for other, others in right
    ]  # fmt: skip


def _written(value: Linear) -> list[Product]:
    """A value as the products that a text would write for it: `4*x + 7`."""
    a, b = value
    products: list[Product] = []
    if a:
        products.append((1 if a > 0 else -1, ("x",) if abs(a) == 1 else (str(abs(a)), "x")))
    if b or not a:
        products.append((1 if b >= 0 else -1, (str(abs(b)),)))
    return products
