"""Stages of a study: each lives in a folder named by a hash of its settings and of all that came before it.

So arms that share a stage, in one study or in several, train it once, and a finished stage is never repeated.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgewise.checkpoint import no_empty_folder, read_json, write_json
from edgewise.errors import CheckpointError, ConfigError
from edgewise.experiments.folders import writing
from edgewise.experiments.study.torchrun import run_processes
from edgewise.lab.evaluation.evaluation import ExamConfig, examine
from edgewise.lab.rl.trainer import RLConfig, train
from edgewise.lab.run.config import from_dict, to_dict
from edgewise.lab.run.folder import STAGE_LOCK, results
from edgewise.lab.run.pretrain import MidtrainConfig, PretrainConfig, pretrain

VERSION = 1
"""Part of every hash: raised when the same settings come to mean something else."""
KINDS: dict[str, Any] = {
    "pretrain": PretrainConfig,
    "midtrain": MidtrainConfig,
    "rl": RLConfig,
    "evaluation": ExamConfig,
}
DONE = "done.json"
Report = Callable[[dict[str, Any]], None]
"""Receives kind, stage, step and steps while a stage is under way."""


@dataclass(frozen=True)
class Stage:
    """One stage: a kind, its settings without `base`, and the stage whose checkpoint it starts from."""

    kind: str
    settings: dict[str, Any]
    parent: Stage | None = None

    @classmethod
    def of(cls, kind: str, settings: dict[str, Any], parent: Stage | None) -> Stage:
        """A stage with every setting spelled out; `ConfigError` for settings that it does not have."""
        # The base is known by its hash; a name stands in for it, since mid-training requires one.
        config = from_dict(KINDS[kind], {**settings, **({"base": "parent"} if parent else {})}, kind)
        plain = to_dict(config)
        del plain["base"]
        return cls(kind, plain, parent)

    @property
    def name(self) -> str:
        """The folder's name."""
        parent = self.parent.name if self.parent else None
        content = json.dumps([VERSION, self.kind, self.settings, parent], sort_keys=True)
        return f"{self.kind}-{hashlib.blake2b(content.encode(), digest_size=6).hexdigest()}"

    @property
    def steps(self) -> int:
        """Units of progress: optimiser steps, or problems of an evaluation."""
        return int(self.settings["problems" if self.kind == "evaluation" else "steps"])

    @property
    def checkpoint(self) -> str:
        """Where in its folder the trained model is."""
        return f"checkpoints/step_{self.steps:06d}"

    def config(self, root: Path) -> Any:
        """The settings as the laboratory takes them, with the base among the stages in `root`."""
        config = from_dict(KINDS[self.kind], {**self.settings, **({"base": "parent"} if self.parent else {})})
        return config if self.parent is None else replace(config, base=str(checkpoint_of(self.parent, root)))


def checkpoint_of(stage: Stage, root: Path) -> Path:
    return root / stage.name / stage.checkpoint


def is_done(stage: Stage, root: Path) -> bool:
    return (root / stage.name / DONE).exists()


def record_of(stage: Stage, root: Path) -> dict[str, Any]:
    """Record of a finished stage: seconds, and the digests of its files.

    Raises:
        CheckpointError: a file of it is missing or not what was written; it names the file and says what to do.
    """
    folder = root / stage.name
    again = f"delete {folder} and start the same command: this stage is done again, the others are kept"
    try:
        record = json.loads((folder / DONE).read_text("utf-8"))
        digests = dict(record["digests"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{folder / DONE} is missing or damaged; {again}") from error
    for name, digest in digests.items():
        path = folder / name
        if not path.exists() or _digest(path) != digest:
            raise CheckpointError(f"{path} is {'damaged' if path.exists() else 'missing'}; {again}")
    return dict(record)


def run_stage(stage: Stage, root: Path, report: Report, stopped: Callable[[], bool], processes: int = 1) -> bool:
    """Do a stage, or what is left of it; False if it was stopped, with all that was done saved.

    Training shares its work among `processes`, one a GPU. The steps of pre-training and mid-training are the same however
    many there are, up to the order of sums; RL draws other rollouts with another number.

    Raises:
        CheckpointError: the stage it starts from is damaged, or everything saved of this one is.
        ConfigError: another process is at work on the same stage.
    """
    if is_done(stage, root):
        return True
    if stage.parent is not None:
        record_of(stage.parent, root)
    folder = root / stage.name
    with no_empty_folder(folder), _alone(folder), writing(folder):
        began = time.perf_counter(), time.process_time()
        finished = _do(stage, root, report, stopped, processes)
        spent = _spent(folder, time.perf_counter() - began[0], time.process_time() - began[1])
        if finished:
            files = (
                [folder / "problems.jsonl"]
                if stage.kind == "evaluation"
                else sorted(checkpoint_of(stage, root).iterdir())
            )
            digests = {str(path.relative_to(folder)): _digest(path) for path in files}
            write_json(folder / DONE, {"stage": stage.name, "steps": stage.steps, **spent, "digests": digests})
    return finished


class _Stop(Exception):
    """Leaves a loop at a step's end."""


def _training(stage: Stage, root: Path, report: Report, stopped: Callable[[], bool]) -> bool:
    def progress(line: dict[str, Any]) -> None:
        report({"kind": stage.kind, "stage": stage.name, "step": line["step"], "steps": stage.steps})

    run = train if stage.kind == "rl" else pretrain
    try:
        run(stage.config(root), root / stage.name, progress, stopped)
    except KeyboardInterrupt:
        return False
    return True


def _evaluation(stage: Stage, root: Path, report: Report, stopped: Callable[[], bool]) -> bool:
    def progress(done: int, problems: int) -> None:
        report({"kind": stage.kind, "stage": stage.name, "step": done, "steps": problems})
        if stopped():
            raise _Stop

    try:
        examine(stage.config(root), root / stage.name, progress)
    except _Stop:
        return False
    return True


def _do(stage: Stage, root: Path, report: Report, stopped: Callable[[], bool], processes: int) -> bool:
    if stage.kind == "evaluation":
        return _evaluation(stage, root, report, stopped)
    if processes == 1:
        return _training(stage, root, report, stopped)

    def progress(step: int) -> None:
        report({"kind": stage.kind, "stage": stage.name, "step": step, "steps": stage.steps})

    return run_processes(stage.kind, stage.config(root), root / stage.name, processes, progress, stopped)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """A lock on a stage: commands may share stages, but not work on one at once. The OS releases it when the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / STAGE_LOCK).open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}; choose another --stages") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"another process is at work in {folder}; wait for it, or choose other --stages"
            ) from error
        try:
            yield
        finally:
            if not results(folder):
                (folder / STAGE_LOCK).unlink()


def _spent(folder: Path, wall: float, cpu: float) -> dict[str, float]:
    """Seconds of this attempt and of those before it, kept in the folder."""
    path = folder / "seconds.json"
    before = read_json(path) if path.exists() else {}
    try:
        spent = {
            name: round(float(before.get(name, 0.0)) + now, 2)
            for name, now in (("seconds", wall), ("cpu_seconds", cpu))
        }
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"{path} holds no numbers ({error}); delete it: the time spent is counted anew"
        ) from error
    write_json(path, spent)
    return spent


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
