"""The evaluation of a checkpoint on held-out problems: pass@k curves with intervals, failure modes and likelihood by slice.

A slice is all problems, a named range of op, or one value of op, context or mode. Strict and outcome stand side by side:
strict asks for every step and the answer, outcome for the answer alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from edgewise.checkpoint import write_atomic, write_json
from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.lab.evaluation.likelihood import Likelihood, solution_likelihood
from edgewise.lab.evaluation.pictures import check_pictures
from edgewise.lab.evaluation.rollouts import CHUNK, Rolled, Roller, chunks_of, own_generator, sorted_labels
from edgewise.lab.model.memory import enough_memory
from edgewise.lab.model.policy import Policy, PromptFormat
from edgewise.lab.model.vision import data_uri
from edgewise.lab.run.config import GREEDY, Count, Range, Seed, Size, validate
from edgewise.lab.run.folder import load_policy, run_folder
from edgewise.lab.run.journal import Journal, read
from edgewise.lab.run.parallel import World, find_device
from edgewise.lab.run.problems import TaskConfig, draw_problems
from edgewise.statistics import pass_curve
from edgewise.tasks import Problem
from edgewise.tasks.base import check_difficulty, guessing_floor

Progress = Callable[[int, int], None]
KINDS = ("strict", "outcome")
Level = Annotated[float, Range(0.5, 0.9999)]


@dataclass(frozen=True)
class ExamConfig:
    """Settings of an evaluation."""

    base: str = ""
    """The checkpoint: a folder, or the name of a shipped one."""
    task: TaskConfig | None = None
    """{name, options}: the task, for a base that is a pretrained model; null: the base's own."""
    prompts_format: PromptFormat | None = None
    """{chat, system, stop}: form of the prompts of a pretrained model; null: the base's own."""
    difficulty: dict[str, Any] = field(default_factory=dict)
    """Difficulty settings of the task."""
    problems: Count = 500
    samples: Count = 16
    """Rollouts of each problem; pass@k is estimated for k = 1 .. samples."""
    k: tuple[Count, ...] = (1, 4, 16)
    """Values of k that tables show."""
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Named ranges of op, both ends included: {ID: [2, 10], edge: [11, 14], hard: [15, 20]}."""
    by: tuple[str, ...] = ("op", "context", "mode")
    """Properties of problems to slice by; those that a task does not have are left out."""
    temperature: Annotated[float, Range(0, 1e3)] = 1.0
    """0: the most likely tokens, of which one rollout a problem is all there is."""
    max_new_tokens: Count = 32
    seed: Seed = 1
    chunk: Count = CHUNK
    """Completions at a time."""
    level: Level = 0.95
    """Coverage of intervals over problems."""
    readable: Size = 12
    """Rollouts kept as text, at most."""
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    """"cpu", "cuda" or "auto": the GPU if there is one. Small models are faster on a CPU."""

    def __post_init__(self) -> None:
        validate(self)
        check_difficulty(self.difficulty)
        if 0 < self.temperature < GREEDY:
            raise ConfigError(
                f"temperature must be 0 or at least {GREEDY:g}, got {self.temperature:g}: below it rollouts are greedy up to"
                " rounding; set temperature: 0, samples: 1 and k: [1]"
            )
        if self.temperature == 0 and self.samples > 1:
            raise ConfigError(
                f"samples must be 1 at temperature 0, got {self.samples}: greedy rollouts of a problem are all equal, and pass@k"
                " of them is pass@1; set samples: 1 and k: [1], or a temperature above 0"
            )
        if not self.k or any(value > self.samples for value in self.k):
            given = ", ".join(map(str, self.k)) or "none"
            raise ConfigError(f"every k must lie between 1 and samples ({self.samples}), got {given}")
        for name, (first, last) in self.ranges.items():
            if first > last:
                raise ConfigError(f"the range {name} must be [first, last] op, got [{first}, {last}]")


@dataclass(frozen=True)
class Counts:
    """What was rolled out, by problem: (problems,) each."""

    problems: list[Problem]
    trials: int
    successes: dict[str, npt.NDArray[np.int64]]
    """By kind: strict and outcome."""
    reasons: list[dict[str, int]]
    likelihood: Likelihood


def examine(config: ExamConfig, out: Path | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Evaluate `config.base`; with a folder, goes on where it was stopped and leaves evaluation.json there.

    Args:
        out: rollouts.jsonl (counts and texts, a line a chunk), problems.jsonl (counts a problem) and evaluation.json.
        progress: told (problems done, problems).

    Returns:
        the content of evaluation.json: settings, `k` 1..samples, `slices` by property and value, each with `problems`,
        `strict` and `outcome` (`mean`, `low`, `high` over k), `reasons`, `nll` in nats a token of gold solution and the
        `guessing_floor`; `texts` one can read; and `pictures`, where problems have some: the accuracy on `problems` of them
        with their pictures and, for comparison, with blank ones.
    """
    policy, device = load_policy(config.base, config.task, config.prompts_format), find_device(config.device)
    policy.model.to(device)
    problems = draw_problems(policy.task, config.problems, config.seed, "eval", config.difficulty, "problems")
    slices = _slices(problems, config)
    roller = Roller(policy, problems, config.max_new_tokens, config.temperature, World(0, 1, device))
    folder = run_folder(out, config, config.base) if out is not None else nullcontext()
    with folder, enough_memory(f"take fewer completions at a time, chunk below {config.chunk}"):
        return _evaluate(config, policy, problems, slices, roller, out, progress)


