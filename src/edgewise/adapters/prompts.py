"""Prompt pools of the datasets that trainers train on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from edgewise.adapters.features import FeatureChoice, read_features
from edgewise.adapters.known import Column
from edgewise.adapters.priors import PriorChoice, read_priors
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool

log = logging.getLogger("edgewise")
MARKS = ("edgewise_id", "edgewise_method", "edgewise_predicted", "edgewise_random")
"""Columns of the prompt and of what selection did in a trainer's own log of completions."""


def require_size(pool: PromptPool, size: int) -> None:
    """Refuse a pool that has grown since it had the `size` prompts of the trainer's dataset: the others have no row there."""
    if len(pool) > size:
        raise ConfigError(
            f"the pool has grown by {len(pool) - size} prompts, such as {pool.ids[size].item()!r}, which the trainer's dataset"
            " does not hold: begin the run with all of them in the dataset"
        )


def make_pool(
    dataset: Any,
    id_column: str | None = None,
    category_column: str | None = None,
    *,
    priors: PriorChoice = None,
    prior_strength: float = 4.0,
    features: FeatureChoice = None,
    whole_row: bool = False,
) -> PromptPool:
    """The prompts of a dataset, in its order.

    Args:
        dataset: `datasets.Dataset`, plain or conversational.
        id_column: unique int or str ids. None: a hash of the content of `prompt`, which survives reordering.
        category_column: labels that prompts share; None: no categories.
        priors: success rates known before the run: a column, a JSON file of `edgewise fit --priors`, or rates by id.
        prior_strength: rollouts that a known rate is worth.
        features: numbers that describe each prompt, such as the log-likelihood of its answer: a column, a JSON file of
            `edgewise features`, or numbers by id.
        whole_row: without `id_column`, hash all columns instead of `prompt` alone: environments tell their problems apart by
            other columns, such as a seed.

    Raises:
        ConfigError: a streamed dataset, a column that is not there, rows that cannot be distinguished, or priors or
            features that do not fit.
    """
    if not hasattr(dataset, "__len__"):
        raise ConfigError(
            "prompts cannot be selected from an iterable dataset; make it a table first, such as"
            " datasets.Dataset.from_list(list(stream.take(100_000)))"
        )
    if len(dataset) == 0:
        raise ConfigError("the dataset is empty")
    if id_column is None and whole_row:
        ids, source = hashes(dataset.with_format(None), "id_column"), "the hash of the row"
    elif id_column is None:
        ids, source = hashes(_values(dataset, "prompt"), "id_column"), "the hash of the prompt"
    else:
        ids, source = list(_values(dataset, id_column)), f"column '{id_column}'"
    categories = None if category_column is None else list(_values(dataset, category_column))
    hint = "name a column of unique ids with id_column="
    return unique_pool(
        ids,
        categories,
        source,
        hint,
        priors=priors,
        prior_strength=prior_strength,
        features=features,
        column=lambda name, _: list(_values(dataset, name)),
    )


def hashes(prompts: Iterable[Any], option: str) -> list[str]:
    """Ids of prompts without any: a hash of the content of each, str or messages, which survives reordering; logged."""
    log.warning("no %s given: a prompt's id is a hash of its content", option)
    return [digest(prompt) for prompt in prompts]


def unique_pool(
    ids: Sequence[Any],
    categories: Sequence[Any] | None,
    source: str,
    hint: str,
    *,
    priors: PriorChoice = None,
    prior_strength: float = 4.0,
    features: FeatureChoice = None,
    column: Callable[[str, str], Sequence[Any]] | None = None,
) -> PromptPool:
    """Pool of these ids and labels.

    Args:
        ids: int or str, unique.
        categories: one label a prompt.
        source: where the ids come from, for messages.
        hint: what to do about ids that do not fit, for messages.
        priors: success rates known before the run, see `read_priors`.
        prior_strength: rollouts that a known rate is worth.
        features: numbers that describe each prompt, see `read_features`.
        column: values of a column of the dataset by its name and the option that names it; None: it has no columns.

    Raises:
        ConfigError: a repeated id, one that is neither int nor str, a label with several parts, or priors or features that do
            not fit.
    """
    first: dict[Any, int] = {}
    for row, value in enumerate(ids):
        if not isinstance(value, (int, str, np.integer)) or isinstance(value, bool):
            raise ConfigError(
                f"row {row} has the {type(value).__name__} {value!r} as its id ({source}): ids are int or str; {hint}"
            )
        if first.setdefault(value, row) != row:
            raise ConfigError(
                f"rows {first[value]} and {row} have the same id {value!r} ({source}): beliefs need one row a prompt."
                f" Remove the repetitions, or {hint}"
            )
    for row, label in enumerate(() if categories is None else categories):
        if isinstance(label, (list, tuple, dict, set)):
            raise ConfigError(
                f"row {row} has the {type(label).__name__} {label!r} as its category: a category is one label a prompt, str"
                " or number; join its parts into a text, or name another column"
            )
    labels = None if categories is None else list(categories)

    def of(option: str) -> Column | None:
        return None if column is None else lambda name: column(name, option)

    rates, described = read_priors(priors, ids, of("priors")), read_features(features, ids, of("features"))
    return PromptPool(ids, labels, described, rates, prior_strength=prior_strength)


def _values(dataset: Any, column: str) -> Iterator[Any]:
    if column not in dataset.column_names:
        raise ConfigError(
            f"the dataset has no column '{column}' (it has {', '.join(sorted(dataset.column_names))});"
            " name one with id_column=, category_column=, priors= or features="
        )
    for part in dataset.select_columns([column]).with_format(None).iter(batch_size=1000):
        yield from part[column]


def digest(prompt: Any) -> str:
    """16 hex digits of the prompt's content; keys without a value do not count, which datasets add where rows differ."""
    try:
        text = prompt if isinstance(prompt, str) else json.dumps(_bare(prompt), sort_keys=True)
    except TypeError as error:
        raise ConfigError(f"prompts that hold more than text have no stable hash ({error}); give id_column=") from error
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_bare(item) for item in value]
    return value
