"""Reuse of finished runs: claims share many, and one that another claim has made is copied instead of made again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from edgewise.checkpoint import no_empty_folder
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.experiments.folders import read_run
from edgewise.experiments.runs import finished
from edgewise.lab.rl.config import RLConfig
from edgewise.lab.run.config import from_dict, read_yaml
from edgewise.lab.run.folder import same_origin

DEPTH = 4
"""Folders between the folder of all results and a run: a claim's part/method/seed_0 below its own, a demo's method/seed_0."""


def reuse(runs: Mapping[str, RLConfig], out: Path, among: Path) -> list[str]:
    """Copy to `out` what is missing there and stands finished and whole below `among`, with equal settings, weights and program.

    Checkpoints stay where they are. Returns the names of the runs that were copied.
    """
    missing = {name: config for name, config in runs.items() if not (out / name).exists()}
    if not missing:
        return []
    copied = []
    known = {folder: config for folder in _finished(among) if (config := _config(folder)) is not None}
    for name, config in missing.items():
        equal = (folder for folder, own in known.items() if own == config and same_origin(folder, config.base))
        # A damaged run would be refused here, and copied again each time that its copy is deleted.
        source = next(filter(_whole, equal), None)
        if source is None:
            continue
        target = out / name
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        with no_empty_folder(target.parent):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(source, partial, ignore=shutil.ignore_patterns("checkpoints"))
                partial.rename(target)
            except OSError as error:
                shutil.rmtree(partial, ignore_errors=True)
                raise EdgewiseError(
                    f"cannot copy the finished run {source} to {target}: {error}; make room or give access, and the same"
                    " command goes on"
                ) from error
        copied.append(name)
    return copied


def _finished(among: Path) -> list[Path]:
    found = [path for depth in range(1, DEPTH) for path in among.glob("*/" * depth + "seed_*")]
    return sorted(folder for folder in found if finished(folder))


def _whole(folder: Path) -> bool:
    try:
        read_run(folder).check_complete()
    except EdgewiseError:
        return False
    return True


def _config(folder: Path) -> RLConfig | None:
    try:
        return from_dict(RLConfig, read_yaml(folder / "config.yaml"))
    except ConfigError:
        return None
