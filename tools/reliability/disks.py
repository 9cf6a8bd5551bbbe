"""Disks that are full, that may not be written, or that lose what was not flushed."""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import itertools
import json
import os
import random
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import edgewise as ew
from edgewise.checkpoint import load_state
from edgewise.errors import EdgewiseError
from edgewise.replay import Trace
from tools.reliability.kills import contents, differing, rewards, small_pretrain, small_rl
from tools.reliability.trials import DONE, Outcome, in_child, said, trial


def small_curriculum() -> ew.Curriculum:
    curriculum = ew.Curriculum(ew.PromptPool(range(200), [f"c{i % 4}" for i in range(200)]), "edge", rollouts=4)
    batch = curriculum.select(16)
    curriculum.observe(batch, rewards(1, batch.rows))
    return curriculum


def small_trace() -> Trace:
    pool, rows = ew.PromptPool(range(50)), np.arange(50)
    return Trace(pool, [0, 5], [0] * 50 + [1] * 50, np.tile(rows, 2), np.tile(rows % 5, 2), np.full(100, 8))


def writers() -> dict[str, tuple[str, Callable[[Path], Any]]]:
    """Everything that writes a file: its name, and a call that writes to a path."""
    from edgewise.checkpoint import write_json
    from edgewise.lab.run.journal import Journal
    from edgewise.replay.recorder import Recorder

    curriculum, trace = small_curriculum(), small_trace()

    def recorded(path: Path) -> None:
        recorder = Recorder(curriculum.pool, path)
        recorder.observed(1, np.arange(4), np.arange(4), np.full(4, 8))
        recorder.save()

    return {
        "curriculum": ("curriculum.npz", curriculum.save),
        "trace": ("trace.npz", trace.save),
        "recorder": ("recorded.npz", recorded),
        "journal": ("metrics.jsonl", lambda path: Journal(path).append({"step": 1, "text": "x" * 9000})),
        "summary": ("summary.json", lambda path: write_json(path, {"text": "x" * 9000})),
    }


@trial("full-disk", full=200, fast=25)
def full_disk(n: int, work: Path) -> Outcome:
    """Writing stops after a random number of bytes: what was there before is whole, nothing else is left."""
    outcome, chance = Outcome(0), random.Random(2)
    kinds = writers()
    sizes = {}
    for kind, (name, write) in kinds.items():
        write(work / name)
        sizes[kind] = (work / name).stat().st_size
    for number in range(n):
        kind = list(kinds)[number % len(kinds)]
        name, write = kinds[kind]
        folder = work / f"disk-{number}"
        folder.mkdir()
        before = (work / name).read_bytes()
        (folder / name).write_bytes(before)
        # A journal is appended to: the limit lies beyond what it holds.
        limit = chance.randrange(sizes[kind]) + (sizes[kind] if kind == "journal" else 0)

        def limited(limit: int = limit) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        def attempt(write: Callable[[Path], Any] = write, path: Path = folder / name) -> None:
            try:
                write(path)
            except (EdgewiseError, OSError) as error:
                if ".tmp" in str(error):
                    raise AssertionError(f"names a hidden file: {error}") from error
                return
            raise AssertionError("the full disk was not noticed")

        outcome.trials += 1
        if in_child(attempt, setup=limited) != DONE:
            outcome.faults.append(f"{kind}: no clear error after {limit} bytes")
        after = (folder / name).read_bytes()
        if after[: len(before)] != before or (kind != "journal" and after != before):
            outcome.faults.append(f"{kind}: the file before is damaged")
        if [path.name for path in folder.iterdir()] != [name]:
            outcome.faults.append(f"{kind}: files are left")
    return outcome


@trial("read-only", full=10, fast=10)
def read_only(n: int, work: Path) -> Outcome:
    """The folder may not be written, or is gone."""
    outcome = Outcome(0)
    work.chmod(0o755)
    for kind, (name, write) in writers().items():
        folder = work / kind
        folder.mkdir()
        folder.chmod(0o555)
        for path in (folder / name, work / "gone" / name):

            def attempt(write: Callable[[Path], Any] = write, path: Path = path) -> None:
                with contextlib.suppress(EdgewiseError, OSError):
                    write(path)
                    raise AssertionError("written")

            outcome.trials += 1
            if in_child(attempt, setup=_nobody) != DONE:
                outcome.faults.append(f"{kind}: no clear error for {path.parent.name}")
        if list(folder.iterdir()):
            outcome.faults.append(f"{kind}: files are left")
    return outcome


def _nobody() -> None:
    """Rights that a file system respects: root may write everywhere."""
    if os.geteuid() == 0:
        os.setuid(65534)


# --- whole commands ------------------------------------------------------------------------------------------------------


