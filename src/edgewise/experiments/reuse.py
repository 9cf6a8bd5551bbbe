"""Reuse of finished runs: claims share many, and one that another claim has made is copied instead of made again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from edgewise.errors import ConfigError
from edgewise.experiments.runs import finished
from edgewise.lab.rl.config import RLConfig
from edgewise.lab.run.config import from_dict, read_yaml
from edgewise.lab.run.folder import same_origin

DEPTH = 4
"""Folders between the folder of all results and a run: a claim's part/method/seed_0 below its own, a demo's method/seed_0."""


def reuse(runs: Mapping[str, RLConfig], out: Path, among: Path) -> list[str]:
    """Copy to `out` what is missing there and was finished below `among` with equal settings, weights and program.

    Checkpoints stay where they are. Returns the names of the runs that were copied.
    """
    missing = {name: config for name, config in runs.items() if not (out / name).exists()}
    if not missing:
        return []
    copied = []
    known = {folder: config for folder in _finished(among) if (config := _config(folder)) is not None}
    for name, config in missing.items():
        equal = (folder for folder, own in known.items() if own == config and same_origin(folder, config.base))
        source = next(equal, None)
        if source is None:
            continue
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copytree(source, partial, ignore=shutil.ignore_patterns("checkpoints"))
        partial.rename(target)
        copied.append(name)
    return copied


def _finished(among: Path) -> list[Path]:
    found = [path for depth in range(1, DEPTH) for path in among.glob("*/" * depth + "seed_*")]
    return sorted(folder for folder in found if finished(folder))


def _config(folder: Path) -> RLConfig | None:
    try:
        return from_dict(RLConfig, read_yaml(folder / "config.yaml"))
    except ConfigError:
        return None
