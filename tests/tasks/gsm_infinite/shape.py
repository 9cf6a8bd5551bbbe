"""What a problem looks like, measured on its text alone: the same for ours and for the original generator's."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable

import numpy as np

from edgewise.tasks import GsmInfinite, Problem
from edgewise.tasks.gsm_infinite.solution import read

MEASURES = (
    "nodes", "totals", "places", "leaves", "depth", "most used", "statements", "distractors",
    "sums", "differences", "products", "digits",
)  # fmt: skip
"""Of the gold graph: nodes, totals, places, nodes without parents, longest path, most children of a node; of the problem:
statements, stated quantities that nothing needs; per operation of the solution: + - x; mean digits of its numbers."""


def whole(problem: Problem) -> bool:
    """Whether every quantity is stated once: the original's reverse problems repeat the unknown's statement for others."""
    return problem.prompt.count(" exists, ") == (problem.meta["mode"] == "reverse")


def measure(problem: Problem) -> list[float]:
    """The MEASURES of one problem."""
    steps = {name: definitions[0] for name, definitions in read(problem.solution).steps.items()}
    depth: dict[str, int] = {}
    for name, step in steps.items():
        depth[name] = 1 + max((depth[parent] for parent in step.parents), default=-1)
    children = Counter(parent for step in steps.values() for parent in step.parents)
    totals = sum(name.startswith("total ") for name in steps)
    stated = len(re.findall(r" equals | exists, ", problem.prompt)) - (problem.meta["mode"] == "reverse")
    work = [clause.split(" = ")[1] for clause in re.findall(r"\w = [^;.]*", problem.solution.split("We know")[0])]
    signs = Counter(sign for part in work for sign in re.findall(r" ([-+*]) ", part))
    operations = sum(signs.values()) or 1
    numbers = re.findall(r"\d+", problem.prompt)
    return [
        len(steps), totals, len({name.rpartition(" in ")[2] for name in steps}),
        sum(not step.parents for step in steps.values()), max(depth.values()), max(children.values(), default=0),
        stated, stated - (len(steps) - totals),
        signs["+"] / operations, signs["-"] / operations, signs["*"] / operations,
        float(np.mean([len(number) for number in numbers])),
    ]  # fmt: skip


def by_op(problems: Iterable[Problem]) -> dict[int, np.ndarray]:
    """Measures (problems, measures) of each op."""
    rows: dict[int, list[list[float]]] = {}
    for problem in problems:
        rows.setdefault(problem.meta["op"], []).append(measure(problem))
    return {op: np.array(values) for op, values in sorted(rows.items())}


def table(path: str, per_op: int = 1000) -> str:
    """Markdown: means over the original generator's problems in a file, and over ours (contexts mixed, answers 1..4)."""
    task = GsmInfinite()
    contexts = dict.fromkeys(task.contexts, 1 / len(task.contexts))
    lines = [f"| original / ours | {' | '.join(MEASURES)} |", "|---" * (1 + len(MEASURES)) + "|"]
    for mode in ("forward", "reverse"):
        theirs = by_op(problem for problem in task.load(path) if whole(problem) and problem.meta["mode"] == mode)
        for op in (*theirs, 30, 40):
            problems = task.block(0, 0, per_op, op=(op, op), mode=mode, answers=(1, 4), context=contexts)
            ours = by_op(problems)[op].mean(0)
            known = [f"{value:.2f}" for value in theirs[op].mean(0)] if op in theirs else ["-"] * len(ours)
            cells = [f"{one} / {other:.2f}" for one, other in zip(known, ours, strict=True)]
            lines.append(f"| {mode} {op} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(sys.argv[1]))
