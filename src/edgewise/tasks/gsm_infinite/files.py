"""Files of the original generator: one JSON object a line with op, mode, context, problem, question and solution."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewise.errors import TaskError
from edgewise.tasks.answers import CLOSE, OPEN
from edgewise.tasks.base import Problem
from edgewise.tasks.gsm_infinite.solution import read
from edgewise.tasks.gsm_infinite.verify import verify

FIELDS = {"op": int, "mode": str, "context": str, "problem": str, "question": str, "solution": str}
SENTENCE = re.compile(r"(?<=\.) ")
NAMED = 5
"""Lines that the warning names."""


@dataclass(frozen=True)
class LeftOut:
    """A line of a file that is no usable problem: its number, from 1, and the reason."""

    line: int
    reason: str


class LoadedProblems(list[Problem]):
    """The problems of a file, and the lines that were left out."""

    left_out: tuple[LeftOut, ...] = ()


def load_problems(path: str | Path, *, strict: bool = False) -> LoadedProblems:
    """The problems of a file, each with a solution that verifies; a warning counts and names the lines left out.

    Raises:
        TaskError: the file cannot be read, no line is a problem, or, if `strict`, some line is none.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"cannot read problems from {path}: {error}") from error
    problems, left_out = LoadedProblems(), []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            problems.append(_parse(line))
        except TaskError as error:
            left_out.append(LeftOut(number, str(error)))
    problems.left_out = tuple(left_out)
    if left_out and (strict or not problems):
        first = left_out[0]
        raise TaskError(
            f"line {first.line} of {path}: {first.reason} ({len(left_out)} of the file's lines are unusable)"
        )
    if left_out:
        named = "; ".join(f"line {one.line}: {one.reason}" for one in left_out[:NAMED])
        more = f"; and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
        total = len(problems) + len(left_out)
        warnings.warn(f"{len(left_out)} of {total} problems in {path} were left out: {named}{more}", stacklevel=3)
    return problems


def make_problem(statements: list[str], question: str, solution: str, answer: str, meta: dict[str, Any]) -> Problem:
    """A problem; the order of its statements makes no difference to its key."""
    prompt = f"<question> {' '.join(statements)} {question} </question>"
    completion = f"<solution> {solution} </solution> {OPEN} {answer} {CLOSE}"
    content = "\n".join([*sorted(statements), question])
    key = hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return Problem(prompt, completion, answer, str(meta["op"]), meta, key)


def _parse(line: str) -> Problem:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TaskError(f"not JSON ({error})") from error
    if not isinstance(given, dict) or not all(isinstance(given.get(name), kind) for name, kind in FIELDS.items()):
        raise TaskError(f"not a problem with {', '.join(FIELDS)}")
    work, found, answer = given["solution"].strip().rpartition(" Answer: ")
    answer = answer.rstrip(".")
    if not found or not re.fullmatch(r"-?\d{1,30}", answer):
        raise TaskError("the solution does not end with 'Answer: NUMBER.'")
    meta = {name: given[name] for name in ("op", "mode", "context")}
    problem = make_problem(SENTENCE.split(given["problem"].strip()), given["question"].strip(), work, answer, meta)
    gold = read(problem.solution)
    if not gold.steps:
        raise TaskError("the solution defines no quantity")
    if gold.solving.equations and gold.solving.equations[0].difference[0] == 0:
        raise TaskError("the first equation of the solution does not determine x")
    if meta["mode"] == "reverse" and not gold.solving.equations:
        raise TaskError("the solution of a reverse problem has no equation in x")
    verdict = verify(problem.solution, int(answer), problem.solution)
    if not verdict.correct:
        raise TaskError(f"the solution does not verify: {verdict.reason}")
    return problem
