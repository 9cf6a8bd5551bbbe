"""Verification of a solution against the gold graph, by one of two rules.

| rule | a gold node counts if it is defined, by name, with |
|---|---|
| `strict` | the gold parents, the gold operation, the numbers that the letters stand for, true lines of work and the gold value; in reverse problems the solving for x is one more step |
| `published` | the gold parents and the gold value (arXiv 2512.07783) |

Both demand every gold node and the answer; other nodes are allowed; a node that is defined twice has to be right twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Literal

from edgewise.tasks.base import Verdict
from edgewise.tasks.gsm_infinite.answer import unit_words
from edgewise.tasks.gsm_infinite.solution import Solution, Step, read

Rule = Literal["strict", "published"]
RULES: tuple[Rule, ...] = ("strict", "published")


def verify(gold: str, answer: int, completion: str, *, rule: Rule = "strict", units: Collection[str] = ()) -> Verdict:
    """The verdict on a completion.

    The reason is "no answer", or the first failure in the gold order: "missing node", "wrong parent", "wrong arithmetic" (the
    work does not yield the value), "wrong operation" (it does, by another calculation), "wrong value"; then "missing
    solving", "wrong solving", "wrong answer". Of a longer text, its end of four times the gold solution is read.

    Args:
        gold: text of the gold solution.
        answer: the right answer.
        completion: any text.
        rule: "strict" or "published".
        units: words that may follow the number of the answer, besides those of the gold quantities.
    """
    wanted, words = _gold(gold)
    found = read(completion[-4 * len(gold) - 1000 :], {*units, *words})
    check = _strict_failure if rule == "strict" else _published_failure
    failures = [_failure(check, steps[0], found.steps.get(name, ())) for name, steps in wanted.steps.items()]
    if rule == "strict" and wanted.solving.equations:
        failures.append(found.solving.failure(wanted.solving))
    steps = tuple(failure is None for failure in failures)
    right = found.answer == answer
    if found.answer is None:
        return Verdict(False, 0.0, steps, "no answer")
    score = sum(steps) / len(steps) if steps and right else 0.0
    reason = next((failure for failure in failures if failure is not None), "correct" if right else "wrong answer")
    return Verdict(reason == "correct", score, steps, reason, right)


def _strict_failure(gold: Step, step: Step) -> str | None:
    if not step.follows:
        return "wrong arithmetic"
    # A quantity without parents is a number that the problem states: only its value can differ.
    if not step.substituted or (gold.parents and (step.operation is None or step.operation != gold.operation)):
        return "wrong operation"
    return None if step.value == gold.value else "wrong value"


def _published_failure(gold: Step, step: Step) -> str | None:
    return None if step.value == gold.value else "wrong value"


def _failure(check: Callable[[Step, Step], str | None], gold: Step, steps: Sequence[Step]) -> str | None:
    if not steps:
        return "missing node"
    for step in steps:
        if step.value is None:
            return "missing node"
        if step.parents != gold.parents:
            return "wrong parent"
        failure = check(gold, step)
        if failure is not None:
            return failure
    return None


@lru_cache(maxsize=4096)
def _gold(text: str) -> tuple[Solution, frozenset[str]]:
    """A gold solution, and the words of its quantities."""
    solution = read(text)
    return solution, unit_words(solution.steps)
