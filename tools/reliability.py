"""Fault injection: what a run survives, counted. Results are kept in docs/results/reliability.json.

    python -m tools.reliability                     every trial at its full number
    python -m tools.reliability kill-loop soak      some of them
    python -m tools.reliability --fast              a few of each, nothing recorded

Each trial returns how often it was tried and one line for every fault; the tests in tests/reliability run them too. Processes
are ended by a timer of their own CPU time whose signal has the effect of SIGKILL: no handler, no cleanup, at any instruction.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import edgewise as ew
from edgewise.checkpoint import load_state
from edgewise.errors import EdgewiseError
from edgewise.replay import Trace
from tools.numbers import ROOT, record

ENDED, FAILED, DONE = "ended", 3, 0


@dataclass
class Outcome:
    """Trials made, faults found (a line each), and figures worth reading."""

    trials: int
    faults: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


Trial = Callable[[int, Path], Outcome]
TRIALS: dict[str, tuple[Trial, int, int]] = {}
"""Name -> trial, number at full scale, number in the fast tests (0: only in the slow ones)."""


def trial(name: str, full: int, fast: int) -> Callable[[Trial], Trial]:
    def register(function: Trial) -> Trial:
        TRIALS[name] = function, full, fast
        return function

    return register


def in_child(work: Callable[[], Any], cpu_seconds: float = 0.0, setup: Callable[[], Any] | None = None) -> int | str:
    """Exit status of `work` in a forked process: 0, 3 after an unexpected error, "ended" by the timer."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that a fork does not take along: the child uses none of them
        child = os.fork()
    if child == 0:
        status = FAILED
        try:
            if setup is not None:
                setup()
            if cpu_seconds:
                signal.signal(signal.SIGPROF, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
            work()
            status = DONE
        except BaseException as error:
            with contextlib.suppress(BaseException):
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return ENDED if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def cpu_of(work: Callable[[], Any]) -> float:
    """CPU seconds of `work` in a forked process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if in_child(work) != DONE:
        raise SystemExit("the uninterrupted run failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# --- interrupted runs ----------------------------------------------------------------------------------------------------


def _rewards(step: int, rows: np.ndarray) -> np.ndarray:
    return np.random.default_rng([step, 7]).random((len(rows), 4)) < (rows % 10 / 9)[:, None]


def _loop(folder: Path, method: str, steps: int) -> None:
    """A plain loop that saves after every step, and writes down what it selected; it resumes where it was."""
    pool = ew.PromptPool(range(300), [f"c{i % 6}" for i in range(300)])
    curriculum = ew.Curriculum(pool, method, rollouts=4, random_share=0.1, seed=1)
    path, log = folder / "curriculum.npz", folder / "selected.txt"
    if path.exists():
        curriculum.load(path)
    while curriculum.steps < steps:
        with log.open("a", encoding="utf-8") as file:
            for batch in curriculum.rounds(8):
                file.write(f"{curriculum.steps} {batch.ids.tolist()}\n")
                curriculum.observe(batch, _rewards(curriculum.steps, batch.rows))
        curriculum.save(path)


def _selected(folder: Path) -> dict[int, list[str]]:
    """Selections by step; of a step that was done twice the last ones, a line that a kill cut short left out."""
    steps: dict[int, list[str]] = {}
    newest = 0
    for line in (folder / "selected.txt").read_text("utf-8").split("\n")[:-1]:
        number, _, rows = line.partition(" ")
        if not rows.endswith("]") or not number.isdigit():
            continue
        step = int(number)
        if step <= newest and (step < newest or rows in steps[step]):
            steps[step] = []
        steps.setdefault(step, []).append(rows)
        newest = step
    return steps


@trial("kill-loop", full=50, fast=4)
def kill_loop(n: int, work: Path) -> Outcome:
    """A plain loop with `save` every step is killed at a random instruction, over and over until it is done."""
    outcome, chance = Outcome(0), random.Random(0)
    methods = ["edge", "edge+ds", "mopps", "dps"]
    whole: dict[str, tuple[float, dict[int, list[str]]]] = {}
    for run in itertools.count():
        if outcome.trials >= n:
            break
        method = methods[run % len(methods)]
        if method not in whole:
            folder = work / f"whole-{method}"
            folder.mkdir()
            whole[method] = cpu_of(lambda folder=folder, method=method: _loop(folder, method, 12)), _selected(folder)
        seconds, expected = whole[method]
        folder = work / f"killed-{run}"
        folder.mkdir()
        for _ in range(40):
            status = in_child(lambda: _loop(folder, method, 12), max(chance.uniform(0.05, 1.0) * seconds, 0.002))  # noqa: B023
            outcome.trials += status == ENDED
            if status != ENDED:
                break
        if in_child(lambda: _loop(folder, method, 12)) != DONE:  # noqa: B023
            outcome.faults.append(f"{method}: the run cannot be resumed")
        elif _selected(folder) != expected:
            outcome.faults.append(f"{method}: the resumed run selected other prompts")
        if list(folder.glob("*.npz")) != [folder / "curriculum.npz"]:
            outcome.faults.append(f"{method}: files are left")
    return outcome


def _training(name: str, work: Path, n: int, train: Callable[[Path], Any], files: tuple[str, ...]) -> Outcome:
    """A run of the laboratory, killed n times: its files are those of the run that was not."""
    import torch

    torch.set_num_threads(1)
    outcome, chance = Outcome(0), random.Random(1)
    whole = work / "whole"
    seconds = cpu_of(lambda: train(whole))

    def contents(folder: Path) -> dict[str, bytes]:
        newest = sorted((folder / "checkpoints").glob("step_*"))[-1]
        found = {name: (folder / name).read_bytes() for name in files}
        return found | {"weights": (newest / "model.safetensors").read_bytes()}

    expected, run = contents(whole), 0
    while outcome.trials < n:
        folder, run = work / f"run-{run}", run + 1
        for _ in range(20):
            status = in_child(lambda: train(folder), max(chance.uniform(0.1, 1.0) * seconds, 0.01))  # noqa: B023
            outcome.trials += status == ENDED
            if status == FAILED:
                outcome.faults.append(f"{name}: a resumed run ends with an error")
            if status != ENDED:
                break
        if in_child(lambda: train(folder)) != DONE:  # noqa: B023
            outcome.faults.append(f"{name}: the run cannot be resumed")
            continue
        now = contents(folder)
        outcome.faults += [f"{name}: {part} differs" for part in expected if now[part] != expected[part]]
        shutil.rmtree(folder)
    return outcome


@trial("kill-rl", full=50, fast=0)
def kill_rl(n: int, work: Path) -> Outcome:
    """`edgewise rl` is killed at a random instruction; selections, samples and weights are those of the whole run."""
    from edgewise.lab.rl.config import EvalConfig, PoolConfig, RLConfig
    from edgewise.lab.rl.trainer import train

    config = RLConfig(
        base="opgraph",
        pool=PoolConfig(size=40, difficulty={"op": [1, 3]}),
        evaluation=EvalConfig(problems=6, samples=1, every=3, probe=4, probe_samples=1),
        steps=6,
        prompts=4,
        rollouts=4,
        max_new_tokens=6,
        save_every=2,
    )
    return _training("rl", work, n, lambda folder: train(config, folder), ("samples.jsonl",))


@trial("kill-pretrain", full=50, fast=0)
def kill_pretrain(n: int, work: Path) -> Outcome:
    """`edgewise pretrain` is killed at a random instruction; the weights are those of the whole run."""
    from edgewise.lab.model import ModelConfig
    from edgewise.lab.run.pretrain import PretrainConfig, pretrain

    model = ModelConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, max_position_embeddings=48)
    config = PretrainConfig(
        task="opgraph", difficulty={"op": [1, 2]}, model=model, steps=12, tokens=128, learning_rate=1e-3, save_every=3
    )
    return _training("pretrain", work, n, lambda folder: pretrain(config, folder), ())


# --- disks ---------------------------------------------------------------------------------------------------------------


def _small_curriculum() -> ew.Curriculum:
    curriculum = ew.Curriculum(ew.PromptPool(range(200), [f"c{i % 4}" for i in range(200)]), "edge", rollouts=4)
    batch = curriculum.select(16)
    curriculum.observe(batch, _rewards(1, batch.rows))
    return curriculum


def _small_trace() -> Trace:
    pool, rows = ew.PromptPool(range(50)), np.arange(50)
    return Trace(pool, [0, 5], [0] * 50 + [1] * 50, np.tile(rows, 2), np.tile(rows % 5, 2), np.full(100, 8))


def _writers() -> dict[str, tuple[str, Callable[[Path], Any]]]:
    """Everything that writes a file: its name, and a call that writes to a path."""
    from edgewise.checkpoint import write_json
    from edgewise.lab.run.journal import Journal
    from edgewise.replay.recorder import Recorder

    curriculum, trace = _small_curriculum(), _small_trace()

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
    writers = _writers()
    sizes = {}
    for kind, (name, write) in writers.items():
        write(work / name)
        sizes[kind] = (work / name).stat().st_size
    for number in range(n):
        kind = list(writers)[number % len(writers)]
        name, write = writers[kind]
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
    for kind, (name, write) in _writers().items():
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


class LossyDisk:
    """What survives a power cut: of each file what was flushed, of each folder the names it had when it was flushed."""

    def __init__(self) -> None:
        self.files: dict[int, bytes] = {}
        self.folders: dict[int, dict[str, int]] = {}

    def flush(self, path: Path) -> None:
        """Note what is in a file or a folder, by its inode: names may change."""
        inode = path.stat().st_ino
        if path.is_dir():
            self.folders[inode] = {inner.name: inner.stat().st_ino for inner in path.iterdir()}
        else:
            self.files[inode] = path.read_bytes()

    def after_power_cut(self, inode: int, into: Path) -> None:
        """Write what is left of a folder to `into`."""
        into.mkdir()
        for name, inner in self.folders.get(inode, {}).items():
            if inner in self.folders:
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


@trial("power-cut", full=30, fast=0)
def power_cut(n: int, work: Path) -> Outcome:
    """A file system that loses whatever was not flushed: after each save, that save is there and whole."""
    outcome = Outcome(0)
    curriculum, folder = _small_curriculum(), work / "run"
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
        curriculum.observe(batch, _rewards(number, batch.rows))
    from edgewise.lab.run.folder import RunCheckpoints, verify

    checkpoints = RunCheckpoints(work, keep=2)
    for number in range(n - n // 2):

        def write(target: Path, number: int = number) -> None:
            (target / "model.safetensors").write_bytes(bytes([number]) * 4096)
            (target / "state.json").write_text(json.dumps({"step": number}), "utf-8")

        with disk.mounted():
            checkpoints.save(number, write)
        left = work / f"checkpoints-{number}"
        disk.after_power_cut(checkpoints.root.stat().st_ino, left)
        outcome.trials += 1
        try:
            verify(left / f"step_{number:06d}")
        except EdgewiseError as error:
            outcome.faults.append(f"checkpoint {number}: {error}")
    return outcome


# --- damaged files -------------------------------------------------------------------------------------------------------


def damaged(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    """One mutation of a file: name, contents."""
    kind = chance.choice(["flip", "flip", "flips", "cut", "empty", "foreign", "doubled", "zeroed", "text", "swapped"])
    at = chance.randrange(max(len(data), 1))
    changed = bytearray(data)
    if kind == "flip":
        changed[at] ^= 1 << chance.randrange(8)
    elif kind == "flips":
        for _ in range(20):
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del changed[at:]
    elif kind == "empty":
        changed = bytearray()
    elif kind == "foreign":
        changed = bytearray(b"\x89PNG\r\n\x1a\n" + chance.randbytes(2000))
    elif kind == "doubled":
        changed += changed
    elif kind == "zeroed":
        changed[at : at + 512] = bytes(len(changed[at : at + 512]))
    elif kind == "text":
        changed = bytearray(b'{"step": 1}\n')
    else:
        half = len(data) // 2
        changed = changed[half:] + changed[:half]
    return kind, bytes(changed)


def _bomb(path: Path, size: int) -> None:
    """An npz of zeros that unpacks to `size` bytes."""
    import zipfile

    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (size,)})
        for _ in range(size >> 20):
            file.write(bytes(2**20))


@trial("mutations", full=200, fast=0)
def mutations(n: int, work: Path) -> Outcome:
    """n mutations of every kind of file that is read: an error of ours or the whole contents, memory bounded."""
    from edgewise.experiments.study.config import load_study
    from edgewise.lab.rl.config import RLConfig
    from edgewise.lab.run.config import from_dict, read_yaml
    from edgewise.lab.run.journal import Journal, read
    from edgewise.replay.logs import open_logs

    for name, (file, write) in _writers().items():
        if name in ("curriculum", "trace"):
            write(work / file)
    journal = Journal(work / "metrics.jsonl")
    for step in range(1, 30):
        journal.append({"step": step, "reward": step / 30})
    study = ROOT / "src/edgewise/experiments/study/studies/E1.yaml"
    rl = ROOT / "configs/rl"
    shutil.copy(study, work / "E1.yaml")
    shutil.copy(next(rl.glob("*.yaml")), work / "rl.yaml")
    shutil.copy(work / "metrics.jsonl", work / "log.jsonl")
    whole = load_state(work / "curriculum.npz", "curriculum")

    def curriculum(path: Path) -> None:
        fresh = ew.Curriculum(ew.PromptPool(range(200), [f"c{i % 4}" for i in range(200)]), "edge", rollouts=4)
        before = fresh.state_dict()
        try:
            fresh.load(path)
        except EdgewiseError:
            if repr(fresh.state_dict()) != repr(before):
                raise AssertionError("half-loaded") from None
            raise
        if repr(fresh.state_dict()["selector"]) != repr({**whole["selector"]}):
            raise AssertionError("something else was loaded")

    readers: dict[str, tuple[str, Callable[[Path], Any]]] = {
        "curriculum": ("curriculum.npz", curriculum),
        "trace": ("trace.npz", Trace.load),
        "journal": ("metrics.jsonl", read),
        "log": ("log.jsonl", lambda path: open_logs([path])),
        "study": ("E1.yaml", lambda path: load_study(str(path))),
        "config": ("rl.yaml", lambda path: from_dict(RLConfig, read_yaml(path))),
    }
    outcome, chance = Outcome(0), random.Random(3)
    for kind, (name, load) in readers.items():
        data = (work / name).read_bytes()
        refused = 0
        for number in range(n):
            how, changed = damaged(data, chance)
            path = work / f"damaged-{name}"
            path.write_bytes(changed)
            outcome.trials += 1
            try:
                load(path)
            except EdgewiseError:
                refused += 1
            except Exception as error:
                outcome.faults.append(f"{kind}, {how} ({number}): {type(error).__name__}: {error}")
        outcome.figures[f"{kind}_refused"] = refused / n
    for size in (1 << 30, 1 << 32)[: 1 if n < 100 else 2]:
        _bomb(work / "bomb.npz", size)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        outcome.trials += 1
        try:
            load_state(work / "bomb.npz", "curriculum")
            outcome.faults.append("a zip bomb is unpacked")
        except EdgewiseError:
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            outcome.figures["bomb_mb"] = max(grown, outcome.figures.get("bomb_mb", 0.0))
            if grown > 100:
                outcome.faults.append(f"a zip bomb of {size} bytes takes {grown:.0f} MB")
    return outcome


# --- processes, threads, clocks, environments ------------------------------------------------------------------------------


@trial("threads", full=40, fast=4)
def threads(n: int, work: Path) -> Outcome:
    """Eight threads select, observe, forget, save and read one curriculum."""
    outcome = Outcome(0)
    for number in range(n):
        method = ("edge", "mopps", "dps", "uniform")[number % 4]
        pool = ew.PromptPool(range(500), [f"c{i % 5}" for i in range(500)])
        curriculum = ew.Curriculum(pool, method, rollouts=4, gates=["informative"] if number % 2 else None)
        seen: list[str] = []
        held, guard = set(), threading.Lock()

        def worker(seed: int, curriculum: ew.Curriculum = curriculum, held: set = held, guard: Any = guard) -> None:
            rng = np.random.default_rng(seed)
            try:
                for _ in range(20):
                    batch = curriculum.select(4)
                    with guard:
                        if held & set(batch.rows.tolist()):
                            seen.append("a prompt was selected twice")  # noqa: B023
                        held.update(batch.rows.tolist())
                    curriculum.metrics()
                    with guard:
                        held.difference_update(batch.rows.tolist())
                    if rng.random() < 0.2:
                        curriculum.forget(batch)
                    else:
                        curriculum.observe(batch, rng.random((4, 4)) < 0.5)
            except Exception as error:
                seen.append(f"{type(error).__name__}: {error}")  # noqa: B023

        crowd = [threading.Thread(target=worker, args=(seed,)) for seed in range(8)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
        outcome.trials += 1
        if len(curriculum.in_flight) or not np.isfinite(curriculum.predict()).all():
            seen.append("prompts stay in flight, or predictions are NaN")
        outcome.faults += [f"{method}: {line}" for line in seen]
    return outcome


@trial("clock", full=20, fast=4)
def clock(n: int, work: Path) -> Outcome:
    """The wall clock jumps by days in both directions between the steps of a loop: nothing depends on it."""
    outcome, chance, now = Outcome(0), random.Random(4), time.time
    for number in range(n):
        for name in ("still", "jumping"):
            (work / f"{name}-{number}").mkdir()
        in_child(lambda: _loop(work / f"still-{number}", "edge", 6))  # noqa: B023

        def jumping(folder: Path = work / f"jumping-{number}") -> None:
            time.time = lambda: now() + chance.uniform(-1e7, 1e7)
            _loop(folder, "edge", 6)

        outcome.trials += 1
        if in_child(jumping) != DONE or _selected(work / f"still-{number}") != _selected(work / f"jumping-{number}"):
            outcome.faults.append("a jump of the clock changes a run")
    return outcome


@trial("paths", full=8, fast=8)
def paths(n: int, work: Path) -> Outcome:
    """Folders with spaces, other scripts, line breaks and 250 characters; no home directory."""
    outcome = Outcome(0)
    for name in ("with spaces", "ünïcödé 提示", "x" * 250, "-dash", "a'b\"c", "new\nline", "%s{}$HOME", ".hidden"):
        folder = work / name
        folder.mkdir()

        def everything(folder: Path = folder) -> None:
            os.environ["HOME"] = "/nonexistent"
            _loop(folder, "edge", 2)
            for file, write in _writers().values():
                write(folder / file)
            Trace.load(folder / "trace.npz")

        outcome.trials += 1
        if in_child(everything) != DONE:
            outcome.faults.append(f"a folder named {name[:20]!r} does not work")
    return outcome


@trial("environments", full=6, fast=0)
def environments(n: int, work: Path) -> Outcome:
    """The user program under -O, with warnings as errors, in a locale that is not UTF-8, and without a home directory."""
    import subprocess

    outcome = Outcome(0)
    plain = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": f"{ROOT / 'src'}", "OMP_NUM_THREADS": "1"}
    latin = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    for flags, more in (
        ([], {}),
        (["-O"], {}),
        (["-W", "error"], {}),
        (["-X", "warn_default_encoding", "-W", "error"], {}),
        ([], latin),
        ([], {"HOME": "/nonexistent", "TMPDIR": str(work)}),
    ):
        command = [sys.executable, *flags, str(ROOT / "tools" / "outside" / "program.py")]
        done = subprocess.run(command, env=plain | more, cwd=work, capture_output=True, text=True, check=False)
        outcome.trials += 1
        if done.returncode:
            outcome.faults.append(f"{' '.join(flags) or more}: {done.stderr.strip().splitlines()[-1:]}")
    return outcome


@trial("two-processes", full=10, fast=0)
def two_processes(n: int, work: Path) -> Outcome:
    """A second process on a run folder is refused while the first one works, and not after the first was killed."""
    from edgewise.lab.run.folder import run_folder

    outcome = Outcome(0)
    for number in range(n):
        folder = work / f"run-{number}"
        ready, go = os.pipe(), os.pipe()

        def first(folder: Path = folder, ready: tuple[int, int] = ready, go: tuple[int, int] = go) -> None:
            with run_folder(folder, _Settings()):
                (folder / "metrics.jsonl").write_text("{}\n", "utf-8")
                os.write(ready[1], b"x")
                os.read(go[0], 1)

        child = os.fork()
        if child == 0:
            try:
                first()
            finally:
                os._exit(0)
        os.read(ready[0], 1)

        def second(folder: Path = folder) -> None:
            with run_folder(folder, _Settings()):
                pass

        outcome.trials += 1
        if in_child(second) != FAILED:
            outcome.faults.append("a second process works in the folder")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for descriptor in (*ready, *go):
            os.close(descriptor)
        if in_child(second) != DONE:
            outcome.faults.append("the lock of a killed process is not freed")
    return outcome


@dataclass(frozen=True)
class _Settings:
    steps: int = 1


# --- verifiers ---------------------------------------------------------------------------------------------------------------


@trial("verifiers", full=100_000, fast=0)
def verifiers(n: int, work: Path) -> Outcome:
    """n fuzzed completions for each verifier: a verdict on every one, in bounded time, never correct with a wrong answer."""
    from edgewise.tasks import make_task

    outcome = Outcome(0)
    settings: dict[str, dict[str, Any]] = {
        "opgraph": {},
        "countdown": {},
        "gsm_infinite": {"op": (3, 5)},
        "school": {},
        "geometry": {},
    }
    for name, difficulty in settings.items():
        task, chance = make_task(name), random.Random(5)
        problems = task.problems(20, 11, **difficulty)
        slowest, right = 0.0, 0
        for _ in range(n):
            problem = chance.choice(problems)
            other = chance.choice([p for p in problems if p.answer.strip() != problem.answer.strip()])
            wrong, text = _fuzzed(problem, other, chance)
            began = time.process_time()
            try:
                verdict = task.verify(problem, text)
            except Exception as error:
                outcome.faults.append(f"{name}: {type(error).__name__} on {text[:60]!r}")
                continue
            slowest = max(slowest, time.process_time() - began)
            right += verdict.correct
            if wrong and verdict.correct and name != "countdown":
                outcome.faults.append(f"{name}: a wrong answer is correct: {text[-80:]!r}")
        outcome.trials += n
        outcome.figures[f"{name}_slowest_ms"] = round(1000 * slowest, 1)
        outcome.figures[f"{name}_correct"] = right / n
        if slowest > 5:
            outcome.faults.append(f"{name}: a verdict took {slowest:.1f} s of CPU")
    return outcome


SYMBOLS = "0123456789+-*/=.,()[]{}<>\\$%^_ \n\tabcxyz;:!?#é٣−\U0001d7d8\x00\ud83d"


def _fuzzed(problem: Any, other: Any, chance: random.Random) -> tuple[bool, str]:
    """A completion, and whether it is wrong by construction: the solution or the answer of another problem."""
    gold, kind = problem.solution or problem.answer, chance.randrange(7)
    if kind == 0:
        return True, other.solution or other.answer
    if kind == 1:
        form = chance.choice(("{}", "<answer>{}</answer>", "\\boxed{{{}}}", "#### {}", "The answer is {}."))
        return True, form.format(other.answer)
    if kind == 2:
        at = chance.randrange(len(gold))
        return False, gold[:at] + chance.choice(SYMBOLS) + gold[at + chance.randrange(2) :]
    if kind == 3:
        return False, gold[: chance.randrange(len(gold))]
    if kind == 4:
        words = gold.split(" ")
        chance.shuffle(words)
        return False, " ".join(words)
    if kind == 5:
        return False, "".join(chance.choice(SYMBOLS) for _ in range(chance.choice((1, 10, 100, 1000))))
    return False, gold * chance.choice((2, 10)) + chance.choice(SYMBOLS) * chance.choice((1, 1000))


# --- soak --------------------------------------------------------------------------------------------------------------------


@trial("soak", full=4000, fast=0)
def soak(n: int, work: Path) -> Outcome:
    """n asynchronous policy steps over a million prompts, a tenth of the groups lost or late: cost and memory are flat."""
    outcome = Outcome(0)
    size = 1_000_000 if n > 1000 else 50_000
    for method in ("edge", "mopps"):
        pool = ew.PromptPool(range(size), np.arange(size) % 20)
        curriculum = ew.Curriculum(pool, method, rollouts=8, seed=0)
        rng, waiting = np.random.default_rng(0), []
        marks: list[tuple[float, float]] = []
        for step in range(n):
            if step % (n // 8) == 0:
                marks.append((time.process_time(), _resident()))
            waiting.append(curriculum.select(64))
            if len(waiting) > 3:
                batch = waiting.pop(0)
                fate = rng.random()
                if fate < 0.05:
                    curriculum.forget(batch)
                elif fate < 0.1:
                    curriculum.forget(batch)
                    curriculum.observe(batch, rng.random((64, 8)) < 0.5)
                else:
                    curriculum.observe(batch, rng.random((64, 8)) < (batch.rows % 100 / 99)[:, None])
            curriculum.advance()
        marks.append((time.process_time(), _resident()))
        outcome.trials += n
        spent = [1000 * 8 * (after[0] - before[0]) / n for before, after in itertools.pairwise(marks[1:])]
        # The first eighth warms caches; prompts seen grow by 64 a step, and so may a step's work, up to the pool.
        outcome.figures[f"{method}_ms_second_eighth"] = round(spent[0], 3)
        outcome.figures[f"{method}_ms_last_eighth"] = round(spent[-1], 3)
        outcome.figures[f"{method}_mb_grown"] = round(marks[-1][1] - marks[1][1], 1)
        if marks[-1][1] - marks[1][1] > 20 + 1e-4 * 64 * n * 2:
            outcome.faults.append(f"{method}: memory grows: {marks[1][1]:.0f} MB, {marks[-1][1]:.0f} MB")
        if spent[-1] > 3 * spent[0]:
            outcome.faults.append(f"{method}: a step costs {spent[0]:.2f} ms, then {spent[-1]:.2f} ms")
    return outcome


def _resident() -> float:
    """Resident memory, MB."""
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * resource.getpagesize() / 2**20


def attempt(name: str, n: int | None = None) -> Outcome:
    """One trial in a folder of its own, n times (None: at full scale)."""
    function, full, _ = TRIALS[name]
    folder = Path(tempfile.mkdtemp(prefix="reliability-"))
    try:
        return function(full if n is None else n, folder)
    finally:
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TRIALS)}")
    parser.add_argument("--fast", action="store_true", help="a few of each; nothing is recorded")
    parser.add_argument("--n", type=int, help="number of trials instead of the full one")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(TRIALS))
    if unknown:
        parser.error(f"no trial {unknown[0]}; there are {', '.join(TRIALS)}")
    failed = False
    for name in options.names or TRIALS:
        function, _, fast = TRIALS[name]
        if options.fast and not fast:
            continue
        began = time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        outcome = attempt(name, fast if options.fast else options.n)
        seconds = time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - began
        failed |= bool(outcome.faults)
        print(f"{name}: {outcome.trials} trials, {len(outcome.faults)} faults, {seconds:.1f} s of CPU", flush=True)
        for line in outcome.faults[:10]:
            print(f"  {line}", flush=True)
        if not options.fast:
            keep(name, function, outcome, seconds)
    sys.exit(failed)


def keep(name: str, function: Trial, outcome: Outcome, seconds: float) -> None:
    """Record an outcome; those of other trials stay."""
    path = ROOT / "docs" / "results" / "reliability.json"
    values = json.loads(path.read_text("utf-8"))["values"] if path.exists() else {}
    values[name] = {
        "what": (function.__doc__ or "").strip(),
        "trials": outcome.trials,
        "faults": len(outcome.faults),
        "first_faults": outcome.faults[:5],
        "figures": outcome.figures,
        "cpu_seconds": round(seconds, 1),
    }
    record(ROOT, "reliability", values, "python -m tools.reliability")
    page = ROOT / "docs" / "reliability.md"
    page.write_text(with_table(page.read_text("utf-8"), values), "utf-8")


BEGIN, END = "<!-- trials -->\n", "<!-- end of trials -->"


def with_table(page: str, values: dict[str, Any]) -> str:
    """The page with the table of recorded results between its two marks."""
    rows = ["| trial | tried | faults left | figures |", "|---|---|---|---|"]
    for name in (name for name in TRIALS if name in values):
        found = values[name]
        figures = ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in found["figures"].items())
        what = found["what"].split("\n")[0]
        rows.append(f"| `{name}`: {what} | {found['trials']:,} | {found['faults']} | {figures} |")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n" + "\n".join(rows) + f"\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    main()
