"""Judges a solution against the gold graph: names, parents, values, arithmetic and the answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from edgewise.tasks.base import Verdict
from edgewise.tasks.gsm_infinite.solution import Solution, Step, read


def judge(gold: str, answer: int, completion: str) -> Verdict:
    """The verdict on a completion, given the text of the gold solution and the answer.

    A gold node counts if it is defined, by name, with the gold parents and value, and its operation really yields that value
    from what was written before. Where it is defined more than once, each definition must be right. Other nodes are
    allowed. Strictly correct: every gold node and the answer. Text beyond four times the gold solution is not read.

    The reason is "no answer", or the first failure in the gold order: "missing node", "wrong parent", "wrong arithmetic",
    "wrong value", then "wrong answer".
    """
    wanted = _gold(gold).steps
    found = read(completion[: 4 * len(gold) + 1000])
    failures = [_failure(steps[0], found.steps.get(name, ())) for name, steps in wanted.items()]
    steps = tuple(failure is None for failure in failures)
    right = found.answer == answer
    if found.answer is None:
        return Verdict(False, 0.0, steps, "no answer")
    score = sum(steps) / len(steps) if right else 0.0
    reason = next((failure for failure in failures if failure is not None), "correct" if right else "wrong answer")
    return Verdict(reason == "correct", score, steps, reason, right)


def _failure(gold: Step, steps: Sequence[Step]) -> str | None:
    if not steps:
        return "missing node"
    for step in steps:
        if step.value is None:
            return "missing node"
        if step.parents != gold.parents:
            return "wrong parent"
        if not step.follows:
            return "wrong arithmetic"
        if step.value != gold.value:
            return "wrong value"
    return None


@lru_cache(maxsize=4096)
def _gold(text: str) -> Solution:
    return read(text)
