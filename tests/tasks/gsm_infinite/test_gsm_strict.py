"""The strict rule: work that does not do the gold operation is refused, every right way of doing it passes."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import ConfigError
from edgewise.tasks import GsmInfinite, Problem
from edgewise.tasks.gsm_infinite.operation import expand, operation, simplifies, with_numbers
from edgewise.tasks.gsm_infinite.solution import read
from edgewise.tasks.gsm_infinite.verify import verify

STRICT, PUBLISHED = GsmInfinite(), GsmInfinite(rule="published")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwyz"


def nominal(problem: Problem) -> str:
    """A solution with every parent's letter and the right values, in which no operation is done: `0 * A + 0 * B + 3 = 3`."""
    letters: dict[str, str] = {}
    sentences = []
    for name, letter in zip(read(problem.solution).steps, LETTERS, strict=False):
        letters[name] = letter
        step = read(problem.solution).steps[name][0]
        assert step.value is not None
        work = " + ".join([*(f"0 * {letters[parent]}" for parent in sorted(step.parents)), str(step.value[1])])
        sentences.append(f"Define {name} as {letter}; so {letter} = {work} = {step.value[1]}.")
    return f"<solution> {' '.join(sentences)} </solution> <answer> {problem.answer} </answer>"


def test_naming_the_parents_is_not_the_operation() -> None:
    for problem in STRICT.block(9, 0, 200, op=(3, 12)):
        text = nominal(problem)
        verdict = STRICT.verify(problem, text)
        with_parents = [bool(steps[0].parents) for steps in read(problem.solution).steps.values()]
        assert verdict.reason == "wrong operation"
        assert verdict.steps == tuple(not parents for parents in with_parents)
        assert PUBLISHED.verify(problem, text).correct


def test_another_operation_with_the_same_result_is_wrong() -> None:
    changed = 0
    for problem in STRICT.block(5, 0, 3000, op=(3, 10)):
        for old, new in ((r"2 \+ 2\b", "2 * 2"), (r"2 \* 2\b", "2 + 2")):
            text = re.sub(rf"= {old}", f"= {new}", problem.solution)
            if text != problem.solution:
                assert STRICT.verify(problem, text).reason == "wrong operation"
                assert PUBLISHED.verify(problem, text).correct
                changed += 1
    assert changed > 100


def guesses(problem: Problem, x: int) -> dict[str, str]:
    """Texts that define everything as the gold solution does and then guess x."""
    setup, _, solving = problem.solution.partition("We know ")
    stated = solving.partition(" and we solve")[0]
    end = f" Solution: x = {x}. </solution> <answer> {x} </answer>"
    return {
        "nothing": f"{setup}{end}",
        "nonsense": f"{setup}We know 1 = 2, so x = 9999.{end}",
        "the equation alone": f"{setup}We know {stated}.{end}",
        "the equation, then another": f"{setup}We know {stated} and x = {x + 1}.{end}",
        "an equation that is true without x": f"{setup}We know {stated} and 3 = 3.{end}",
    }


def test_solving_has_to_be_done_and_right() -> None:
    refused = 0
    for problem in STRICT.block(1, 0, 300, op=(2, 12), mode="reverse"):
        assert STRICT.verify(problem, problem.solution).correct
        a, b = re.findall(r"so we have (.*?) = (\d+) and", problem.solution)[0]
        for kind, text in guesses(problem, int(problem.answer)).items():
            verdict = STRICT.verify(problem, text)
            assert PUBLISHED.verify(problem, text).correct
            assert all(verdict.steps[:-1])
            if kind in ("the equation alone", "an equation that is true without x") and (a, b) == ("x", problem.answer):
                continue  # The equation is its own solution.
            assert verdict.reason in ("missing solving", "wrong solving"), kind
            assert not verdict.steps[-1]
            refused += 1
    assert refused > 1000


REVERSE = (
    "Define elementary school in Brightford as x; we don't know its value yet but will find it out later. Define total number"
    " of schools in Brightford as c; t = x + x = x + x = 2*x; so c = 7 + t = 7 + 2*x = 2*x + 7. We know c = 13, so we have"
    " 2*x + 7 = 13 and we solve it through the following steps: Simplifying the equation: 2*x + 7 = 13. Move all terms to one"
    " side: 2*x - 6 = 0. Isolate the term with x: 2*x = 6. Divide both sides by 2: x = 6 / 2. Solution: x = 3. Answer: 3."
)
GIVEN = "We know c = 13, so we have 2*x + 7 = 13."


