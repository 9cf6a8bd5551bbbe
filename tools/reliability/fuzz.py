"""Verifiers against fuzzed completions."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from tools.reliability.trials import Outcome, trial


@trial("verifiers", full=100_000, fast=200)
def verifiers(n: int, work: Path) -> Outcome:
    """n fuzzed completions for each verifier: a verdict on every one, in bounded time, never correct with a wrong answer."""
    from edgewise.tasks import make_task

    outcome = Outcome(0)
    settings: dict[str, dict[str, Any]] = {
        "opgraph": {},
        "countdown": {},
        "gsm_infinite": {"op": (3, 5)},
        "school": {},
        "geometry": {},
    }
    for name, difficulty in settings.items():
        task, chance = make_task(name), random.Random(5)
        problems = task.problems(20, 11, **difficulty)
        slowest, right = 0.0, 0
        for _ in range(n):
            problem = chance.choice(problems)
            other = chance.choice([p for p in problems if p.answer.strip() != problem.answer.strip()])
            wrong, text = _fuzzed(problem, other, chance)
            began = time.process_time()
            try:
                verdict = task.verify(problem, text)
            except Exception as error:
                outcome.faults.append(f"{name}: {type(error).__name__} on {text[:60]!r}")
                continue
            slowest = max(slowest, time.process_time() - began)
            right += verdict.correct
            if wrong and verdict.correct and name != "countdown":
                outcome.faults.append(f"{name}: a wrong answer is correct: {text[-80:]!r}")
        outcome.trials += n
        outcome.figures[f"{name}_slowest_ms"] = round(1000 * slowest, 1)
        outcome.figures[f"{name}_correct"] = right / n
        if slowest > 5:
            outcome.faults.append(f"{name}: a verdict took {slowest:.1f} s of CPU")
    return outcome


SYMBOLS = "0123456789+-*/=.,()[]{}<>\\$%^_ \n\tabcxyz;:!?#é٣−\U0001d7d8\x00\ud83d"


def _fuzzed(problem: Any, other: Any, chance: random.Random) -> tuple[bool, str]:
    """A completion, and whether it is wrong by construction: the solution or the answer of another problem."""
    gold, kind = problem.solution or problem.answer, chance.randrange(7)
    if kind == 0:
        return True, other.solution or other.answer
    if kind == 1:
        form = chance.choice(("{}", "<answer>{}</answer>", "\\boxed{{{}}}", "#### {}", "The answer is {}."))
        return True, form.format(other.answer)
    if kind == 2:
        at = chance.randrange(len(gold))
        return False, gold[:at] + chance.choice(SYMBOLS) + gold[at + chance.randrange(2) :]
    if kind == 3:
        return False, gold[: chance.randrange(len(gold))]
    if kind == 4:
        words = gold.split(" ")
        chance.shuffle(words)
        return False, " ".join(words)
    if kind == 5:
        return False, "".join(chance.choice(SYMBOLS) for _ in range(chance.choice((1, 10, 100, 1000))))
    return False, gold * chance.choice((2, 10)) + chance.choice(SYMBOLS) * chance.choice((1, 1000))
