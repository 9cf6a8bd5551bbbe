"""Numbers that describe each prompt, from a column of the dataset, from `edgewise features`, or by id."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.adapters.known import Column, Known
from edgewise.errors import ConfigError

FeatureChoice = str | os.PathLike[str] | Mapping[Any, Any] | None
"""Name of a column, a JSON file by id (its name ends in .json), or by id: a number or a list of numbers each."""
_KNOWN = Known("features", "numbers", "edgewise features")


def read_features(
    given: FeatureChoice, ids: Sequence[Any], column: Column | None = None
) -> npt.NDArray[np.float32] | None:
    """Numbers that describe each prompt, float32 (n, d), finite; None if nothing is given.

    Args:
        given: name of a column, a JSON file by id, or a mapping by id: for every prompt a number or a list of numbers, of
            the same length for all.
        ids: of the prompts, (n,). In a JSON file an id is a text.
        column: values of a column of the dataset by name, (n,); None: the trainer's dataset has no columns.

    Raises:
        ConfigError: no such file, a prompt without features, one with another number of them than the first, or a value that
            is no finite number in float32.

    Example:
        >>> read_features({"a": [0.5, -3], "b": [1.5, 2]}, ["b", "a"])
        array([[ 1.5,  2. ],
               [ 0.5, -3. ]], dtype=float32)
    """
    if given is None:
        return None
    values, source = _KNOWN.read(given, ids, column)
    rows = [_numbers(value, ids[row], source) for row, value in enumerate(values)]
    width = len(rows[0]) if rows else 0
    for row, numbers in enumerate(rows):
        if len(numbers) != width:
            raise ConfigError(
                f"prompt {ids[row]!r} has {len(numbers)} features in {source}, prompt {ids[0]!r} has {width}: every prompt"
                " needs the same number of them"
            )
    with np.errstate(over="ignore"):
        matrix = np.array(rows, np.float32).reshape(len(rows), width)
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        row, place = bad[0]
        raise _unfit(place, rows[row][place], ids[row], source)
    return matrix


def _numbers(value: Any, name: Any, source: str) -> Sequence[float]:
    """The features of one prompt, which need not be finite."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None:
        raise ConfigError(f"prompt {name!r} has no features in {source}: every prompt needs them")
    numbers = value if isinstance(value, (list, tuple)) else [value]
    if not numbers:
        raise ConfigError(f"prompt {name!r} has an empty list of features in {source}: every prompt needs them")
    # By type rather than by value: a pool of 100,000 prompts has millions of values.
    kinds = set(map(type, numbers))
    if kinds == {float}:
        return numbers
    wrong = {kind for kind in kinds if kind is bool or not issubclass(kind, Real)}
    if wrong:
        place = next(place for place, number in enumerate(numbers) if type(number) in wrong)
        raise _unfit(place, numbers[place], name, source)
    return [_float(number) for number in numbers]


def _float(number: Real) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf")


def _unfit(place: int, value: Any, name: Any, source: str) -> ConfigError:
    return ConfigError(
        f"feature {place} of prompt {name!r} is {value!r:.60} in {source}: every prompt needs finite numbers, in float32"
    )