@pytest.mark.parametrize(
    ("solving", "reason"),
    [
        (f"{GIVEN} Then 2*x = 13 - 7, x = 6 / 2 and x = 3.", "correct"),
        (f"{GIVEN} Then 2*x = 6 and x = 3.", "correct"),
        (f"{GIVEN} Thus 6 = 2*x, so 3 = x.", "correct"),
        ("We know c = 2*x + 7 = 13. Then 13 - 7 = 6, so 2*x = 6 and x = 3.", "correct"),
        ("We know c = 13, so we have 13 = 2*x + 7. Then x = (13 - 7) / 2. Solution: x = 3.", "correct"),
        (f"{GIVEN} The box = 3 holds. Then 2*x = 6 and x = 3.", "correct"),
        (f"{GIVEN} Solution: x = 3.", "missing solving"),
        (f"{GIVEN} Then x = 3 / 1. Solution: x = 3.", "missing solving"),
        (f"{GIVEN} Then 2*x = 6.", "missing solving"),
        ("We have 2*x + 7 = 13. Then 2*x = 6 and x = 3.", "missing solving"),
        ("We know c = 13. Then 2*x = 6 and x = 3.", "missing solving"),
        ("", "missing solving"),
        ("We know c = 14, so we have 2*x + 7 = 13. Then 2*x = 6 and x = 3.", "wrong solving"),
        (f"{GIVEN} Then 2*x = 8 and x = 3.", "wrong solving"),
        (f"{GIVEN} Then 2*x = 6 and x = 4, so x = 3.", "wrong solving"),
        (f"{GIVEN} Then 13 - 7 = 5, 2*x = 6 and x = 3.", "wrong solving"),
        (f"{GIVEN} Then 2*x = 6 / 0, 2*x = 6 and x = 3.", "wrong solving"),
        (f"{GIVEN} Then 2*x = 6.0 and x = 3.00.", "correct"),
        (f"{GIVEN}\n- 2*x = 6\n- x = 3\n", "correct"),
        (f"{GIVEN}\n2*x = 6\nx = 6 / 2\n  = 3\n", "correct"),
        (f"{GIVEN} Then 2*x = 13 - 7 = 6 and x = 6 / 2 = 4, so x = 3.", "wrong solving"),
        (f"{GIVEN} Then x = 3 / 1 = 3.", "missing solving"),
        (f"{GIVEN}\n2*x = 6\nx = 4\nx = 3\n", "wrong solving"),
        (f"{GIVEN} Then 2*x = 6 and x = 3.5.", "wrong solving"),
        (f"{GIVEN} Then 2*x = 6, x = 3^2 and x = 3.", "wrong solving"),
        (f"{GIVEN} Then 1.5*x = 6, 2*x = 6 and x = 3.", "wrong solving"),
        (f"{GIVEN} Then 4\u00b2*x = 6, 2*x = 6 and x = 3.", "wrong solving"),
        ("We know c = 13.5, so we have 2*x + 7 = 13. Then 2*x = 6 and x = 3.", "wrong solving"),
    ],
)
def test_verdicts_of_solving(solving: str, reason: str) -> None:
    setup = REVERSE.partition("We know ")[0]
    text = f"{setup}{solving} Answer: 3."
    assert verify(REVERSE, 3, text).reason == reason
    assert verify(REVERSE, 3, text, rule="published").correct


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        ("c = O + P = 3 + 12", "correct"),
        ("c = P + O = 12 + 3", "correct"),
        ("c = O + P = 12 + 3", "correct"),
        ("c = O + P", "correct"),
        ("c = (O + P) = (3) + (12)", "correct"),
        ("c = O + P = O + 12 = 3 + 12", "correct"),
        ("c = P - O + 2 * O = 12 - 3 + 2 * 3 = 12 + 3", "correct"),
        ("c = P - O + 2 * O = 12 - 3 + 2 * 3 = 9 + 6", "correct"),
        ("c = O + P = 2 + 13", "wrong operation"),
        ("c = O + P = 5 * 3", "wrong operation"),
        ("c = O * P - 21", "wrong operation"),
        ("c = 0 * O + 0 * P + 15", "wrong operation"),
        ("c = 2 * O + P - 3", "wrong operation"),
    ],
)
def test_verdicts_of_operations(work: str, reason: str) -> None:
    gold = "Define a in A as O; so O = 3. Define b in A as P; t = O = 3; so P = 4 * t = 4 * 3 = 12. "
    end = " Answer: 15."
    assert verify(f"{gold}Define all in A as c; so c = O + P = 3 + 12 = 15.{end}", 15, f"{gold}Define all in A as c; so {work} = 15.{end}").reason == reason  # fmt: skip


