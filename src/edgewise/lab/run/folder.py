"""Run folders: claimed by one configuration, worked on by one process at a time, checkpoints complete, checksummed or absent."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

import edgewise
from edgewise.checkpoint import leftovers, make_folder, no_empty_folder, read_json, sync_folder, write_json
from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.lab.model.checkpoints import find, steps_of
from edgewise.lab.model.policy import Policy, PromptFormat
from edgewise.lab.run.config import claim
from edgewise.lab.run.problems import TaskConfig

T = TypeVar("T")
LOCK, ORIGIN, CHECKSUMS = ".lock", "origin.json", "checksums.json"
STAGE_LOCK = "lock"
"""Lock of a stage of a study, which holds longer than that of its run."""
CLAIM = (ORIGIN, "config.yaml")
CLAIMED = (STAGE_LOCK, *CLAIM)
"""Files of a run that has no result yet, besides hidden ones: its lock, and what a kill left half-written."""


@contextmanager
def run_folder(out: Path, config: Any, base: str = "", leads: bool = True) -> Iterator[None]:
    """Claim and lock `out` for a run of `config`; an error before the first result leaves nothing behind.

    Args:
        out: made if it does not exist.
        config: written to config.yaml, or compared with the one there.
        base: the checkpoint that the run starts from; its weights must be those the run began with.
        leads: whether this process writes the run's files; the others do nothing here.

    Raises:
        ConfigError: another process works there, or the folder holds results of another configuration or of other weights.
    """
    if not leads:
        yield
        return
    with no_empty_folder(out), _locked(out):
        if not results(out):
            # A claim without a result is not binding: the file may have been corrected since.
            _unclaim(out)
        try:
            claim(out, config)
            if base:
                _same_weights(out, base)
            yield
        except BaseException as error:
            if not results(out):
                _unclaim(out)
            if isinstance(error, OSError):
                raise EdgewiseError(
                    f"cannot read or write in {out}: {error.strerror or error}; make room or give access, and the same command"
                    " goes on from the last checkpoint"
                ) from error
            raise
        finally:
            # What cannot be removed must not hide the error that ended the run; without its process the lock is free.
            with contextlib.suppress(OSError):
                (out / LOCK).unlink(missing_ok=True)


def _unclaim(out: Path) -> None:
    with contextlib.suppress(OSError):
        for name in CLAIM:
            for path in (out / name, *leftovers(out / name)):
                path.unlink(missing_ok=True)


def results(out: Path) -> bool:
    """Whether a folder holds anything but a claim."""
    return out.is_dir() and any(path.name not in CLAIMED and not path.name.startswith(".") for path in out.iterdir())


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold the lock of a folder; the system frees the lock of a process that dies."""
    try:
        make_folder(out)
        file = _acquire(out / LOCK)
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {error.strerror}; choose another folder") from error
    with file:
        yield


def _acquire(path: Path) -> Any:
    if os.name != "posix":
        return contextlib.nullcontext()
    import fcntl

    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read(200).strip() or "another process"
            file.close()
            raise ConfigError(
                f"{holder} works in {path.parent}; wait for its end, stop it, or choose another folder"
            ) from error
        # The holder before may have removed the file between opening and locking it: then the lock is on nothing.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            file.truncate(0)
            note = f"process {os.getpid()} on {socket.gethostname()} (since {time.strftime('%Y-%m-%d %H:%M:%S')})\n"
            with contextlib.suppress(OSError):  # the disk is full: the lock holds, and the first write is an error
                os.write(file.fileno(), note.encode())
            return file
        file.close()


def _same_weights(out: Path, base: str) -> None:
    origin, now = out / ORIGIN, {"base": base, "weights": fingerprint(find(base)), "program": program()}
    if not origin.exists():
        write_json(origin, now)
        return
    before = read_json(origin)
    if before.get("weights") != now["weights"]:
        raise ConfigError(
            f"{out} holds results of other weights: the checkpoint {base} has changed since; choose another folder or delete"
            " this one"
        )


def same_origin(out: Path, base: str) -> bool:
    """Whether the run in `out` began with this base's present weights, and with the program as it is now."""
    before = read_json(out / ORIGIN) if (out / ORIGIN).exists() else {}
    return before.get("program") == program() and before.get("weights") == fingerprint(find(base))


@functools.cache
def program() -> str:
    """SHA-256 of the package's source."""
    digest, package = hashlib.sha256(), Path(edgewise.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()} {_sha256(path)}\n".encode())
    return digest.hexdigest()


def fingerprint(folder: Path) -> str:
    """SHA-256 of a checkpoint's model: weights, architecture, tokenizer and task."""
    digest = hashlib.sha256()
    weights = [folder / "model.safetensors"]
    if not weights[0].exists():
        weights = sorted(folder.glob("model-*.safetensors"))
    for path in (*weights, *(folder / name for name in ("config.json", "tokenizer.json", "task.json"))):
        if path.exists():
            digest.update(f"{path.name} {_sha256(path)}\n".encode())
    return digest.hexdigest()


