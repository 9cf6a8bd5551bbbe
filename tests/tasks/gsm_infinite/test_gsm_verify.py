"""Verification of written solutions: right on the original generator's, exact about failures, unmoved by hostile text."""

from __future__ import annotations

import random
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.tasks.gsm_infinite.solution import PHANTOM, read
from edgewise.tasks.gsm_infinite.verify import verify

FIXED = settings(derandomize=True, max_examples=150, deadline=None)

SCHOOL = "total number of schools in Brightford"
FORWARD = [
    "Define elementary school in Brightford as O; so O = 3",
    "Define public highschool in Brightford as P; t = O = 3; so P = 4 * t = 4 * 3 = 12",
    f"Define {SCHOOL} as c; so c = O + P = 3 + 12 = 15",
]
REVERSE = (
    "The question is difficult, so we use equations to solve it. Define elementary school in Brightford as x; we don't know"
    " its value yet but will find it out later. Define public highschool in Brightford as P; t = x = x; so P = 4 * t ="
    f" (4) * (x) = 4*x. Define {SCHOOL} as c; so c = P + x = 4*x + x = 5*x. We know c = 15, so we have 5*x = 15 and we solve"
    " it through the following steps: Simplifying the equation: 5*x = 15. Move all terms to one side: 5*x - 15 = 0. Isolate"
    " the term with x: 5*x = 15. Divide both sides by 5: x = 15 / 5. Solution: x = 3. Answer: 3."
)


def write(*sentences: str, answer: Any = 15) -> str:
    return (
        "<solution> " + " ".join(f"{sentence}." for sentence in sentences) + f" </solution> <answer> {answer} </answer>"
    )


GOLD = write(*FORWARD)


def edges(text: str) -> int:
    """Operands of all definitions of a solution, by reading of its text alone: what op counts."""
    total = 0
    for sentence in text.split(". "):
        if "Define " in sentence:
            clauses = sentence.split("; ")[1:]
            operands = sum(
                len(re.findall(r"[A-Za-z]|\d+", clause.split(" = ")[1])) for clause in clauses if "=" in clause
            )
            total += operands - (len(clauses) - 1) if "we don't know" not in sentence else 1
    return total


@pytest.mark.parametrize("rule", ["strict", "published"])
def test_the_end_of_a_long_text_counts(rule: Any) -> None:
    thoughts = "<think> Define a school as A; so A = 99. Wait = 3, <answer> 99 </answer> is wrong. </think> "
    assert verify(GOLD, 15, thoughts * 500 + GOLD, rule=rule).correct
    assert not verify(GOLD, 15, GOLD + thoughts * 500, rule=rule).correct


def test_every_original_solution_is_correct(samples: list[dict[str, Any]]) -> None:
    for sample in samples:
        text = sample["solution"]
        body, _, answer = text.rpartition("Answer: ")
        tagged = f"<solution> {body}</solution> <answer> {answer.rstrip('.')} </answer>"
        for completion in (text, tagged):
            verdict = verify(text, int(answer.rstrip(".")), completion)
            assert (verdict.correct, verdict.outcome, verdict.reason) == (True, True, "correct")
            assert len(verdict.steps) == text.count("Define ") + (sample["mode"] == "reverse")
        assert all(PHANTOM not in step.parents for steps in read(text).steps.values() for step in steps)
        assert edges(text) == sample["op"]


def test_every_change_of_a_value_in_an_original_solution_is_found(samples: list[dict[str, Any]]) -> None:
    rng = random.Random(0)
    changes = 0
    for sample in samples[::4]:
        text = sample["solution"]
        places = list(re.finditer(r"; so \w = [^.;]*?(\d+)(?=\.)", text))
        if not places:
            continue
        place = rng.choice(places)
        changed = text[: place.start(1)] + str(int(place[1]) + rng.randint(1, 9)) + text[place.end(1) :]
        verdict = verify(text, read(text).answer or 0, changed)
        assert not verdict.correct
        assert verdict.outcome
        assert verdict.reason in ("wrong arithmetic", "wrong value")
        changes += 1
    assert changes > 100