def commands(work: Path) -> dict[str, Callable[[Path], Any]]:
    """Commands that write, by name; each works in the folder it is given, and goes on there."""
    import torch

    from edgewise.lab.evaluation.evaluation import ExamConfig, examine
    from edgewise.replay.logs.command import main as replay
    from edgewise.report.page import write

    torch.set_num_threads(1)
    run, trace = work / "finished", work / "log.npz"
    small_rl(run)
    small_trace().save(trace)
    exam = ExamConfig(
        base="opgraph", problems=8, samples=2, k=(1, 2), max_new_tokens=6, chunk=8, difficulty={"op": [1, 2]}
    )

    def report(out: Path) -> None:
        write(out)

    def replayed(out: Path) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            replay(trace, ("edge",), out=out / "savings.json")

    return {
        "rl": small_rl,
        "pretrain": small_pretrain,
        "eval": lambda out: examine(exam, out),
        "report": report,
        "replay": replayed,
    }


def prepare(name: str, work: Path, out: Path) -> None:
    """What a command finds before it begins."""
    if name == "report":
        shutil.copytree(work / "finished", out)
    if name == "replay":
        out.mkdir()


def tree(folder: Path) -> dict[str, Any]:
    """What a command left, clocks aside, by file; checkpoints by their newest."""
    found: dict[str, Any] = contents(folder) if (folder / "checkpoints").exists() else {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        # A disk that is read-only keeps the temporary file that it already holds.
        if path.is_file() and not name.startswith("checkpoints/") and name not in found and path.suffix != ".tmp":
            found[name] = path.read_bytes()
    if "summary.json" in found:
        found["summary.json"] = {**json.loads(found["summary.json"]), "seconds": 0}
    if "report.html" in found:
        # Its digest of a run counts the seconds that the run took.
        found["report.html"] = len(found["report.html"]) // 1000
    return found


CHANGING = ("fsync", "replace", "rename", "mkdir", "rmdir", "unlink", "truncate", "ftruncate", "utime")


@contextlib.contextmanager
def operations(before: Callable[[str, int], None]) -> Iterator[None]:
    """Call `before(name, number)` ahead of each operation of this process that changes a file or a folder."""
    count = itertools.count()
    originals = {name: getattr(os, name) for name in CHANGING}
    real_open = io.open

    def counted(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            before(name, next(count))
            return originals[name](*arguments, **options)

        return call

    def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if set(mode) & set("wax+"):
            before("open", next(count))
        return real_open(file, mode, *arguments, **options)

    for name in CHANGING:
        setattr(os, name, counted(name))
    io.open = builtins.open = opened  # type: ignore[assignment]
    try:
        yield
    finally:
        for name, function in originals.items():
            setattr(os, name, function)
        io.open = builtins.open = real_open


def _count(work: Callable[[], Any], numbers: Path) -> int:
    """Operations of a call, made in a process of its own."""

    def counting() -> None:
        last = -1

        def note(name: str, number: int) -> None:
            nonlocal last
            last = number

        with operations(note):
            work()
        numbers.write_text(str(last + 1), "utf-8")

    if in_child(counting) != DONE:
        raise SystemExit("the command failed without a fault")
    return int(numbers.read_text("utf-8"))


@trial("failing-writes", full=300, fast=10)
def failing_writes(n: int, work: Path) -> Outcome:
    """A command's disk fills up or becomes read-only at a random operation: one clear error, then the same command ends as it would have."""
    outcome, chance = Outcome(0), random.Random(8)
    expected: dict[str, dict[str, Any]] = {}
    total: dict[str, int] = {}
    largest: dict[str, int] = {}
    every = commands(work)
    for name, command in every.items():
        folder = work / f"whole-{name}"
        prepare(name, work, folder)
        total[name] = _count(lambda: command(folder), work / "count")  # noqa: B023
        expected[name] = tree(folder)
        largest[name] = max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    for number in range(n):
        name = list(every)[number % len(every)]
        folder, mode = work / f"{name}-{number}", chance.choice(["full", "read-only", "limit"])
        at, limit = chance.randrange(total[name]), chance.randrange(largest[name])

        def failing(
            mode: str = mode, at: int = at, limit: int = limit, name: str = name, folder: Path = folder
        ) -> None:
            def fail(operation: str, count: int) -> None:
                if mode == "full" and count == at and operation in ("open", "fsync", "mkdir", "rename", "replace"):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if mode == "read-only" and count >= at:
                    raise OSError(errno.EROFS, os.strerror(errno.EROFS))

            if mode == "limit":
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                with operations(fail):
                    every[name](folder)
            except EdgewiseError as error:
                if ".tmp" in str(error):
                    raise AssertionError(f"names a hidden file: {error}") from error

        prepare(name, work, folder)
        outcome.trials += 1
        where = f"{name}, {mode} at {limit if mode == 'limit' else at}"
        with said() as lines:
            if in_child(failing) != DONE:
                outcome.faults.append(f"{where}: {lines()}")
            if in_child(lambda: every[name](folder)) != DONE:  # noqa: B023
                outcome.faults.append(f"{where}: the command cannot be repeated: {lines()}")
                continue
        outcome.faults += [f"{where}: {part} differs" for part in differing(expected[name], tree(folder))]
        shutil.rmtree(folder)
    return outcome


class LossyDisk:
    """What survives a power cut: of each file what was flushed, of each folder the names it had when it was flushed."""

    def __init__(self) -> None:
        self.files: dict[int, bytes] = {}
        self.folders: dict[int, dict[str, tuple[int, bool]]] = {}
        self.held: list[int] = []

    def flush(self, path: Path) -> None:
        """Note what is in a file or a folder, by its inode: names may change."""
        inode = path.stat().st_ino
        if inode not in self.files and inode not in self.folders:
            # Kept open, or the system gives its number to another file once this one is deleted.
            self.held.append(os.open(path, os.O_RDONLY))
        if path.is_dir():
            self.folders[inode] = {inner.name: (inner.stat().st_ino, inner.is_dir()) for inner in path.iterdir()}
        else:
            self.files[inode] = path.read_bytes()

    def after_power_cut(self, inode: int, into: Path) -> None:
        """Write what is left of a folder to `into`."""
        into.mkdir()
        for name, (inner, is_folder) in self.folders.get(inode, {}).items():
            if is_folder:
                self.after_power_cut(inner, into / name)
            else:
                (into / name).write_bytes(self.files.get(inner, b""))

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """Every `os.fsync` is noted."""
        fsync = os.fsync

        def noted(descriptor: int) -> None:
            fsync(descriptor)
            self.flush(Path(os.readlink(f"/proc/self/fd/{descriptor}")))

        os.fsync = noted  # type: ignore[assignment]
        try:
            yield
        finally:
            os.fsync = fsync
            while self.held:
                os.close(self.held.pop())


@trial("power-cut", full=100, fast=6)
def power_cut(n: int, work: Path) -> Outcome:
    """A file system that loses whatever was not flushed, cut off at a random operation: what was saved is there and whole, and runs end alike."""
    from edgewise.lab.rl import trainer  # noqa: F401  (loaded once, not in every child)
    from edgewise.lab.run import pretrain  # noqa: F401

    outcome, chance = Outcome(0), random.Random(9)
    curriculum, folder = small_curriculum(), work / "run"
    folder.mkdir()
    disk = LossyDisk()
    for number in range(n // 2):
        with disk.mounted():
            curriculum.save(folder / "curriculum.npz")
        disk.after_power_cut(folder.stat().st_ino, work / f"left-{number}")
        outcome.trials += 1
        try:
            load_state(work / f"left-{number}" / "curriculum.npz", "curriculum")
        except EdgewiseError as error:
            outcome.faults.append(f"curriculum: {error}")
        batch = curriculum.select(8)
        curriculum.observe(batch, rewards(number, batch.rows))
    runs = {"rl": small_rl, "pretrain": small_pretrain}
    expected, total = {}, {}
    for name, command in runs.items():
        total[name] = _count(lambda: command(work / f"whole-{name}"), work / "count")  # noqa: B023
        expected[name] = tree(work / f"whole-{name}")
    for number in range(n - n // 2):
        name = list(runs)[number % 2]
        parent, at, kept = work / f"disk-{number}", chance.randrange(total[name]), work / f"kept-{number}"
        parent.mkdir()

        def cut(name: str = name, parent: Path = parent, at: int = at, kept: Path = kept) -> None:
            from edgewise.lab.run.folder import RunCheckpoints

            disk, save = LossyDisk(), RunCheckpoints.save
            disk.flush(parent)
            returned = work / "returned"
            returned.write_text("", "utf-8")

            def saved(self: RunCheckpoints, step: int, write: Callable[[Path], None]) -> Path:
                target = save(self, step, write)
                returned.write_text(target.name, "utf-8")
                return target

            RunCheckpoints.save = saved  # type: ignore[method-assign]

            def end(operation: str, count: int) -> None:
                if count == at:
                    disk.after_power_cut(parent.stat().st_ino, kept)
                    os._exit(DONE)

            # Flushes are noted inside of the counted operations: one that does not happen is not noted.
            with disk.mounted(), operations(end):
                runs[name](parent / "run")

        outcome.trials += 1
        in_child(cut)
        newest = (work / "returned").read_text("utf-8")
        if newest and not (kept / "run" / "checkpoints" / newest).exists():
            outcome.faults.append(f"{name} at {at}: the saved checkpoint {newest} is lost")
        with said() as lines:
            if in_child(lambda: runs[name](kept / "run")) != DONE:  # noqa: B023
                outcome.faults.append(f"{name} at {at}: the run cannot be resumed: {lines()}")
                continue
        outcome.faults += [f"{name} at {at}: {part} differs" for part in differing(expected[name], tree(kept / "run"))]
    return outcome
