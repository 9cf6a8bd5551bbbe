"""Success rates that are known before a run, from a column of the dataset, from `edgewise fit --priors`, or by id."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgewise.adapters.known import Column, Known
from edgewise.arrays import Floats
from edgewise.errors import ConfigError

PriorChoice = str | os.PathLike[str] | Mapping[Any, float | None] | None
"""Name of a column, a JSON file of rates by id (its name ends in .json), or rates by id."""
_KNOWN = Known("priors", "rates", "edgewise fit --priors")


def read_priors(given: PriorChoice, ids: Sequence[Any], column: Column | None = None) -> Floats | None:
    """Success rate of each prompt known before the run, (n,) in [0, 1], NaN where unknown; None if nothing is given.

    Args:
        given: name of a column, a JSON file of rates by id, or rates by id; None or NaN where a rate is unknown.
        ids: of the prompts, (n,). In a JSON file an id is a text.
        column: values of a column of the dataset by name, (n,); None: the trainer's dataset has no columns.

    Raises:
        ConfigError: no such file, a rate outside [0, 1], or rates of which none belongs to these prompts.

    Example:
        >>> read_priors({"a": 0.25, "c": 1.0}, ["a", "b", "c"])
        array([0.25,  nan, 1.  ])
    """
    if given is None:
        return None
    values, source = _KNOWN.read(given, ids, column)
    return np.array([_rate(value, ids[row], source) for row, value in enumerate(values)], np.float64)


def _rate(value: Any, name: Any, source: str) -> float:
    if value is None:
        return float("nan")
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = float("inf")
    if not (np.isnan(rate) or 0 <= rate <= 1):
        raise ConfigError(f"prompt {name!r} has the rate {value!r} in {source}: known success rates lie in [0, 1]")
    return rate