def load_policy(base: str, task: TaskConfig | None = None, prompts: PromptFormat | None = None) -> Policy:
    """The policy of a checkpoint, by folder or by the name of an imported or shipped one, checksums and weights verified.

    Args:
        base: the checkpoint.
        task: for a pretrained model; default: the checkpoint's own.
        prompts: form of its prompts; default: the checkpoint's own.

    Raises:
        CheckpointError: there is no such checkpoint, a file is damaged, or a weight is not finite.
    """
    folder = find(base)
    if (folder / CHECKSUMS).exists():
        verify(folder)
    spec = None if task is None else {"name": task.name, "options": task.options}
    policy = Policy.load(folder, spec, prompts)
    require_finite(policy.model, f"the checkpoint {folder}")
    return policy


def require_finite(module: torch.nn.Module, what: str) -> None:
    """Refuse weights that are not numbers.

    Raises:
        CheckpointError: it names the first such tensor.
    """
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f"{what} has weights that are not finite numbers, first in {name}; restore or train it anew"
            )


def verify(folder: Path) -> None:
    """Compare the files of a checkpoint with its checksums.

    Raises:
        CheckpointError: a file is missing or differs, or there are no checksums.
    """
    if not (folder / CHECKSUMS).exists():
        raise CheckpointError(f"{folder} is incomplete: it has no {CHECKSUMS}")
    for name, expected in read_json(folder / CHECKSUMS).items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{path} is missing; restore it or start anew")
        if _sha256(path) != expected:
            raise CheckpointError(f"{path} is damaged: its checksum does not match; restore it or start anew")


class RunCheckpoints:
    """The checkpoints of one run: step_000100, step_000200, ...; only the newest `keep` stay."""

    def __init__(self, root: Path, keep: int = 2):
        self.root, self.keep = root / "checkpoints", keep

    def steps(self) -> list[Path]:
        """Checkpoints, oldest first."""
        return steps_of(self.root)

    def save(self, step: int, write: Callable[[Path], None]) -> Path:
        """Let `write(folder)` fill a temporary folder, add checksums, flush to disk and rename.

        Raises:
            CheckpointError: the disk is full, or the folder cannot be written; checkpoints written before stay.
        """
        target, temporary = self.root / f"step_{step:06d}", self.root / f".step_{step:06d}.tmp"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            # Without its parents: a run whose folder was removed has lost its journals too.
            self.root.mkdir(exist_ok=True)
            sync_folder(self.root.parent)
            temporary.mkdir()
            write(temporary)
            write_json(
                temporary / CHECKSUMS, {p.name: _sha256(p) for p in sorted(temporary.iterdir()) if p.name != CHECKSUMS}
            )
            for path in temporary.iterdir():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            sync_folder(temporary)
            self._remove(target)
            temporary.rename(target)
            # Before older checkpoints go: a file system may keep their removal and lose the renaming.
            sync_folder(self.root)
        except (OSError, CheckpointError) as error:
            # What is half-written would fill the disk that is full already.
            shutil.rmtree(temporary, ignore_errors=True)
            kept, cause = self.steps(), error.__cause__ if isinstance(error, CheckpointError) else error
            reason = cause.strerror or cause if isinstance(cause, OSError) else cause or error
            before = f"{kept[-1]} is whole" if kept else "there is none before it"
            raise CheckpointError(
                f"cannot write the checkpoint of step {step} to {self.root}: {reason}; {before}."
                " Make room or fix the folder; the same command goes on from there"
            ) from error
        for old in self.steps()[: -self.keep]:
            self._remove(old)
        return target

    def _remove(self, folder: Path) -> None:
        """Remove a checkpoint; under another name first, so that a kill in between leaves no half of it in the list."""
        if folder.exists():
            grave = folder.with_name(f".{folder.name}.old")
            shutil.rmtree(grave, ignore_errors=True)
            folder.rename(grave)
            shutil.rmtree(grave)

    def latest(self, load: Callable[[Path], T]) -> T | None:
        """What `load(folder)` makes of the newest checkpoint that is whole; None if there is none.

        Raises:
            CheckpointError: there are checkpoints, but none can be read.
        """
        if self.root.is_dir():
            for rest in self.root.glob(".step_*"):
                shutil.rmtree(rest, ignore_errors=True)
        problems = []
        for folder in reversed(self.steps()):
            try:
                verify(folder)
                return load(folder)
            except (EdgewiseError, ValueError, KeyError, TypeError) as error:
                problems.append(str(error) if isinstance(error, EdgewiseError) else f"{folder} is damaged ({error!r})")
        if problems:
            raise CheckpointError(f"no checkpoint under {self.root} can be read: {problems[0]}")
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