def _evaluate(
    config: ExamConfig,
    policy: Policy,
    problems: list[Problem],
    slices: dict[str, dict[str, npt.NDArray[np.int64]]],
    roller: Roller,
    out: Path | None,
    progress: Progress | None,
) -> dict[str, Any]:
    journal, done = None, {}
    if out is not None:
        journal = Journal(out / "rollouts.jsonl")
        journal.rewind(len(problems))
        done = {line["step"]: line for line in read(journal.path)} if journal.path.exists() else {}
    lines = []
    for number, rows in enumerate(chunks_of(roller, config.samples, config.chunk)):
        line = done.get(number)
        if line is not None and not _fits(line, rows, config.samples):
            raise CheckpointError(
                f"chunk {number} in {out}/rollouts.jsonl is damaged; restore the file, or delete the folder and start again"
            )
        if line is None:
            generator = own_generator(roller.here.device, config.seed, number)
            rolled = roller.roll(rows, np.full(len(rows), config.samples), generator)
            line = {"step": number, **_line(rows, rolled, config)}
            if journal is not None:
                journal.append(line)
        lines.append(line)
        if progress is not None:
            progress(sum(len(line["rows"]) for line in lines), len(problems))
    counts = _counts(problems, lines, config.samples, solution_likelihood(policy, problems))
    texts = sorted((text for line in lines for text in line["texts"]), key=lambda text: text["row"])
    result = {
        "base": config.base,
        "problems": len(problems),
        "samples": config.samples,
        "temperature": config.temperature,
        "level": config.level,
        "k": list(range(1, config.samples + 1)),
        "slices": {
            name: {value: summary(counts, rows, config) for value, rows in values.items()}
            for name, values in slices.items()
        },
        "texts": texts,
    }
    generator = torch.Generator(next(policy.model.parameters()).device).manual_seed(config.seed)
    check = check_pictures(
        policy, problems, config.max_new_tokens, config.temperature, min(config.samples, 4), generator
    )
    if check is not None:
        result["pictures"] = check.to_json()
    if out is not None:
        try:
            _write_problems(out / "problems.jsonl", counts)
            write_json(out / "evaluation.json", result)
        except OSError as error:
            raise EdgewiseError(
                f"cannot write the results to {out}: {error.strerror}; make room, and the same command goes on from the rollouts"
            ) from error
    return result


def summary(counts: Counts, rows: npt.NDArray[np.int64], config: ExamConfig) -> dict[str, Any]:
    """What is said of one slice, the problems at `rows`."""
    curves = {}
    for kind in KINDS:
        curve = pass_curve(
            counts.successes[kind][rows],
            counts.trials,
            range(1, counts.trials + 1),
            config.level,
        )
        curves[kind] = {name: getattr(curve, name).round(5).tolist() for name in ("mean", "low", "high")}
    reasons: Counter[str] = Counter()
    for row in rows:
        reasons.update(counts.reasons[row])
    likelihood = counts.likelihood
    return {
        "problems": len(rows),
        **curves,
        "reasons": dict(sorted(reasons.items())),
        "nll": float(likelihood.nats[rows].sum() / likelihood.tokens[rows].sum()),
        "guessing_floor": guessing_floor([counts.problems[row] for row in rows]),
    }


