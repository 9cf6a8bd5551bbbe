"""school: steps that are right, answers that follow from the text, cells of thousands, and answers read in many forms."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks import Problem, School
from edgewise.tasks.hostile import hostile_texts
from edgewise.tasks.school.draft import FAMILIES
from edgewise.tasks.school.task import read_answer

TASK = School()
CELLS = [(family, level) for family in FAMILIES for level in range(1, 5)]
STEP = re.compile(r"(-?[0-9]+) ([-+*/]) (-?[0-9]+) = (-?[0-9]+)")
SMALL = 150
"""Different problems that the smallest cell has at least."""
TYPICAL = 1000


def some(family: str, level: int, n: int, seed: int = 0) -> list[Problem]:
    return list(itertools.islice(TASK.source(seed, family=family, level=(level, level)), n))


@pytest.mark.parametrize(("family", "level"), CELLS)
def test_every_step_is_right_and_leads_to_the_answer(family: str, level: int) -> None:
    for problem in some(family, level, 300, 1):
        *steps, last = problem.solution.rstrip(".").split(". ")
        assert last == f"The answer is {problem.answer}"
        assert int(problem.answer) >= 0
        for step in steps:
            found = STEP.fullmatch(step)
            assert found, step
            a, b, c = int(found[1]), int(found[3]), int(found[4])
            assert {"+": a + b == c, "-": a - b == c, "*": a * b == c, "/": c * b == a}[found[2]], step
        if steps and family != "rounding":
            assert steps[-1].endswith(f"= {problem.answer}")
        assert TASK.verify(problem, problem.solution).correct
        assert not TASK.verify(problem, f" {int(problem.answer) + 1}").correct
        assert problem.category == family
        assert problem.meta["op"] == problem.meta["level"] == level
        assert problem.prompt.startswith("Question: ")
        assert problem.prompt.endswith("\nAnswer:")
        assert "\n" not in problem.prompt.removesuffix("\nAnswer:")


@pytest.mark.parametrize("family", ["addition", "subtraction", "multiplication", "division", "chain", "order of operations", "brackets"])  # fmt: skip
def test_expressions_have_the_stated_value(family: str) -> None:
    for level in range(1, 5):
        for problem in some(family, level, 200, 2):
            text = re.sub(r"[^-+*/() 0-9]", "", problem.prompt.removesuffix("?\nAnswer:")).strip()
            value = eval(re.sub(r"[0-9]+", r"Fraction(\g<0>)", text))
            assert value == int(problem.answer)


@pytest.mark.parametrize(
    ("family", "pattern", "value"),
    [
        ("remainder", r"when (\d+) is divided by (\d+)", lambda a, b: a % b),
        ("percent", r" (\d+)% of (\d+)", lambda a, b: b * a // 100),
        ("fraction of a number", r" (\d+)/(\d+) of (\d+)", lambda a, b, c: a * c // b),
        ("shopping", r"buys (\d+) \w+ for (\d+) dollars each\. How many dollars does", lambda a, b: a * b),
        ("rectangles", r"yard, (\d+) meters long and (\d+) meters wide\. What is its area", lambda a, b: a * b),
        ("clock", r"from (\d+):(\d+) to (\d+):(\d+)\. How", lambda a, b, c, d: 60 * (c - a) + d - b),
        ("sharing", r"shares (\d+) \w+ equally among (\d+) children", lambda a, b: a // b),
    ],
)
def test_answers_follow_from_the_text(family: str, pattern: str, value: Any) -> None:
    checked = 0
    for level in range(1, 5):
        for problem in some(family, level, 200, 3):
            found = re.search(pattern, problem.prompt)
            if found:
                checked += 1
                assert value(*map(int, found.groups())) == int(problem.answer), problem.prompt
    assert checked >= 150


def test_comparisons_rounding_and_averages() -> None:
    for level in range(1, 5):
        for problem in some("comparison", level, 200):
            numbers = [int(word) for word in re.findall(r"\d+", problem.prompt)]
            assert int(problem.answer) == (max if "largest" in problem.prompt else min)(numbers)
            assert len(set(numbers)) == level + 2
        for problem in some("rounding", level, 200):
            number, unit = int(re.findall(r"\d+", problem.prompt)[0]), 10**level
            assert int(problem.answer) % unit == 0
            assert abs(int(problem.answer) - number) * 2 <= unit
        for problem in some("average", level, 200):
            numbers = [int(word) for word in re.findall(r"\d+", problem.prompt)]
            assert Fraction(sum(numbers), len(numbers)) == int(problem.answer)


def test_stories_have_as_many_steps_as_their_level() -> None:
    for family in ("give and take", "shopping", "rates", "ages"):
        for level in range(1, 5):
            steps = [problem.meta["steps"] for problem in some(family, level, 100)]
            assert level <= min(steps) <= max(steps) <= level + 1


@pytest.mark.parametrize(("family", "level"), CELLS)
def test_cells_hold_many_problems_or_say_so(family: str, level: int) -> None:
    distinct = {problem.content for problem in some(family, level, 3000)}
    assert len(distinct) >= (SMALL if level <= 2 else TYPICAL)


def test_an_exhausted_cell_is_named() -> None:
    with pytest.raises(
        TaskError, match=r"division at level 1 has no more than about \d+ different problems on the train side"
    ):
        TASK.problems(1000, 0, family=["division", "ages"], level=(1, 1))
    assert len(TASK.problems(100, 0, family="division", level=(1, 1))) == 100


def test_wording_names_and_things_do_not_make_another_problem() -> None:
    found: dict[str, set[str]] = {}
    for problem in some("shopping", 1, 3000) + some("addition", 1, 3000):
        found.setdefault(problem.content, set()).add(problem.prompt)
    assert max(map(len, found.values())) > 3
    assert len({problem.id for problem in some("addition", 1, 3000)}) < 900


def test_worked_examples_come_before_the_question() -> None:
    task = School(examples=3)
    for split in ("train", "eval"):
        for plain, shown in zip(TASK.problems(60, 0, split=split), task.problems(60, 0, split=split), strict=True):  # type: ignore[arg-type]
            assert shown.prompt.count("Question:") == 4
            assert shown.prompt.endswith("\nAnswer:")
            if plain.id == shown.id:
                assert shown.prompt.endswith(f"\n\n{plain.prompt}")
            assert task.verify(shown, shown.solution).correct
    held_out = {problem.prompt for problem in TASK.problems(400, 0, split="eval", family="units", level=(1, 1))}
    examples = task.problems(1, 0, family="units", level=(1, 1))[0].prompt.split("\n\n")[:-1]
    assert not {example.rpartition("Answer:")[0] + "Answer:" for example in examples} & held_out
    for wrong in (-1, 21, "3"):
        with pytest.raises(ConfigError, match=r"examples must lie in 0\.\.20"):
            School(examples=wrong)  # type: ignore[arg-type]


def test_shares_of_families_and_levels() -> None:
    problems = TASK.problems(2000, 0, family={"ages": 0.25, "chain": 0.75}, level={"1-2": 0.2, 4: 0.8})
    assert {problem.category for problem in problems} == {"ages", "chain"}
    assert 0.2 < sum(problem.category == "ages" for problem in problems) / 2000 < 0.3
    levels = [problem.meta["level"] for problem in problems]
    assert set(levels) == {1, 2, 4}
    assert 0.75 < levels.count(4) / 2000 < 0.85


@pytest.mark.parametrize(
    ("difficulty", "message"),
    [
        ({"family": "algebra"}, "family must be one of addition"),
        ({"family": []}, "different ones"),
        ({"family": ["ages", "ages"]}, "different ones"),
        ({"family": {"ages": 0.5}}, "sum to 1"),
        ({"level": (0, 2)}, r"inside 1\.\.4"),
        ({"level": (1, 5)}, r"inside 1\.\.4"),
        ({"level": 3}, r"level must be a range"),
        ({"level": "3"}, r"level must be a range"),
        ({"level": {5: 1.0}}, r"level must be a range inside 1\.\.4"),
        ({"level": {1: 0.5}}, "the shares of level must be"),
        ({"digits": 3}, "unknown difficulty setting 'digits'"),
    ],
)
def test_impossible_difficulties_are_named(difficulty: dict[str, Any], message: str) -> None:
    for produce in (TASK.problems, TASK.demonstrations):
        with pytest.raises(ConfigError, match=message):
            produce(3, 0, **difficulty)


@pytest.mark.parametrize(
    "completion",
    [
        " 1200",
        "1200.",
        " 1,200",
        "1200.0",
        "$1,200",
        "$1200$",
        "+1200",
        "1200 dollars",
        "1200 dollars.",
        "**1200**",
        "\\boxed{1200}",
        "#### 1200",
        "<answer> 1200 </answer>",
        "x = 1200",
        "30 * 40 = 1200",
        "30 * 40 = 1200. The answer is 1200.",
        " The answer is 1200.",
        "Ada pays 1,200 dollars.",
        "1200\n\nQuestion: What is 3 + 4?\nAnswer: 7",
        "1200\nQuestion: What is 3 + 4?",
        " 1200\n\nExplanation: 30 * 40 is 12 * 100.",
        "1200. Because 30 * 40 is as much as 12 * 100.",
        "It is 30 times 40, which is 1200",
        "Answer: 1200",
        "1200 Question: What is 3?",
        "The answer is 30 * 40 = 1200.",
        "The answer is that she pays 1200 dollars in all.",
        "Five children answered 30 times 40, which is 1200",
        "<think>\nQuestion: 30 times 40, is it 1201?\n</think>\n1200",
        "<think>" + "Is it 1201? " * 1000 + "</think> It is 1200.",
        "So *1200* is right",
        "She pays **1200** dollars",
        "It is not 1201 but 1200",
    ],
)
def test_legitimate_forms_of_the_answer(completion: str) -> None:
    assert TASK.verify(Problem("", "", "1200", ""), completion).reason == "correct"


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("", "no answer"),
        ("I do not know.", "no answer"),
        ("\nQuestion: What is 1200?", "no answer"),
        ("12000", "wrong answer"),
        ("-1200", "wrong answer"),
        ("1200.5", "wrong answer"),
        ("1201 or 1200 or 1199", "no answer"),
        ("1201 or 1200", "no answer"),
        ("It is 1201 dollars, or maybe 1200.", "no answer"),
        ("The answer is 1201 or 1200.", "no answer"),
        ("The answer is x = 1201 or x = 1200.", "no answer"),
        ("\\boxed{1201, 1200}", "no answer"),
        ("\\boxed{1201} or \\boxed{1200}", "no answer"),
        ("<answer> 1201 1200 </answer>", "no answer"),
        ("The answer is 3 hours and 1200 minutes.", "no answer"),
        ("12,00", "wrong answer"),
        ("1200 1300", "no answer"),
        ("1199, 1200", "no answer"),
        ("1200%", "no answer"),
        ("The answer is 1200 percent.", "no answer"),
        ("It is more than 1200", "no answer"),
        ("It is twice 1200", "no answer"),
        ("x > 1200", "no answer"),
        ("It is 1200 or more", "no answer"),
        ("1.200", "wrong answer"),
        ("\u0661\u0662\u0660\u0660", "no answer"),
        ("one thousand two hundred", "no answer"),
        ("2400 - 1200", "no answer"),
        ("The answer is 1 \u00d7 1200.", "no answer"),
        ("\\boxed{\\sqrt{1200}}", "no answer"),
        ("\\boxed{1200\u00b2}", "no answer"),
        ("It is 1200k", "no answer"),
        ("It is 1200 dozens.", "no answer"),
        ("The answer is not 1200.", "no answer"),
        ("<think> 1200 </think>", "no answer"),
        ("<think> 1200 </think> 1201", "wrong answer"),
        ("7\n1200", "wrong answer"),
    ],
)
def test_other_completions(completion: str, reason: str) -> None:
    assert TASK.verify(Problem("", "", "1200", ""), completion).reason == reason


@pytest.mark.parametrize("name", hostile_texts())
def test_hostile_completions_are_wrong(name: str) -> None:
    assert not TASK.verify(Problem("", "", "1200", ""), hostile_texts()[name]).correct


@settings(max_examples=300)
@given(st.text(max_size=200) | st.text("0123456789.,$-+*/= \nQuestion:Ais", max_size=60))
def test_any_text_is_read(text: str) -> None:
    read_answer(text)


@settings(max_examples=200)
@given(
    st.integers(0, 10**9),
    st.sampled_from(["{}", "{:,}", "{}.0", "${}", "{} apples", "1 + 2 = {}", "The answer is {}."]),
)
def test_every_number_is_read(number: int, form: str) -> None:
    assert read_answer(" " + form.format(number)) == number
