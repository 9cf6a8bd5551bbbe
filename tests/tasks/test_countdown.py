"""countdown: the reward rule case by case, a parser that no text harms, and problems that are the same in any order."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import TaskError
from edgewise.tasks import Countdown, Problem, held_out
from edgewise.tasks.countdown import evaluate, parse
from edgewise.tasks.countdown_solutions import count_solutions
from edgewise.tasks.hostile import hostile_texts

FIXED = settings(derandomize=True, max_examples=100, deadline=None)
BY_HAND = Problem("3 7 9 -> 30 :", "", "", "3 numbers")
RIGHT, NOT, NUMBERS, VALUE = "correct", "not an expression", "wrong numbers", "wrong value"


def reason(answer: str, problem: Problem = BY_HAND) -> str:
    verdict = Countdown().verify(problem, f"<answer>{answer}</answer>")
    assert (verdict.correct, verdict.score) == ((True, 1.0) if verdict.reason == RIGHT else (False, 0.1))
    return verdict.reason


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("( 3 * 7 ) + 9", RIGHT),
        ("3*7+9", RIGHT),
        ("9 + 7 x 3", RIGHT),
        ("9 + 7 \u00d7 3", RIGHT),
        ("\n ((9)) + (((7 * 3)))\t", RIGHT),
        ("03 * 7 + 9", RIGHT),
        ("$3 \\times 7 + 9$", RIGHT),
        ("3 \\cdot 7 + 9.", RIGHT),
        ("\\left( 3 * 7 \\right) + 9", RIGHT),
        ("$$3 \\ast 7 + 9$$.", RIGHT),
        ("\\(3 \u00b7 7 + 9\\).", RIGHT),
        ("\\[ \\boxed{3 \u22c5 7 + 9} \\]", RIGHT),
        ("**3 \u2217 7 + 9**", RIGHT),
        ("`3 * 7 + 9`", RIGHT),
        ("\\boxed{3 * 7} + 9", NOT),
        ("$3 * 7 + 9", NOT),
        ("\\frac{3}{7} + 9", NOT),
        ("9 + 3 * 7 = 30", NOT),
        ("3 * (7 + 9)", VALUE),
        ("9 - 3 * 7", VALUE),
        ("3 * 7 + 10", NUMBERS),
        ("3 * 7 + 9 + 9 - 9", NUMBERS),
        ("3 * 10", NUMBERS),
        ("30", NUMBERS),
        ("3 7 + 9", NOT),
        ("37 - 9 + 2", NUMBERS),
        ("", NOT),
        ("  ", NOT),
        ("()", NOT),
        ("(3 * 7 + 9", NOT),
        ("3 * 7 + 9)", NOT),
        (")3 * 7 + 9(", NOT),
        ("3 (7) + 9", NOT),
        ("(3)(7) + 9", NOT),
        ("3 * 7 +", NOT),
        ("* 3 7 + 9", NOT),
        ("3 ** 7 + 9", NOT),
        ("3 // 7 + 9", NOT),
        ("3 % 7 + 9", NOT),
        ("+3 * 7 + 9", NOT),
        ("-3 * -7 + 9", NOT),
        ("3 * 7 - -9", NOT),
        ("3.0 * 7 + 9", NOT),
        ("3e0 * 7 + 9", NOT),
        ("0x3 * 7 + 9", NUMBERS),
        ("3_0", NOT),
        ("\u0663 * 7 + 9", NOT),
        ("\u00b3 * 7 + 9", NOT),
        ("\uff13 * 7 + 9", NOT),
        ("3 * 7 + 9 # yes", NOT),
        ("__import__('os')", NOT),
        ("3 / (7 - 7) + 9", NUMBERS),
    ],
)
def test_the_reward_rule(answer: str, expected: str) -> None:
    assert reason(answer) == expected


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("3 * 7 + 9", "no answer"),
        ("", "no answer"),
        ("<answer> 3 * 7 + 9", "no answer"),
        ("3 * 7 + 9 </answer>", "no answer"),
        ("</answer> 3 * 7 + 9 <answer>", "no answer"),
        ("<ANSWER> 3 * 7 + 9 </ANSWER>", "no answer"),
        ("so 3 + 9 = 13 <answer>3 * 7 + 9</answer> and more", RIGHT),
        ("<answer>3 + 7</answer> no, <answer>3 * 7 + 9</answer>", RIGHT),
        ("<answer>3 * 7 + 9</answer> no, <answer>3 + 7 + 9</answer>", VALUE),
        ("<answer>3 * 7 + 9</answer> or <answer> 3 +", RIGHT),
        ("<answer> let me see <answer> 3 * 7 + 9 </answer>", RIGHT),
        ("<answer> 3 * 7 + 9 </answer> </answer>", RIGHT),
        ("<answer> 3 + 7 + 9 </answer> </answer>", VALUE),
        ("<answer> 3 * 7 </answer> + 9 </answer>", NUMBERS),
    ],
)
def test_the_last_answer_counts(completion: str, expected: str) -> None:
    verdict = Countdown().verify(BY_HAND, completion)
    assert verdict.reason == expected
    assert verdict.score == {RIGHT: 1.0, "no answer": 0.0}.get(expected, 0.1)


def test_fractions_are_exact() -> None:
    assert reason("8 / (3 - 8 / 3)", Problem("3 3 8 8 -> 24 :", "", "", "")) == RIGHT
    assert reason("5 * (5 - 1 / 5)", Problem("1 5 5 5 -> 24 :", "", "", "")) == RIGHT
    assert reason("1 \u00f7 3 \u00d7 3", Problem("1 3 3 -> 1 :", "", "", "")) == RIGHT
    assert reason("10 \u2212 3", Problem("3 10 -> 7 :", "", "", "")) == RIGHT


def test_division_by_zero_is_a_wrong_value() -> None:
    assert reason("9 / (3 - 3)", Problem("3 3 9 -> 9 :", "", "", "")) == VALUE


def test_values_within_the_tolerance_are_right() -> None:
    assert reason("400 / 401 * 1000 / 997", Problem("400 401 997 1000 -> 1 :", "", "", "")) == VALUE
    assert reason("1 + 1 / 999 / 999", Problem("1 1 999 999 -> 1 :", "", "", "")) == RIGHT
    assert reason("1 + 1 / 99 / 999", Problem("1 1 99 999 -> 1 :", "", "", "")) == VALUE


def test_repeated_numbers_are_counted() -> None:
    twice = Problem("3 3 7 -> 42 :", "", "", "")
    assert reason("(3 + 3) * 7", twice) == RIGHT
    assert reason("(7 - 3) * 7", twice) == NUMBERS
    assert reason("6 * 7", twice) == NUMBERS


@pytest.mark.parametrize(
    "bomb",
    [
        "(" * 500_000 + ")" * 500_000,
        "(" * 200 + "3 * 7 + 9" + ")" * 200,
        "9" * 1_000_000,
        "9" * 400 + " * " + "7" * 90,
        "9" + "*9" * 240,
        "9" + "**9" * 160,
        "1/0" * 300_000,
        "\u0665" * 1_000_000,
        " " * 1_000_000,
        "-" * 499 + "3",
        "<answer>" * 100_000,
        "</answer>" * 100_000,
    ],
)
def test_hostile_answers_are_refused(bomb: str) -> None:
    assert reason(bomb) in (NOT, NUMBERS, RIGHT)
    assert Countdown().verify(BY_HAND, bomb).reason in ("no answer", NOT)


def test_many_parentheses_are_harmless_within_the_length() -> None:
    assert reason("(" * 200 + "3 * 7 + 9" + ")" * 200) == RIGHT
    assert reason("(" * 300 + "3 * 7 + 9" + ")" * 300) == NOT


def infix(tree: Any) -> st.SearchStrategy[str]:
    left, right = tree, tree
    joined = st.tuples(left, st.sampled_from("+-*/"), right).map(" ".join)
    return joined | joined.map("( {} )".format)


@FIXED
@given(text=st.recursive(st.integers(0, 12).map(str), infix, max_leaves=12))
def test_values_agree_with_those_of_python(text: str) -> None:
    postfix = parse(text)
    assert postfix is not None
    try:
        expected = eval(re.sub(r"\d+", r"Fraction(\g<0>)", text))
    except ZeroDivisionError:
        expected = None
    assert evaluate(postfix) == expected


@FIXED
@given(words=st.lists(st.sampled_from(["1", "23", "+", "-", "*", "/", "(", ")"]), max_size=9))
def test_python_and_the_parser_agree_on_what_an_expression_is(words: list[str]) -> None:
    text = " ".join(words)
    try:
        compile(text.replace("(", "[").replace(")", "]"), "", "eval")  # brackets: a call is no product
        valid = True
    except SyntaxError:
        valid = False
    # Python also knows signs, indexing, empty lists and powers.
    sign = re.search(r"(^|[-+*/(])\s*[-+]", text)
    other = re.search(r"\(\s*\)|[0-9)]\s*\(|\*\s*\*|/\s*/", text)
    assert (parse(text) is not None) == (valid and not sign and not other)


@FIXED
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(2, 6),
    operations=st.sampled_from(["+", "+-", "*+", "+-*/"]),
    high=st.integers(9, 40),
)
def test_problems_are_what_was_asked_for(seed: int, count: int, operations: str, high: int) -> None:
    task = Countdown(largest=240)
    for problem in task.problems(
        5, seed, count=(count, count), numbers=(2, high), target=(2, 200), operations=operations
    ):
        *given_numbers, arrow, target, colon = problem.prompt.split()
        assert (arrow, colon) == ("->", ":")
        assert all(2 <= int(number) <= high for number in given_numbers)
        assert 2 <= int(target) <= 200
        assert problem.category == f"{count} numbers"
        assert sorted(re.findall(r"\d+", problem.answer), key=int) == sorted(given_numbers, key=int)
        assert (
            Fraction(eval(re.sub(r"\d+", r"Fraction(\g<0>)", problem.answer))) == int(target) == problem.meta["target"]
        )
        assert set(problem.meta["operations"]) <= set(operations)
        assert sorted(problem.meta["operations"]) == sorted(re.findall(r"[-+*/]", problem.answer))
        assert_steps_are_right(problem.solution, problem.answer)


def assert_steps_are_right(solution: str, answer: str) -> None:
    work, _, tail = solution.partition(" <answer> ")
    assert tail == f"{answer} </answer>"
    words = work.split()
    for i in range(0, len(words), 5):
        left, sign, right, equals, result = words[i : i + 5]
        assert equals == "="
        assert evaluate([int(left), int(right), sign]) == int(result)


def test_any_order_of_the_numbers_is_the_same_problem() -> None:
    sides: dict[str, set[bool]] = {}
    prompts: dict[str, set[str]] = {}
    for prompt, _ in Countdown().demonstrations(20_000, 0, count=(3, 3), numbers=(1, 6), target=(1, 20)):
        *numbers, _, target, _ = prompt.split()
        content = " ".join(sorted(numbers, key=int)) + f" -> {target}"
        sides.setdefault(content, set()).add(held_out(content))
        prompts.setdefault(content, set()).add(prompt)
    assert set.union(*sides.values()) == {False}
    assert max(map(len, prompts.values())) == 6  # all orders of three different numbers
    made = Countdown().problems(300, 0, numbers=(1, 6), target=(1, 20))
    contents = [(*sorted(problem.prompt.split()[:-3]), problem.meta["target"]) for problem in made]
    assert len(set(contents)) == 300
    evaluation = Countdown().problems(100, 0, numbers=(1, 6), target=(1, 20), split="eval")
    assert not set(contents) & {(*sorted(p.prompt.split()[:-3]), p.meta["target"]) for p in evaluation}


@pytest.mark.parametrize("slips", [0.0, 0.3, 1.0])
def test_slips_miss_the_target_as_often_as_asked(slips: float) -> None:
    reasons = []
    task = Countdown()
    for prompt, completion in task.demonstrations(6000, 1, slips):
        reasons.append(task.verify(Problem(prompt, "", "", ""), completion).reason)
        assert_steps_are_right(completion, completion.partition("<answer> ")[2].removesuffix(" </answer>"))
    assert set(reasons) <= {RIGHT, VALUE}
    # Four standard errors of 6,000 draws.
    assert np.mean([reason == VALUE for reason in reasons]) == pytest.approx(slips, abs=0.024 if 0 < slips < 1 else 0)


def test_demonstrations_solve_a_prompt_in_different_ways() -> None:
    ways: dict[str, set[str]] = {}
    for prompt, completion in Countdown().demonstrations(20_000, 0, 0.0, count=(3, 3), numbers=(1, 6), target=(6, 12)):
        ways.setdefault(prompt, set()).add(completion)
    assert np.mean([len(solutions) for solutions in ways.values()]) > 2


def test_weights_are_the_frequencies_of_counts() -> None:
    categories = [
        problem.category for problem in Countdown().problems(3000, 0, count=(3, 5), weights=[3, 0, 1], numbers=(1, 40))
    ]
    assert categories.count("3 numbers") / 3000 == pytest.approx(0.75, abs=0.035)
    assert categories.count("4 numbers") == 0


def test_the_vocabulary_grows_with_the_largest_number() -> None:
    assert len(Countdown(50).vocabulary()) == len(Countdown(20).vocabulary()) + 30


@pytest.mark.parametrize(
    ("difficulty", "message"),
    [
        ({"count": (1, 3)}, r"count must be a range \(first, last\) inside 2\.\.6, got \(1, 3\)"),
        ({"count": (3, 7)}, "count must be a range"),
        ({"numbers": (0, 5)}, "numbers must be a range"),
        ({"numbers": (1, 100)}, r"numbers .* inside 1\.\.99"),
        ({"target": (1, 100)}, r"target .* inside 1\.\.99"),
        ({"target": (9, 8)}, "target must be a range"),
        ({"weights": [1.0]}, "weights must be 3 numbers"),
        ({"operations": ""}, "operations must be some of"),
        ({"operations": "+^"}, "operations must be some of"),
        ({"numbers": (1, 2), "target": (99, 99)}, "no problem of this difficulty"),
        ({"count": (2, 2), "numbers": (5, 5), "operations": "/", "target": (2, 9)}, "no problem of this difficulty"),
        ({"count": (3, 3), "numbers": (1, 2)}, "500 wanted"),
    ],
)
def test_impossible_difficulties_are_named(difficulty: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        Countdown().problems(500, 0, **difficulty)


def values_of(numbers: list[Fraction]) -> list[Fraction]:
    """Values of all expression trees of the numbers, one by one."""
    if len(numbers) == 1:
        return numbers
    found = []
    for chosen in range(1, 2 ** len(numbers) - 1, 2):
        left = values_of([number for i, number in enumerate(numbers) if chosen >> i & 1])
        right = values_of([number for i, number in enumerate(numbers) if not chosen >> i & 1])
        for a, b in itertools.product(left, right):
            found += [a + b, a - b, b - a, a * b, *([a / b] if b else []), *([b / a] if a else [])]
    return found


@settings(max_examples=25)
@given(numbers=st.lists(st.integers(1, 12), min_size=1, max_size=4), target=st.integers(-5, 40))
def test_solutions_are_counted_as_by_enumeration(numbers: list[int], target: int) -> None:
    values = values_of([Fraction(number) for number in numbers])
    whole = [value for value in values if value.denominator == 1]
    for aim in (target, 0, int(whole[target % len(whole)]) if whole else 1):
        assert count_solutions(numbers, aim) == values.count(aim)


def test_the_number_of_solutions_is_metadata_on_request() -> None:
    plain, counted = (Countdown(solutions=solutions).problems(30, 0, count=(3, 5)) for solutions in (False, True))
    assert plain == counted
    assert "solutions" not in plain[0].meta
    assert all(problem.meta["solutions"] >= 1 for problem in counted)
    assert len({problem.meta["solutions"] for problem in counted}) > 5
    with pytest.raises(TaskError, match="limited size"):
        count_solutions([9999] * 6, 9999)


def test_six_numbers_are_generated_and_solved() -> None:
    problems = Countdown().problems(50, 0, count=(6, 6), numbers=(1, 20), target=(10, 99))
    assert all(
        len(problem.prompt.split()) == 9 and Countdown().verify(problem, problem.solution).correct
        for problem in problems
    )


@pytest.mark.parametrize("name", hostile_texts())
def test_hostile_completions_are_wrong(name: str) -> None:
    assert not Countdown().verify(BY_HAND, hostile_texts()[name]).correct


def test_impossible_options_are_named() -> None:
    with pytest.raises(TaskError, match=r"largest must lie in 2\.\.9999, got 1"):
        Countdown(1)
    with pytest.raises(TaskError, match=r"slips is a probability in \[0, 1\], got 2"):
        Countdown().demonstrations(1, 0, 2)
