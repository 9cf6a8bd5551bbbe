"""Threads, processes, clocks, folders and interpreters around a run."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import edgewise as ew
from edgewise.replay import Trace
from tools.numbers import ROOT
from tools.reliability.disks import writers
from tools.reliability.kills import loop, selected
from tools.reliability.trials import DONE, FAILED, Outcome, in_child, trial


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
        in_child(lambda: loop(work / f"still-{number}", "edge", 6))  # noqa: B023

        def jumping(folder: Path = work / f"jumping-{number}") -> None:
            time.time = lambda: now() + chance.uniform(-1e7, 1e7)
            loop(folder, "edge", 6)

        outcome.trials += 1
        if in_child(jumping) != DONE or selected(work / f"still-{number}") != selected(work / f"jumping-{number}"):
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
            loop(folder, "edge", 2)
            for file, write in writers().values():
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


@trial("two-processes", full=10, fast=2)
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