def _slices(problems: list[Problem], config: ExamConfig) -> dict[str, dict[str, npt.NDArray[np.int64]]]:
    """Rows of problems by property and value; a property that all problems share makes no slices."""
    slices = {"all": {"all": np.arange(len(problems))}}
    if config.ranges:
        ops = np.array([int(problem.meta["op"]) for problem in problems if "op" in problem.meta])
        if len(ops) < len(problems):
            raise ConfigError("ranges are ranges of op, which the problems of this task do not have; leave them out")
        ranges = {name: np.flatnonzero((first <= ops) & (ops <= last)) for name, (first, last) in config.ranges.items()}
        slices["range"] = {name: rows for name, rows in ranges.items() if len(rows)}
    columns = {
        name: [problem.meta[name] for problem in problems]
        for name in config.by
        if all(name in problem.meta for problem in problems)
    }
    if "op" not in columns:
        columns["category"] = [problem.category for problem in problems]
    for name, values in columns.items():
        labels = np.array(list(map(str, values)))
        if len(names := sorted_labels(labels)) > 1:
            slices[name] = {value: np.flatnonzero(labels == value) for value in names}
    return slices


def _line(rows: npt.NDArray[np.int64], rolled: Rolled, config: ExamConfig) -> dict[str, Any]:
    """A chunk as JSON values: counts of its rows, and the texts of the few that are read."""
    shape = (len(rows), config.samples)
    verdicts = [rolled.verdicts[begin : begin + config.samples] for begin in range(0, len(rolled.verdicts), shape[1])]
    every = -(-config.problems // max(config.readable, 1))
    texts = [
        {
            "row": int(row),
            "category": rolled.problems[i * config.samples].category,
            "prompt": rolled.problems[i * config.samples].prompt,
            "images": [data_uri(image) for image in rolled.problems[i * config.samples].images],
            "completion": rolled.completions[i * config.samples],
            "gold": rolled.problems[i * config.samples].solution,
            "reason": verdicts[i][0].reason,
        }
        for i, row in enumerate(rows.tolist())
        if config.readable and row % every == 0
    ]
    return {
        "rows": rows.tolist(),
        **{kind: rolled.rewards(kind).reshape(shape).sum(1).astype(int).tolist() for kind in KINDS},
        "reasons": [dict(Counter(verdict.reason for verdict in own)) for own in verdicts],
        "texts": texts,
    }


def _fits(line: dict[str, Any], rows: npt.NDArray[np.int64], samples: int) -> bool:
    """Whether a line of the journal holds counts of these rows."""
    if line.get("rows") != rows.tolist() or not isinstance(line.get("texts"), list):
        return False
    counts = [line.get(kind) for kind in KINDS]
    whole = all(isinstance(own, list) and len(own) == len(rows) for own in (*counts, line.get("reasons")))
    return (
        whole
        and all(type(value) is int and 0 <= value <= samples for own in counts for value in own or [])
        and all(isinstance(own, dict) and all(type(n) is int for n in own.values()) for own in line["reasons"])
        and all(isinstance(text, dict) and type(text.get("row")) is int for text in line["texts"])
    )


def _counts(problems: list[Problem], lines: list[dict[str, Any]], trials: int, likelihood: Likelihood) -> Counts:
    rows = np.concatenate([line["rows"] for line in lines]).astype(np.int64)
    successes = {kind: np.empty(len(rows), np.int64) for kind in KINDS}
    for kind in KINDS:
        successes[kind][rows] = np.concatenate([line[kind] for line in lines])
    flat = [own for line in lines for own in line["reasons"]]
    reasons = [flat[place] for place in np.argsort(rows)]
    return Counts(problems, trials, successes, reasons, likelihood)


def _write_problems(path: Path, counts: Counts) -> None:
    """One JSON object a problem, for comparisons of two evaluations problem by problem."""
    lines = []
    for row, problem in enumerate(counts.problems):
        own = {"id": problem.id, "category": problem.category}
        line = {
            **own,
            **{n: value for n, value in problem.meta.items() if isinstance(value, str | int | float) and n not in own},
            "trials": counts.trials,
            **{kind: int(counts.successes[kind][row]) for kind in KINDS},
            "nats": round(float(counts.likelihood.nats[row]), 5),
            "tokens": int(counts.likelihood.tokens[row]),
        }
        lines.append(json.dumps(line) + "\n")
    write_atomic(path, "".join(lines).encode())
