"""Recording of a trace for replay: the whole pool is evaluated at checkpoints of an RL run, or with given checkpoints.

    python -m edgewise.lab.rl.record CONFIG.yaml TRACE.npz

The run lives in the folder TRACE.run beside the trace; the same command goes on where it was stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from edgewise.arrays import Rows
from edgewise.checkpoint import write_atomic
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.features import hashed_features
from edgewise.lab.evaluation.rollouts import Roller, chunks_of
from edgewise.lab.rl.trainer import RLConfig, Trainer, make_problems
from edgewise.lab.run.config import Count, Seed, claim, from_dict, read_yaml, to_dict, validate
from edgewise.lab.run.folder import load_policy
from edgewise.lab.run.journal import Journal, read
from edgewise.lab.run.parallel import World, find_device
from edgewise.pool import PromptPool
from edgewise.replay import Trace
from edgewise.tasks import Problem

Progress = Callable[[int, str], None]


@dataclass(frozen=True)
class RecordConfig:
    """Settings of a recording."""

    run: RLConfig = field(default_factory=RLConfig)
    bases: tuple[str, ...] = ()
    """Checkpoints that are evaluated in this order instead of those of a run; nothing is trained then, and of `run` only task, form of
    the prompts, pool, temperature, length, precision and device are used."""
    apart: Count = 1
    """Policy steps that stand between two of `bases` in the trace, and so in its replay."""
    checkpoints: Count = 15
    """Evaluations of the whole pool, evenly spread over the run, its beginning and end included."""
    samples: Count = 32
    """Rollouts of each prompt at each of them, at the run's temperature."""
    features: Count = 32
    """Columns of hashed text features that go with the prompts."""
    chunk: Count = 2048
    """Completions at a time."""
    seed: Seed = 0
    """Of the evaluations' rollouts."""

    def __post_init__(self) -> None:
        validate(self)
        if len(self.bases) == 1:
            raise ConfigError("bases must name at least two checkpoints, or none for those of a run")
        if not self.bases and not 2 <= self.checkpoints <= self.run.steps + 1:
            raise ConfigError(f"need 2 <= checkpoints <= steps + 1, got {self.checkpoints} and {self.run.steps} steps")


def record(config: RecordConfig, out: Path, progress: Progress | None = None) -> Trace:
    """Run, evaluate, and write the trace to `out`; `progress` gets the number of checkpoints done."""
    if config.bases:
        return _record_bases(config, out, progress)
    tell = progress or _silent
    folder = out.with_suffix(".run")
    trainer = Trainer(config.run, folder / "rl")
    claim(folder, config)
    at = np.linspace(0, config.run.steps, config.checkpoints).round().astype(np.int64)

    def counts(step: int) -> Path:
        return folder / f"successes_{step:06d}.txt"

    def measure(step: int) -> None:
        done, name = int(np.searchsorted(at, step, side="right")), f"step {step}"
        if step in at:
            _measure(config, trainer.roller, step, counts(step), lambda part: tell(done - 1, f"{name}, {part}"))
        tell(done, name)

    # A stop may have fallen between a checkpoint and its evaluation.
    trainer.resume()
    measure(trainer.step)
    trainer.run(lambda line: measure(line["step"]))
    found = [counts(step) for step in at]
    return _written(config, out, trainer.problems, trainer.pool, at, found)


def _record_bases(config: RecordConfig, out: Path, progress: Progress | None) -> Trace:
    """Evaluate the pool with each of `config.bases`; finished ones are kept."""
    folder, run, tell = out.with_suffix(".run"), config.run, progress or _silent
    claim(folder, config)
    problems: list[Problem] = []
    found = []
    for step, base in enumerate(config.bases):
        policy = load_policy(base, run.task, run.prompts_format)
        here = World(0, 1, find_device(run.device))
        policy.model.to(here.device)
        problems, pool = make_problems(policy.task, run.pool)
        path = folder / f"successes_{step:06d}.txt"
        roller = Roller(policy, problems, run.max_new_tokens, run.temperature, here, bfloat16=run.bfloat16)
        _measure(config, roller, step, path, lambda part, step=step, base=base: tell(step, f"{base}, {part}"))  # type: ignore[misc]
        found.append(path)
        tell(step + 1, base)
    return _written(config, out, problems, pool, config.apart * np.arange(len(config.bases)), found)


def _measure(config: RecordConfig, roller: Roller, step: int, path: Path, tell: Callable[[str], None]) -> None:
    """Write the successes of every problem to `path`, one a line; chunks that an earlier call has done are kept."""
    if path.exists():
        return
    chunks, journal = chunks_of(roller, config.samples, config.chunk), Journal(path.with_suffix(".jsonl"))
    journal.rewind(len(chunks))
    done = {line["step"]: line["successes"] for line in read(journal.path)} if journal.path.exists() else {}
    successes = np.empty(len(roller.problems), np.int64)
    for number, rows in enumerate(chunks):
        if number not in done:
            # Own draws for each chunk of each checkpoint: what is measured does not depend on when a run was stopped.
            seed = int(np.random.SeedSequence([config.seed, step, number]).generate_state(1, np.uint64)[0] >> 1)
            generator = torch.Generator(roller.here.device).manual_seed(seed)
            rolled = roller.roll(rows, np.full(len(rows), config.samples), generator)
            done[number] = rolled.correct.reshape(len(rows), config.samples).sum(1).tolist()
            journal.append({"step": number, "successes": done[number]})
        successes[rows] = done[number]
        tell(f"{number + 1} of {len(chunks)} chunks")
    write_atomic(path, "\n".join(map(str, successes.tolist())).encode())
    journal.clear()


def _silent(done: int, words: str) -> None:
    pass


def _written(
    config: RecordConfig, out: Path, problems: list[Problem], pool: PromptPool, at: Rows, counts: list[Path]
) -> Trace:
    """The trace of success counts, a file a checkpoint, saved to `out`."""
    successes = np.stack([np.array(path.read_text("utf-8").split(), np.int64) for path in counts])
    features = hashed_features([problem.prompt for problem in problems], config.features)
    pool = PromptPool(pool.ids, [problem.category for problem in problems], features)
    about = {"source": "edgewise.lab.rl.record", "config": to_dict(config)}
    trace = Trace.from_evaluations(pool, at, successes, config.samples, about)
    trace.save(out)
    return trace


def main(arguments: list[str]) -> None:
    """The command."""
    if len(arguments) != 2:
        raise ConfigError("usage: python -m edgewise.lab.rl.record CONFIG.yaml TRACE.npz")
    from edgewise.progress import bar

    config, out = from_dict(RecordConfig, read_yaml(Path(arguments[0]))), Path(arguments[1])
    with bar("checkpoints", len(config.bases) or config.checkpoints) as progress:
        trace = record(config, out, progress)
    print(f"{out}: {trace!r}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except EdgewiseError as error:
        print(f"edgewise: {error}", file=sys.stderr)
        sys.exit(2)
