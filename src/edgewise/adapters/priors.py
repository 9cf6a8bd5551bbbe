"""Success rates that are known before a run, from a column of the dataset, from `edgewise fit --priors`, or by id."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.arrays import Floats
from edgewise.errors import ConfigError

log = logging.getLogger("edgewise")

PriorChoice = str | os.PathLike[str] | Mapping[Any, float | None] | None
"""Name of a column, a JSON file of rates by id (its name ends in .json), or rates by id."""
Column = Callable[[str], Sequence[Any]]


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
    if isinstance(given, Mapping):
        values, source = _by_id(given, ids, "priors"), "priors"
    elif str(given).endswith(".json"):
        values, source = _by_id(_read_file(Path(given)), [str(value) for value in ids], str(given)), str(given)
    elif not isinstance(given, str):
        raise ConfigError(f"priors are the name of a column, a file that ends in .json, or rates by id, got {given!r}")
    elif column is None:
        raise ConfigError(
            f"priors={given!r}: this trainer's prompts have no columns; give a file that ends in .json, as edgewise fit"
            " --priors writes it, or rates by id"
        )
    else:
        values, source = list(column(given)), f"column '{given}'"
    return np.array([_rate(value, ids[row], source) for row, value in enumerate(values)], np.float64)


def _by_id(rates: Mapping[Any, Any], ids: Sequence[Any], source: str) -> list[Any]:
    values = [rates.get(value) for value in ids]
    found = sum(value in rates for value in ids)
    if not found:
        example = next(iter(rates), None)
        raise ConfigError(
            f"none of the {len(rates)} prompts of {source} is in the dataset: {source} has ids such as {example!r}, the dataset"
            f" ids such as {ids[0]!r}"
        )
    log.info("%s: rates of %d of %d prompts are known", source, found, len(ids))
    return values


def _read_file(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"priors: {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"priors: {path} is no JSON: {error}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"priors: {path} must hold rates by id, as edgewise fit --priors writes them")
    return loaded


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
