"""Damaged files: random mutations of every kind of file that is read."""

from __future__ import annotations

import contextlib
import io
import json
import random
import resource
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import edgewise as ew
from edgewise.checkpoint import load_state
from edgewise.errors import EdgewiseError
from edgewise.replay import Trace
from tools.numbers import ROOT
from tools.reliability.disks import small_trace, writers
from tools.reliability.kills import small_rl
from tools.reliability.trials import Outcome, trial

KINDS = ("flip", "flip", "flips", "cut", "empty", "foreign", "doubled", "zeroed", "text", "nested", "swapped", "value")


def damaged(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    """One mutation of a file: name, contents."""
    kind = chance.choice(KINDS)
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
    elif kind == "nested":
        changed = bytearray(b"[" * 100_000)
    elif kind == "value":
        return kind, _other_value(data, chance)
    else:
        half = len(data) // 2
        changed = changed[half:] + changed[:half]
    return kind, bytes(changed)


def _other_value(data: bytes, chance: random.Random) -> bytes:
    """JSON or JSON lines in which one value has become another, or is gone; other files with a byte changed."""
    odd = chance.choice([None, -1, 10**400, 1e308, float("nan"), "", "\ud800", [], {}, [[1]], True, "x" * 1000])
    try:
        lines = [json.loads(line) for line in data.decode().splitlines()] if data.count(b"\n") > 1 else []
    except ValueError:
        lines = []
    try:
        whole = lines or json.loads(data.decode())
    except (ValueError, UnicodeDecodeError):
        changed = bytearray(data)
        changed[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(changed)
    place = chance.choice(lines) if lines else whole
    while isinstance(place, dict | list) and place:
        key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
        inner = place[key]
        if isinstance(inner, dict | list) and inner and chance.random() < 0.6:
            place = inner
            continue
        if chance.random() < 0.3:
            del place[key]
        else:
            place[key] = odd
        break
    text = "".join(json.dumps(line) + "\n" for line in lines) if lines else json.dumps(whole)
    return text.encode("utf-8", "surrogatepass")


COLUMNS = ("steps", "index", "rows", "successes", "trials")
Reader = tuple[Path, tuple[str, ...], Callable[[Path], Any]]
"""A folder, names of files in it that are damaged one at a time, and a call that reads a copy of the folder."""


def core_readers(work: Path) -> dict[str, Reader]:
    """Files of the core: curricula, traces, logs."""
    from edgewise.replay.logs import open_log

    folder = work / "core"
    folder.mkdir()
    for name, (file, write) in writers().items():
        if name in ("curriculum", "trace"):
            write(folder / file)
    whole = load_state(folder / "curriculum.npz", "curriculum")
    lines = [
        {"step": s, "prompt": f"p{i}", "reward": (s + i) % 2, "completion": "x"} for s in range(9) for i in range(8)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")

    def curriculum(path: Path) -> None:
        fresh = ew.Curriculum(ew.PromptPool(range(200), [f"c{i % 4}" for i in range(200)]), "edge", rollouts=4)
        before = fresh.state_dict()
        try:
            fresh.load(path / "curriculum.npz")
        except EdgewiseError:
            if repr(fresh.state_dict()) != repr(before):
                raise AssertionError("half-loaded") from None
            raise
        if repr(fresh.state_dict()["selector"]) != repr({**whole["selector"]}):
            raise AssertionError("something else was loaded")

    def trace(path: Path) -> None:
        found, written = Trace.load(path / "trace.npz"), small_trace()
        if found.about != written.about or any(
            not np.array_equal(ours, theirs)
            for ours, theirs in [
                (found.pool.ids, written.pool.ids),
                *((getattr(found, name), getattr(written, name)) for name in COLUMNS),
            ]
        ):
            raise AssertionError("something else was loaded")

    readers: dict[str, Reader] = {
        "curriculum": (folder, ("curriculum.npz",), curriculum),
        "trace": (folder, ("trace.npz",), trace),
        "log": (folder, ("log.jsonl",), lambda path: open_log(path / "log.jsonl").poll()),
    }
    with contextlib.suppress(ImportError):
        import pyarrow as pa
        import pyarrow.parquet as parquet

        parquet.write_table(pa.Table.from_pylist(lines), folder / "log.parquet")
        readers["parquet log"] = folder, ("log.parquet",), lambda path: open_log(path / "log.parquet").poll()
    return readers


def laboratory_readers(work: Path) -> dict[str, Reader]:
    """Files of the laboratory: configurations, runs and their checkpoints, evaluations, problems, results."""
    import torch

    from edgewise.experiments.claims.config import load as load_claim
    from edgewise.experiments.claims.page import place, read
    from edgewise.experiments.comparison import ComparisonConfig
    from edgewise.experiments.study.config import load_study
    from edgewise.lab.evaluation.evaluation import ExamConfig, examine
    from edgewise.lab.model.checkpoints import steps_of
    from edgewise.lab.model.policy import Policy
    from edgewise.lab.rl.config import RLConfig
    from edgewise.lab.rl.trainer import Trainer
    from edgewise.lab.run.config import from_dict, read_yaml, write_yaml
    from edgewise.lab.run.folder import load_policy
    from edgewise.report.page import write
    from edgewise.tasks import make_task
    from edgewise.tasks.gsm_infinite.context import load_context
    from edgewise.tasks.gsm_infinite.files import load_problems

    torch.set_num_threads(1)
    run = work / "run"
    small_rl(run)
    config = from_dict(RLConfig, read_yaml(run / "config.yaml"))
    before, newest = steps_of(run / "checkpoints")[-2:]
    weights = {path.name: Policy.load(path).model.state_dict() for path in (newest, before)}

    def resumed(folder: Path) -> None:
        trainer = Trainer(config, folder)
        trainer.resume()
        found = weights[f"step_{trainer.step:06d}"]
        if not all(torch.equal(value, found[name]) for name, value in trainer.policy.model.state_dict().items()):
            raise AssertionError(f"the weights are not those of step {trainer.step}")

    comparison = work / "comparison"
    for method in ("uniform", "edge"):
        shutil.copytree(run, comparison / method / "seed_0", ignore=shutil.ignore_patterns("checkpoints"))
    write_yaml(comparison / "config.yaml", ComparisonConfig(("uniform", "edge"), (0,), config, placebo=False))
    write(comparison)
    evaluation = work / "evaluation"
    exam = ExamConfig(
        base="opgraph", problems=8, samples=2, k=(1, 2), max_new_tokens=4, chunk=8, difficulty={"op": [1, 2]}
    )
    examine(exam, evaluation)
    files = work / "files"
    files.mkdir()
    shutil.copy(ROOT / "src/edgewise/experiments/study/studies/E1.yaml", files / "E1.yaml")
    shutil.copy(next((ROOT / "configs/rl").glob("*.yaml")), files / "rl.yaml")
    shutil.copy(ROOT / "src/edgewise/tasks/gsm_infinite/contexts/zoo.json", files / "context.json")
    rows = [{"problem": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(30)]
    (files / "math.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    _problem_file(files / "gsm.jsonl")
    study = load_claim("C2", "laptop")
    kept = place(files, study.name, study.scale)
    kept.parent.mkdir(parents=True)
    source = place(ROOT / "docs", study.name, study.scale)
    readers: dict[str, Reader] = {
        "journal": (
            run,
            ("metrics.jsonl", "evals.jsonl", "samples.jsonl"),
            lambda folder: Trainer(config, folder).resume(),
        ),
        "checkpoint": (run, tuple(f"checkpoints/{newest.name}/{path.name}" for path in newest.iterdir()), resumed),
        "report": (
            run,
            ("metrics.jsonl", "evals.jsonl", "samples.jsonl", "summary.json", "config.yaml"),
            write,
        ),
        "comparison": (
            comparison,
            (
                "config.yaml",
                "summary.json",
                *(f"edge/seed_0/{name}" for name in ("metrics.jsonl", "evals.jsonl", "summary.json")),
            ),
            write,
        ),
        "run folder": (run, ("config.yaml", "origin.json", "metrics.jsonl", "summary.json"), small_rl),
        "model": (
            newest,
            tuple(
                path.name
                for path in newest.iterdir()
                if path.stem not in ("checksums", "state", "optimizer", "curriculum")
            ),
            lambda folder: load_policy(str(_without_checksums(folder))),
        ),
        "evaluation": (
            evaluation,
            ("rollouts.jsonl", "config.yaml", "origin.json"),
            lambda folder: examine(exam, folder),
        ),
        "study": (files, ("E1.yaml",), lambda folder: load_study(str(folder / "E1.yaml"))),
        "config": (files, ("rl.yaml",), lambda folder: from_dict(RLConfig, read_yaml(folder / "rl.yaml"))),
        "context": (files, ("context.json",), lambda folder: load_context.__wrapped__(str(folder / "context.json"))),
        "problems": (files, ("gsm.jsonl",), lambda folder: load_problems(folder / "gsm.jsonl")),
        "mathematics": (
            files,
            ("math.jsonl",),
            lambda folder: make_task("math", train=str(folder / "math.jsonl"), grader="plain").problems(3, 1),
        ),
    }
    if source.exists():
        shutil.copy(source, kept)
        readers["claim"] = files, (str(kept.relative_to(files)),), lambda folder: read(folder, study)
    return readers


def _problem_file(path: Path) -> None:
    """A file of GSM-Infinite's form."""
    problem = {
        "op": 2,
        "mode": "forward",
        "context": "zoo",
        "problem": "The number of adult lion in North Park equals 3. The number of adult bear in North Park equals 2 plus the"
        " number of adult lion in North Park.",
        "question": "What is the number of adult bear in North Park?",
        "solution": "Define adult lion in North Park as a; so a = 3. Define adult bear in North Park as b; so b = 2 + a = 2 + 3 ="
        " 5. Answer: 5.",
    }
    path.write_text((json.dumps(problem) + "\n") * 6, "utf-8")


def _without_checksums(folder: Path) -> Path:
    (folder / "checksums.json").unlink(missing_ok=True)
    return folder


@trial("mutations", full=200, fast=6)
def mutations(n: int, work: Path) -> Outcome:
    """n mutations of every kind of file that is read: an error of ours or the whole contents, in bounded time and memory."""
    outcome, chance = Outcome(0), random.Random(3)
    warnings.simplefilter("ignore")
    slowest = 0.0
    for kind, (folder, names, load) in {**core_readers(work), **laboratory_readers(work)}.items():
        refused = 0
        for number in range(n):
            copy = work / "copy"
            shutil.copytree(folder, copy)
            path = copy / names[number % len(names)]
            how, changed = damaged(path.read_bytes(), chance)
            path.write_bytes(changed)
            outcome.trials += 1
            began = time.process_time()
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    load(copy)
            except EdgewiseError:
                refused += 1
            except Exception as error:
                outcome.faults.append(
                    f"{kind}, {path.name}, {how} ({number}): {type(error).__name__}: {str(error)[:150]}"
                )
            slowest = max(slowest, time.process_time() - began)
            shutil.rmtree(copy)
        outcome.figures[f"{kind}_refused"] = refused / n
    outcome.figures["slowest_s"] = round(slowest, 1)
    if slowest > 20:
        outcome.faults.append(f"a damaged file took {slowest:.0f} s")
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
