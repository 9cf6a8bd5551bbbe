"""Array types of the core, and conversion of what trainers hand over: lists, pandas columns, tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
"""Positions of prompts in the pool, (n,)."""
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def as_array(values: Any) -> np.ndarray:
    """`values` as a numpy array without a change of dtype where it has one.

    Tensors are detached and copied to the CPU, bfloat16 becomes float32, None in a list of numbers becomes NaN.
    """
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "detach"):
        tensor = values.detach().cpu()
        if "bfloat16" in str(tensor.dtype):
            tensor = tensor.float()
        return tensor.numpy()
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
