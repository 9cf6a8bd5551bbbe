"""Array types of the core, and conversion of what trainers hand over: lists, pandas columns, tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.errors import EdgewiseError

Rows = npt.NDArray[np.int64]
"""Positions of prompts in the pool, (n,)."""
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

NOISE = 1e-6
"""What rewards and rates computed in float32 may differ by and still be equal, or lie outside their range."""


def as_array(values: Any) -> np.ndarray:
    """`values` as a numpy array without a change of dtype where it has one.

    Tensors are detached and copied to the CPU, bfloat16 becomes float32, None in a list of numbers becomes NaN, and so does
    what a masked array of numbers hides; in one of others it becomes None.
    """
    if isinstance(values, np.ma.MaskedArray):
        if not np.ma.is_masked(values):
            return values.data
        numbers = values.dtype.kind in "fiub"
        found: np.ndarray = values.data.astype(np.float64 if numbers else object)
        found[np.ma.getmaskarray(values)] = np.nan if numbers else None
        return found
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "detach"):
        tensor = values.detach().cpu()
        if "strided" not in str(getattr(tensor, "layout", "strided")):
            tensor = tensor.to_dense()
        if "bfloat16" in str(tensor.dtype):
            tensor = tensor.float()
        return tensor.numpy()
    if hasattr(values, "to_pylist"):  # of pyarrow
        return values.to_numpy(zero_copy_only=False)
    if hasattr(values, "to_numpy"):
        return values.to_numpy()
    if hasattr(values, "__array__"):
        return np.asarray(values)
    if not isinstance(values, (list, tuple, range, int, float)) and hasattr(values, "__iter__"):
        values = list(values)
    if isinstance(values, (list, tuple)) and any(hasattr(item, "detach") for item in values):
        return np.array([as_array(item) for item in values])
    if isinstance(values, (list, tuple)) and any(item is None for item in values):
        values = [np.nan if item is None else item for item in values]
    return np.asarray(values)


def require_sequence(name: str, values: Any, error: type[EdgewiseError]) -> None:
    """Refuse a text, a dict or a set where one value a prompt is expected: their items have no order, or are characters."""
    if isinstance(values, (str, bytes, dict, set, frozenset)):
        shown = repr(values)
        raise error(
            f"{name} must be a list or an array, one item a prompt, got the {type(values).__name__}"
            f" {shown if len(shown) <= 60 else shown[:57] + '...'}"
        )


def whole_as_int(value: Any) -> Any:
    """A whole float as an int, anything else as it is: pandas turns a column of whole numbers into floats where one is missing."""
    return int(value) if isinstance(value, (float, np.floating)) and float(value).is_integer() else value


def is_number(value: Any) -> bool:
    """Whether `value` is an int or a float, of Python or numpy, and no bool; NaN is one."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def whole_number(name: str, value: Any, least: int, error: type[EdgewiseError], below: int = 2**63) -> int:
    """`value` as an int, where it is a whole number in [least, below)."""
    if type(value) is int and least <= value < below:  # nearly always, and many times a step
        return value
    try:
        whole = int(value)
        if whole == value and not isinstance(value, str | bool | np.bool_) and least <= whole < below:
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    limit = f">= {least}" if below == 2**63 else f"in [{least}, {below})"
    raise error(f"{name} must be a whole number {limit}, got {value!r}")


def whole_numbers(name: str, values: Any, n: int, error: type[EdgewiseError]) -> Counts:
    """`values`, one whole number each or one for all, as int64 (n,)."""
    require_sequence(name, values, error)
    array = as_array(values)
    if array.shape not in ((), (n,)):
        raise error(f"{name} must have shape ({n},), got {array.shape}")
    if array.dtype.kind == "f" and bool(
        (np.isfinite(array) & (array == np.floor(array)) & (np.abs(array) < 2**53)).all()
    ):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub" or (array.dtype.kind == "u" and array.size and int(array.max()) >= 2**63):
        raise error(f"{name} must be whole numbers, got {array.dtype} {array.tolist()!r:.60}")
    return array.astype(np.int64) if array.ndim else np.full(n, array, np.int64)


def distinct(values: Rows) -> Rows:
    """Distinct values, ascending: `np.unique` by sorting, which takes a fifth of the time of its hashing for a few thousand."""
    ordered = np.sort(values)
    first = np.empty(len(ordered), np.bool_)
    first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def smallest(values: Floats, n: int) -> Rows:
    """Positions of the n smallest values (all if there are fewer), ascending by position.

    The order in which `argpartition` returns them depends on numpy's version and on the processor.
    """
    if n >= len(values):
        return np.arange(len(values), dtype=np.int64)
    return np.sort(np.argpartition(values, n - 1)[:n]) if n > 0 else np.empty(0, np.int64)
