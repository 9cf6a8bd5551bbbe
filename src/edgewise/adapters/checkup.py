"""Checks of a run's configuration before it starts: verl's overrides, and YAML of TRL, verl or any trainer with flat names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.acquisition import p_informative
from edgewise.adapters.prompts import digest
from edgewise.arrays import whole_number
from edgewise.errors import ConfigError

TRL_GROUP = "num_generations"
GROUP = (
    "actor_rollout_ref.rollout.n",
    TRL_GROUP,
    "n_samples_per_prompt",
    "rollout.n_samples_per_prompt",
    "algorithm.repeat_times",
    "group_size",
    "rollouts",
)
"""Names of the number of rollouts of a prompt, in the trainers' configurations."""
WORKERS = ("data.dataloader_num_workers", "dataloader_num_workers")
FILES = ("data.train_files", "train_files", "prompt_data")
IDS = ("data.edgewise.ids", "id_column")
SILENT = 0.5
"""Share of groups without a gradient from which the group size is doubted."""


def check_config(given: Sequence[str], rates: Sequence[float] | None = None) -> list[str]:
    """Warnings about a run, each with what to do; empty if nothing is wrong.

    Args:
        given: one YAML file, or overrides `name=value` as verl takes them on its command line.
        rates: success rates known, in [0, 1]; None: 0.1 and 0.9 as examples of a hard and an easy prompt.

    Raises:
        ConfigError: no such file, or neither a file nor overrides.

    Example:
        >>> check_config(["actor_rollout_ref.rollout.n=8", "data.dataloader_num_workers=0"])
        []
        >>> check_config(["data.dataloader_num_workers=8"])[0].split(":")[0]
        'data.dataloader_num_workers is 8'
    """
    values = _read(given)
    if not any(name in values for name in (*GROUP, *WORKERS, *FILES)):
        return [
            f"no setting that is checked is in it: neither a group size ({', '.join(GROUP)}), nor dataloader workers, nor"
            " training files"
        ]
    # Hydra and OmegaConf fill these in.
    later = [name for name in (*GROUP, *WORKERS) if str(values.get(name)).startswith("${")]
    unknown = [
        f"{name} is {values.pop(name)}, which is known when the run begins: it was not checked" for name in later
    ]
    return [*unknown, *_group(values, rates), *_workers(values), *_ids(values)]


def _group(values: Mapping[str, Any], rates: Sequence[float] | None) -> list[str]:
    name, size = _find(values, GROUP)
    if name is None:
        return []
    size = whole_number(name, size, 1, ConfigError)
    if size < 2:
        return [f"{name} is {size}: a group of one rollout has no advantage; take at least 2, better 8"]
    known = np.array([0.1, 0.9] if rates is None else rates, np.float64)
    silent = float(1 - p_informative(known, size).mean())
    if silent < SILENT:
        return []
    enough = next((k for k in range(size, 129) if 1 - p_informative(known, k).mean() < SILENT), None)
    at = "success rates of 0.1 and 0.9" if rates is None else "the success rates known"
    remedy = (
        f"with groups of {enough} it would be fewer than half"
        if enough
        else "other prompts are needed, not larger groups"
    )
    return [
        f"{name} is {size}: at {at}, {silent:.0%} of the groups have no gradient; {remedy}, and selection finds the others"
    ]


def _workers(values: Mapping[str, Any]) -> list[str]:
    name, count = _find(values, WORKERS)
    if name is None or not whole_number(name, count, 0, ConfigError):
        return []
    v1 = str(values.get("trainer.v1.trainer_mode", "")).startswith("edgewise")
    # In TRL the rows that workers drew are replaced when it generates.
    if v1 or TRL_GROUP in values:
        return []
    return [f"{name} is {count}: workers draw prompts ahead of the rewards they should be selected by; set it to 0"]


def _ids(values: Mapping[str, Any]) -> list[str]:
    """Repeated ids in the training files, if they are here and pyarrow can read them."""
    name, given = _find(values, FILES)
    paths = [Path(str(path)) for path in (given if isinstance(given, list) else [given] if given else [])]
    if name is None:
        return []
    missing = [path for path in paths if not path.expanduser().exists()]
    if missing:
        return [f"{name} names {missing[0]}, which is not on this machine: repeated ids were not looked for"]
    if not all(path.suffix == ".parquet" for path in paths):
        return []
    from edgewise.replay.logs.parquet import open_parquet, reading

    wanted = str(_find(values, IDS)[1] or "index")
    if wanted == "prompt":
        wanted = str(values.get("data.prompt_key") or wanted)
    seen: dict[Any, str] = {}
    for path in paths:
        file = open_parquet(path.expanduser())
        if file is None:
            return [f"{name} names {path}, which is no whole parquet file"]
        with file, reading(path):
            table = file.read()
        if "extra_info" in table.column_names and wanted == "index":
            infos = table.column("extra_info").to_pylist()
            ids = [info.get("index") if isinstance(info, dict) else None for info in infos]
            hint = "number the rows anew, or set +data.edgewise.ids=prompt"
        elif wanted in table.column_names:
            # Messages have no id but the hash that the adapters take.
            column = table.column(wanted).to_pylist()
            ids = [digest(value) if isinstance(value, (list, dict)) else value for value in column]
            hint = "drop repetitions, or name a column of unique ids"
        else:
            continue
        for row, value in enumerate(ids):
            here = f"row {row} of {path.name}"
            if value is not None and seen.setdefault(value, here) != here:
                return [f"{seen[value]} and {here} have the same id {value!r}: {hint}"]
    return []


def _find(values: Mapping[str, Any], names: Sequence[str]) -> tuple[str | None, Any]:
    return next(((name, values[name]) for name in names if values.get(name) is not None), (None, None))


def _read(given: Sequence[str]) -> dict[str, Any]:
    """Values by dotted name."""
    try:
        from edgewise.lab.run.yaml import parse
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"reading a configuration needs pyyaml: pip install pyyaml ({error.name} is missing)"
        ) from error

    # Folders of sweeps are named by their overrides.
    if len(given) == 1 and ("=" not in given[0] or Path(given[0]).is_file()):
        path = Path(given[0])
        if not path.is_file():
            raise ConfigError(f"there is no file {path}: give a YAML file, or overrides such as data.seed=1")
        try:
            loaded = parse(path.read_text("utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is no text that can be read: {error}") from error
        if not isinstance(loaded, dict):
            raise ConfigError(f"{path} holds no settings by name")
        return _flat(loaded)
    values = {}
    for item in given:
        name, equals, value = item.partition("=")
        deleted = item.startswith("~")
        if not equals and not deleted:
            raise ConfigError(f"'{item}' is no override: write name=value, or give one YAML file")
        values[name.lstrip("+~-")] = parse(value, item) if value and not deleted else None
    return values


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        flat.update(_flat(value, f"{path}.") if isinstance(value, Mapping) else {path: value})
    return flat