@pytest.mark.parametrize(
    ("completion", "reason", "steps", "outcome"),
    [
        (GOLD, "correct", (1, 1, 1), True),
        (write(*FORWARD, answer=16), "wrong answer", (1, 1, 1), False),
        (write(*FORWARD).replace("</answer>", ""), "no answer", (1, 1, 1), False),
        (write(*FORWARD).replace("<answer> 15 </answer>", "Answer: 15."), "correct", (1, 1, 1), True),
        (write(*FORWARD, answer="fifteen"), "no answer", (1, 1, 1), False),
        (write(*FORWARD, answer="15 16"), "no answer", (1, 1, 1), False),
        ("", "no answer", (0, 0, 0), False),
        (write(FORWARD[0], FORWARD[2]), "missing node", (1, 0, 0), True),
        (write(FORWARD[0], "Define public highschool in Brightford as P; so P = ", FORWARD[2]), "missing node", (1, 0, 0), True),
        # a step uses what stands after it: phantom letters
        (write(FORWARD[1], FORWARD[0], FORWARD[2]), "wrong parent", (1, 0, 1), True),
        (write(FORWARD[0], FORWARD[1].replace("t = O = 3", "t = w = 3"), FORWARD[2]), "wrong parent", (1, 0, 1), True),
        (write(FORWARD[0], FORWARD[1].replace("t = O = 3; so P = 4 * t", "so P = 4 * 3"), FORWARD[2]), "wrong parent", (1, 0, 1), True),
        (write(*FORWARD[:2], FORWARD[2].replace("= O + P =", "= O + P + w =")), "wrong parent", (1, 1, 0), True),
        # x is an unknown only where it was called one
        (write(FORWARD[0], "Define public highschool in Brightford as x; so x = x", FORWARD[2]), "missing node", (1, 0, 0), True),
        # a cycle: the total of itself
        (write(*FORWARD[:2], f"Define {SCHOOL} as c; so c = O + c = 3 + 12 = 15"), "wrong parent", (1, 1, 0), True),
        (write(FORWARD[0].replace("3", "4"), *FORWARD[1:]), "wrong value", (0, 0, 0), True),
        (write(*FORWARD[:2], FORWARD[2].replace("15", "14"), answer=14), "wrong arithmetic", (1, 1, 0), False),
        (write(*FORWARD[:2], FORWARD[2].replace("3 + 12", "2 + 13")), "wrong operation", (1, 1, 0), True),
        (write(*FORWARD[:2], FORWARD[2].replace("3 + 12", "3 + 13")), "wrong arithmetic", (1, 1, 0), True),
        # values left symbolic are no values
        (write(*FORWARD[:2], f"Define {SCHOOL} as c; so c = O + P"), "missing node", (1, 1, 0), True),
        (write(FORWARD[0], FORWARD[1], FORWARD[2], FORWARD[0].replace("3", "5")), "wrong value", (0, 1, 1), True),
        (write(FORWARD[0], *FORWARD), "correct", (1, 1, 1), True),
        # other nodes are allowed, letters may be used again
        (write("Define elementary school in Ruby Bay as c; so c = 7", *FORWARD), "correct", (1, 1, 1), True),
        (write(FORWARD[0], FORWARD[1], "Define ruby as O; so O = 1", FORWARD[2]), "wrong parent", (1, 1, 0), True),
        (write(FORWARD[1].replace("; t = O = 3; so P = 4 * t = 4 * 3", "; so P"), FORWARD[0], FORWARD[2]), "wrong parent", (1, 0, 1), True),
    ],
)  # fmt: skip
def test_verdicts_of_forward_solutions(completion: str, reason: str, steps: tuple[int, ...], outcome: bool) -> None:
    verdict = verify(GOLD, 15, completion)
    assert (verdict.reason, verdict.outcome) == (reason, outcome)
    assert verdict.steps == tuple(map(bool, steps))
    assert verdict.correct == (reason == "correct")
    assert verdict.process == pytest.approx(sum(steps) / 3)
    assert verdict.score == (verdict.process if outcome else 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("4*x + x = 5*x", "x + 4*x = 5*x"), "correct"),
        (("4*x + x = 5*x.", "4*x + x = 6*x."), "wrong arithmetic"),
        (("; so c = P + x", "; so c = P + P"), "wrong parent"),
        (("; t = x = x; so P", "; t = x = 3; so P"), "wrong arithmetic"),
        (("(4) * (x) = 4*x", "(x) * (x) = 4*x"), "wrong arithmetic"),
        (("so P = 4 * t = (4) * (x) = 4*x", "so P = 5 * t = (5) * (x) = 5*x"), "wrong operation"),
        (("we don't know its value yet but will find it out later", "so x = 3"), "wrong arithmetic"),
        (("Answer: 3.", "Answer: x."), "no answer"),
        (("Answer: 3.", "Answer: 4."), "wrong answer"),
    ],
)
def test_verdicts_of_reverse_solutions(change: tuple[str, str], reason: str) -> None:
    assert verify(REVERSE, 3, REVERSE).correct
    changed = REVERSE.replace(*change)
    assert changed != REVERSE
    verdict = verify(REVERSE, 3, changed)
    # x = 3 makes the first node a wrong value; the second then no longer follows.
    assert verdict.reason == ("wrong value" if "so x = 3" in changed else reason)


