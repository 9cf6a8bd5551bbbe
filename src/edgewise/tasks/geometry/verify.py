"""Verification of numeric answers: by value, up to a relative error of 1%, for references with decimals."""

from __future__ import annotations

from edgewise.tasks.answers import final_answer
from edgewise.tasks.base import Verdict
from edgewise.tasks.written_number import CLOSE, number


def verify(answer: str, completion: str) -> Verdict:
    """The verdict on a completion: "correct", "wrong answer", or "no answer" that is one number."""
    found, wanted = read_answer(completion), number(answer)
    if found is None:
        return Verdict(False, 0.0, reason="no answer")
    right = wanted is not None and abs(found - wanted) <= (1e-9 if wanted == int(wanted) else CLOSE * abs(wanted))
    return Verdict(right, float(right), reason="correct" if right else "wrong answer")


def read_answer(text: str) -> float | None:
    """The number that a completion announces as its answer, see `edgewise.tasks.answers`; None without one."""
    answer = final_answer(text, lone_line=False)
    return None if answer is None else number(answer)
