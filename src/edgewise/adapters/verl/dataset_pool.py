"""The prompt pool of one of verl's datasets, and the id of a prompt wherever it turns up again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from edgewise.adapters.prompts import digest, hashes, unique_pool
from edgewise.adapters.verl.options import Options
from edgewise.errors import ConfigError, RewardError
from edgewise.pool import PromptPool

log = logging.getLogger("edgewise")


class DatasetPool:
    """The pool over the rows of a dataset, in its order: row of the pool = index into the dataset.

    Args:
        dataset: verl's `RLHFDataset`, or one derived from it.
        options: `ids`, `category`, `priors` and `features`.

    Raises:
        ConfigError: not such a dataset, ids that are repeated or missing in some rows, a category that is not there.
    """

    def __init__(self, dataset: Any, options: Options):
        frame: Any = getattr(dataset, "dataframe", None)
        if not hasattr(frame, "column_names"):
            raise ConfigError(
                f"{type(dataset).__name__} has no `dataframe`: prompts are selected from verl's RLHFDataset, or from a"
                " dataset class derived from it"
            )
        if len(frame) == 0:
            raise ConfigError("the dataset is empty")
        ids = _column(frame, "extra_info.index") if options.ids == "index" else None
        self.by_index = ids is not None
        if ids is None:
            prompts = _column(frame, dataset.prompt_key)
            if prompts is None:
                raise ConfigError(f"the dataset has no column '{dataset.prompt_key}'; name it with data.prompt_key")
            ids = hashes(prompts, "extra_info.index") if options.ids == "index" else [digest(item) for item in prompts]
        elif None in ids:
            raise ConfigError(
                f"row {list(ids).index(None)} has no extra_info.index, others have: give every row its own, or set"
                " +data.edgewise.ids=prompt for a hash of its prompt"
            )
        self.pool: PromptPool = unique_pool(
            ids,
            self._categories(frame, options.category),
            "extra_info.index" if self.by_index else "the hash of the prompt",
            "give each row its own extra_info.index"
            + (", or set +data.edgewise.ids=prompt for a hash of its prompt" if self.by_index else ""),
            priors=options.priors,
            prior_strength=options.prior_strength,
            features=options.features,
            column=lambda name, option: _wanted(frame, name, option),
        )

    def ids_of(self, columns: dict[str, Any]) -> list[Any]:
        """Ids of rollouts, from what verl carries along with each (`non_tensor_batch`)."""
        if self.by_index:
            return [info["index"] for info in _carried(columns, "extra_info")]
        return [digest(_plain(prompt)) for prompt in _carried(columns, "raw_prompt")]

    @staticmethod
    def _categories(frame: Any, category: str | None) -> Sequence[Any] | None:
        if category is None:
            return None
        # Every dataset of verl has data_source, so that its absence is no error unless it is asked for by name.
        return _column(frame, category) if category == Options.category else _wanted(frame, category, "category")


def _wanted(frame: Any, path: str, option: str) -> list[Any]:
    """Values of a column that an option names."""
    values = _column(frame, path)
    if values is None:
        raise ConfigError(
            f"the dataset has no column '{path}' (it has {', '.join(sorted(frame.column_names))});"
            f" name another with +data.edgewise.{option}="
        )
    return values


def _column(frame: Any, path: str) -> list[Any] | None:
    """Values of a column, `a.b` inside structs; None where there is none, or nothing in it."""
    head, *inside = path.split(".")
    if head not in frame.column_names:
        return None
    values: list[Any] = []
    for part in frame.select_columns([head]).with_format(None).iter(batch_size=1000):
        for value in part[head]:
            for key in inside:
                value = value.get(key) if isinstance(value, dict) else None
            values.append(value)
    return None if all(value is None for value in values) else values


def _carried(columns: dict[str, Any], name: str) -> Any:
    if name not in columns:
        raise RewardError(
            f"the batch carries no {name} (it has {', '.join(sorted(columns))}), so that the prompts of its rollouts are"
            " unknown; keep it in the batch"
        )
    return columns[name]


def _plain(prompt: Any) -> Any:
    return prompt if isinstance(prompt, str) else [dict(message) for message in prompt]