def test_the_order_of_steps_is_free_as_long_as_parents_come_first() -> None:
    start = FORWARD[0]
    other = "Define public highschool in Brightford as P; so P = 12"
    gold = write(start, other, FORWARD[2])
    assert verify(gold, 15, write(other, start, FORWARD[2])).correct
    assert verify(gold, 15, write(FORWARD[2], start, other)).reason == "wrong parent"


JUNK = [
    "a" * 1_000_000,
    "Define " * 150_000,
    "Define a as b; " * 70_000,
    "Define a as b; so b = 1. " * 40_000,
    "Define a as b; so b = " + "(" * 1_000_000,
    "Define a as b; so b = " + "-" * 1_000_000,
    "Define a as b; so b = " + "1 + " * 250_000 + "1 = 2.",
    "Define a as b; so b = " + "9" * 1_000_000,
    "<answer>" * 125_000,
    "Answer: " + "9" * 1_000_000,
    "x = " * 250_000,
    "Define a as b; " + "; b = b * b = 1" * 60_000,
    "." * 1_000_000,
    "\u0665" * 300_000,
    "\ud800" * 10,
]


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
def test_a_megabyte_of_junk_takes_no_time(junk: str) -> None:
    for text in (junk, GOLD + junk, junk + GOLD):
        # What grows faster than the text takes minutes; a busy machine takes a second.
        begin = time.process_time()
        verdict = verify(GOLD, 15, text)
        assert time.process_time() - begin < 5
        assert 0 <= verdict.score <= 1
    begin = time.process_time()
    read(junk)
    assert time.process_time() - begin < 5


PIECES = [
    *FORWARD, "Define ", " as ", "O", "P", "x", "c", "; so ", " = ", " + ", "*", "(", ")", "-", "3", "12", "15", ". ",
    "we don't know its value yet", "<answer> ", " </answer>", "Answer: ", "elementary school in Brightford", SCHOOL,
]  # fmt: skip


@FIXED
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=30))
def test_any_text_gets_a_verdict(pieces: list[str]) -> None:
    verdict = verify(GOLD, 15, "".join(pieces))
    assert len(verdict.steps) == 3
    assert verdict.correct == (verdict.reason == "correct") == (all(verdict.steps) and verdict.outcome)
