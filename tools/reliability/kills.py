"""Runs that end at a random moment and go on: a plain loop, `edgewise rl`, `pretrain` and `demo`, and TRL."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import edgewise as ew
from tools.numbers import ROOT
from tools.reliability.trials import DONE, ENDED, FAILED, Outcome, cpu_of, in_child, trial


def rewards(step: int, rows: np.ndarray) -> np.ndarray:
    return np.random.default_rng([step, 7]).random((len(rows), 4)) < (rows % 10 / 9)[:, None]


def loop(folder: Path, method: str, steps: int) -> None:
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
                curriculum.observe(batch, rewards(curriculum.steps, batch.rows))
        curriculum.save(path)


def selected(folder: Path) -> dict[int, list[str]]:
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
            whole[method] = cpu_of(lambda folder=folder, method=method: loop(folder, method, 12)), selected(folder)
        seconds, expected = whole[method]
        folder = work / f"killed-{run}"
        folder.mkdir()
        for _ in range(40):
            status = in_child(lambda: loop(folder, method, 12), max(chance.uniform(0.05, 1.0) * seconds, 0.002))  # noqa: B023
            outcome.trials += status == ENDED
            if status != ENDED:
                break
        if in_child(lambda: loop(folder, method, 12)) != DONE:  # noqa: B023
            outcome.faults.append(f"{method}: the run cannot be resumed")
        elif selected(folder) != expected:
            outcome.faults.append(f"{method}: the resumed run selected other prompts")
        if list(folder.glob("*.npz")) != [folder / "curriculum.npz"]:
            outcome.faults.append(f"{method}: files are left")
    return outcome


def _training(name: str, work: Path, n: int, train: Callable[[Path], Any]) -> Outcome:
    """A run of the laboratory, killed n times: its selections, results and weights are those of the run that was not."""
    import torch

    torch.set_num_threads(1)
    outcome, chance = Outcome(0), random.Random(1)
    whole = work / "whole"
    seconds = cpu_of(lambda: train(whole))
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
        outcome.faults += [f"{name}: {part} differs" for part in differing(expected, contents(folder))]
        shutil.rmtree(folder)
    return outcome


CLOCKS = {"seconds", "select_seconds", "tokens_per_second"}


def contents(folder: Path) -> dict[str, Any]:
    """What a run left, by part: the weights of its newest checkpoint, and its journals without their clocks."""
    from edgewise.lab.model.checkpoints import steps_of

    newest = steps_of(folder / "checkpoints")[-1]
    found: dict[str, Any] = {"checkpoint": newest.name, "weights": (newest / "model.safetensors").read_bytes()}
    for path in sorted(folder.glob("*.jsonl")):
        lines = map(json.loads, path.read_text("utf-8").splitlines())
        found[path.name] = [{key: value for key, value in line.items() if key not in CLOCKS} for line in lines]
    return found


def differing(expected: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Parts that are not what they should be."""
    return sorted(part for part in expected.keys() | now.keys() if now.get(part) != expected.get(part))


def small_rl(folder: Path) -> None:
    """A run of RL of half a second, every part of a run in it."""
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
    train(config, folder)


def small_pretrain(folder: Path) -> None:
    """A run of pre-training of half a second."""
    from edgewise.lab.model import ModelConfig
    from edgewise.lab.run.pretrain import PretrainConfig, pretrain

    model = ModelConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, max_position_embeddings=48)
    config = PretrainConfig(
        task="opgraph", difficulty={"op": [1, 2]}, model=model, steps=12, tokens=128, learning_rate=1e-3, save_every=3
    )
    pretrain(config, folder)


@trial("kill-rl", full=50, fast=0)
def kill_rl(n: int, work: Path) -> Outcome:
    """`edgewise rl` is killed at a random instruction; selections, evaluations, samples and weights are those of the whole run."""
    from edgewise.lab.rl import trainer  # noqa: F401  (loaded once, not in every child)

    return _training("rl", work, n, small_rl)


@trial("kill-pretrain", full=50, fast=0)
def kill_pretrain(n: int, work: Path) -> Outcome:
    """`edgewise pretrain` is killed at a random instruction; losses and weights are those of the whole run."""
    from edgewise.lab.run import pretrain  # noqa: F401  (loaded once, not in every child)

    return _training("pretrain", work, n, small_pretrain)


