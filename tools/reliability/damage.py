"""Damaged files: a random mutation of each kind of file that is read."""

from __future__ import annotations

import random
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import edgewise as ew
from edgewise.checkpoint import load_state
from edgewise.errors import EdgewiseError
from edgewise.replay import Trace
from tools.numbers import ROOT
from tools.reliability.disks import writers
from tools.reliability.trials import Outcome, trial


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
        changed += data
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

    for name, (file, write) in writers().items():
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