@settings(max_examples=200)
@given(seed=st.integers(0, 10**6), op=st.integers(2, 30), mode=st.sampled_from(["forward", "reverse"]))
def test_commuted_sums_and_products_are_correct(seed: int, op: int, mode: str) -> None:
    problem = STRICT.problem(seed, 0, op=(op, op), mode=mode)
    rng = random.Random(seed)

    def swap(match: re.Match[str]) -> str:
        return f"{match[3]}{match[2]}{match[1]}" if rng.random() < 0.5 else match[0]

    body, know, rest = problem.solution.partition("We know ")
    operand = r"(\w+|\([^()]*\))"
    commuted = re.sub(rf"(?<== ){operand}( [+*] ){operand}(?= =)", swap, body)
    assert STRICT.verify(problem, commuted + know + rest).correct


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_signs_and_spaces_may_be_written_otherwise(mode: str) -> None:
    for problem in STRICT.block(3, 0, 40, op=(5, 9), mode=mode):
        text = problem.solution
        for other in (
            text.replace(" * ", " \u00d7 ").replace(" - ", " \u2212 "),
            text.replace(" * ", " \u00b7 ").replace(" = ", "\u00a0=\u00a0"),
            text.replace("*x", "x").replace(" ", "  "),
            text.replace(". ", ".\r\n\r\n") + " </answer>",
        ):
            assert STRICT.verify(problem, other).correct
            assert not STRICT.verify(problem, re.sub(r"([0-9])([.;])", r"\g<1>1\2", other)).correct


def test_terms_may_be_combined_step_by_step() -> None:
    def products(text: str, **values: tuple[int, int]) -> Any:
        return with_numbers(expand(text) or (), {"x": (1, 0), **values})

    for before, after in [
        ("3 + 12 + 5", "15 + 5"),
        ("3 + 12 + 5", "17 + 3"),
        ("4 * 3 * 2", "12 * 2"),
        ("2 * (3 + 4) + 5", "14 + 5"),
        ("2 * (3 + 4)", "2 * 7"),
        ("x + 2 + x + 2", "2*x + 4"),
        ("x + 2 + x + 2", "2*x + 2 + 2"),
        ("3*x + 5 - x", "2*x + 5"),
        ("7", "7"),
    ]:
        assert simplifies(products(before), products(after)), (before, after)
    for before, after in [
        ("3 + 12 + 5", "10 + 10"),
        ("2 + 2", "2 * 2"),
        ("2 * 2", "2 + 2"),
        ("3 + 12", "3 + 12 + 0"),
        ("3 + 12", "2 + 13"),
        ("x + x", "3*x"),
        ("x + 4", "4*x"),
        ("6", "2 * 3"),
    ]:
        assert not simplifies(products(before), products(after)), (before, after)
    assert operation(expand("2 * (a + b) - a") or (), {"a": {"A": 1}, "b": {"B": 1}}) == {"A": 1, "B": 2}
    assert operation(expand("a * b") or (), {"a": {"A": 1}, "b": {"B": 1}}) is None
    assert operation(expand("a + c") or (), {"a": {"A": 1}}) is None


@pytest.mark.parametrize(
    "text", ["(1 + 1)" + " * (1 + 1)" * 30, "(a + b + c)" * 2, "1 +", "", "(" * 300, "1 + " * 70 + "1"]
)
def test_expressions_with_too_many_products_are_none(text: str) -> None:
    assert expand(text) is None


def test_the_rules_are_two() -> None:
    with pytest.raises(ConfigError, match="rule must be one of strict, published, got 'loose'"):
        GsmInfinite(rule="loose")  # type: ignore[arg-type]


def test_the_digits_before_a_point_are_no_value() -> None:
    gold = "Define a in A as O; so O = 3. Answer: 3."
    for value, reason in (("3.0", "correct"), ("3.", "correct"), ("3.7", "missing node"), ("3.07", "missing node")):
        assert verify(gold, 3, f"Define a in A as O; so O = {value}. Answer: 3.").reason == reason