@trial("kill-demo", full=50, fast=0)
def kill_demo(n: int, work: Path) -> Outcome:
    """`edgewise demo` is killed at a random moment, its parent, its worker or both; the same command goes on to the same runs."""
    outcome, chance = Outcome(0), random.Random(6)
    options = [
        "--steps",
        "4",
        "--seeds",
        "1",
        "--methods",
        "uniform",
        "edge",
        "--no-placebo",
        "--workers",
        "1",
        "--no-show",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}

    def start(out: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from edgewise.cli import main; main()", "demo", *options, "--out", str(out)]
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(out: Path) -> str:
        """Go on to the end; a worker whose parent was killed may hold its run for a moment. The last line of an error."""
        said = ""
        for _ in range(30):
            process = start(out)
            said = process.communicate()[1].strip()
            if process.returncode == 0:
                return ""
            if "works in" not in said:
                break
            time.sleep(1)
        return said.splitlines()[-1] if said else f"exit status {process.returncode}"

    def runs(out: Path) -> dict[str, Any]:
        return {
            f"{path.parent.name}: {part}": value for path in out.glob("*/*") for part, value in contents(path).items()
        }

    began = time.monotonic()
    if said := finish(work / "whole"):
        raise SystemExit(f"the uninterrupted demo failed: {said}")
    seconds, expected = time.monotonic() - began, runs(work / "whole")
    for run in itertools.count():
        if outcome.trials >= n:
            return outcome
        folder = work / f"run-{run}"
        for _ in range(6):
            process = start(folder)
            try:
                process.communicate(timeout=chance.uniform(0.1, 1.0) * seconds)
            except subprocess.TimeoutExpired:
                victims = chance.choice(["all", "all", "parent", "worker"])
                workers = _children(process.pid)
                for victim in {"all": [process.pid, *workers], "parent": [process.pid], "worker": workers}[victims]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                said = process.communicate()[1]
                outcome.trials += 1
                # Whose worker was killed says so; it does not end as if all was well, nor in a traceback.
                if victims == "worker" and process.returncode and "Traceback" in said:
                    outcome.faults.append(f"the death of a worker ends in a traceback: {said.splitlines()[-1]}")
            else:
                break
        if said := finish(folder):
            outcome.faults.append(f"the demo cannot be resumed: {said}")
        else:
            outcome.faults += [f"{part} differs" for part in differing(expected, runs(folder))]
        shutil.rmtree(folder)


def _children(parent: int) -> list[int]:
    """Workers below a process. Python's own tracker of resources is left alone: without it the parent prints a traceback of Python's."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text("utf-8", "replace").rpartition(")")[2].split()[1]) == parent:
                worker = b"resource_tracker" not in (stat.parent / "cmdline").read_bytes()
                found += [int(stat.parent.name)] * worker + _children(int(stat.parent.name))
    return found


@trial("kill-trl", full=50, fast=0)
def kill_trl(n: int, work: Path) -> Outcome:
    """TRL's trainer is killed at a random instruction and goes on from its newest whole checkpoint; selections and weights are equal."""
    import torch

    torch.set_num_threads(1)
    train = _trl(work)
    outcome, chance = Outcome(0), random.Random(7)

    def left(folder: Path) -> dict[str, Any]:
        weights = (folder / "checkpoint-6" / "model.safetensors").read_bytes()
        return {"weights": weights, "selections": selected(folder)}

    seconds = cpu_of(lambda: train(work / "whole"))
    expected = left(work / "whole")
    for run in itertools.count():
        if outcome.trials >= n:
            return outcome
        folder = work / f"run-{run}"
        for _ in range(20):
            status = in_child(lambda: train(folder), max(chance.uniform(0.1, 1.0) * seconds, 0.01))  # noqa: B023
            outcome.trials += status == ENDED
            if status != ENDED:
                break
        if in_child(lambda: train(folder)) != DONE:  # noqa: B023
            outcome.faults.append("trl: the run cannot be resumed")
            continue
        outcome.faults += [f"trl: {part} differ" for part in differing(expected, left(folder))]
        shutil.rmtree(folder)


def _trl(work: Path) -> Callable[[Path], None]:
    """TRL's GRPO on a tiny model with a checkpoint every step: a call that begins or goes on in a folder."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from datasets import Dataset, disable_progress_bars
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, PrinterCallback
    from transformers.utils import logging
    from trl import GRPOConfig

    from edgewise.adapters.trl import EdgewiseGRPOTrainer
    from edgewise.lab.model.policy import Policy

    disable_progress_bars()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    (work / "model").mkdir()
    Policy.fresh({"name": "countdown", "options": {}}, {**sizes, "num_key_value_heads": 1}, 0).save(work / "model")
    data = Dataset.from_dict(
        {
            "prompt": [f"{1 + i % 12} {1 + i // 12} -> {1 + i} :" for i in range(40)],
            "name": [f"p{i}" for i in range(40)],
        }
    )

    def train(folder: Path) -> None:
        folder.mkdir(exist_ok=True)

        def reward(completions: list[str], name: list[str], **_: Any) -> list[float]:
            step = trainer.state.global_step + 1
            with (folder / "selected.txt").open("a", encoding="utf-8") as file:
                file.write(f"{step} {list(dict.fromkeys(name))}\n")
            return [
                float(zlib.crc32(f"{text} {own}".encode()) % 2) for text, own in zip(completions, name, strict=True)
            ]

        tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "model", padding_side="left")
        tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
        settings = GRPOConfig(
            output_dir=str(folder),
            per_device_train_batch_size=16,
            num_generations=4,
            max_completion_length=4,
            max_steps=6,
            save_strategy="steps",
            save_steps=1,
            save_total_limit=2,
            logging_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
            learning_rate=1e-3,
            seed=3,
        )
        trainer = EdgewiseGRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(work / "model"),
            reward_funcs=reward,
            args=settings,
            train_dataset=data,
            processing_class=tokenizer,
            id_column="name",
        )
        trainer.remove_callback(PrinterCallback)
        newest = _newest_whole(folder)
        # transformers makes one step more where a run is complete already.
        if newest is None or not newest.endswith("-6"):
            trainer.train(resume_from_checkpoint=newest)

    return train


def _newest_whole(folder: Path) -> str | None:
    """transformers writes trainer_state.json last, and not at once: a checkpoint without a whole one was cut short."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.partition("-")[2])):
        with contextlib.suppress(OSError, ValueError):
            json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))
            return str(checkpoint)
        shutil.rmtree(checkpoint)
    return None
