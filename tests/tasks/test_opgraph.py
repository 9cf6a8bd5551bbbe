"""opgraph: every step counts, operands may be earlier values, and demonstrations have errors at the stated rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import TaskError
from edgewise.tasks import OpGraph, Problem

FIXED = settings(derandomize=True, max_examples=60, deadline=None)
BY_HAND = Problem("3 +4 x6 -v1 =", "7 2 5 .", "5", "3")


def solve(prompt: str, modulus: int) -> list[int]:
    """Every value of a problem, read from its text."""
    start, *operations = prompt.removesuffix(" =").split()
    values = [int(start)]
    for sign, operand in ((word[0], word[1:]) for word in operations):
        other = values[int(operand[1:])] if operand[0] == "v" else int(operand)
        before = values[-1]
        values.append({"+": before + other, "-": before - other, "x": before * other}[sign] % modulus)
    return values[1:]


@FIXED
@given(
    seed=st.integers(0, 10**6),
    modulus=st.integers(2, 99),
    low=st.integers(1, 20),
    span=st.integers(0, 20),
    links=st.sampled_from([0.0, 0.3, 1.0]),
    times=st.sampled_from([None, 0.0, 1.0]),
)
def test_solutions_follow_from_the_text(seed: int, modulus: int, low: int, span: int, links: float, times: Any) -> None:
    task = OpGraph(modulus)
    try:
        problems = task.problems(5, seed, op=(low, low + span), links=links, times=times)
    except TaskError:
        assert modulus < 5  # too few different ones
        return
    for problem in problems:
        values = solve(problem.prompt, modulus)
        assert problem.solution == " ".join([*map(str, values), "."])
        assert problem.answer == str(values[-1])
        assert low <= len(values) == int(problem.category) == problem.meta["op"] <= low + span
        assert problem.meta["times"] == sum(word[0] == "x" for word in problem.prompt.split())


def test_a_worked_problem() -> None:
    assert solve(BY_HAND.prompt, 10) == [7, 2, 5]
    assert OpGraph().verify(BY_HAND, "7 2 5 .").correct


@pytest.mark.parametrize(
    ("completion", "reason", "score", "steps"),
    [
        ("7 2 5 . and more", "correct", 1.0, (True, True, True)),
        (" 7\n2  5 .", "correct", 1.0, (True, True, True)),
        ("7 2 5", "no answer", 0.0, (True, True, True)),
        ("", "no answer", 0.0, (False, False, False)),
        (".", "missing step", 0.0, (False, False, False)),
        ("7 5 .", "missing step", 0.0, (True, False, False)),
        ("7 2 2 5 .", "extra step", 0.0, (True, True, False)),
        ("7 3 5 .", "wrong step", 2 / 3, (True, False, True)),
        ("7 2 6 .", "wrong answer", 0.0, (True, True, False)),
        ("07 2 5 .", "wrong step", 2 / 3, (False, True, True)),
        ("7 2 \u0665 .", "wrong answer", 0.0, (True, True, False)),
        ("7 2 5.", "no answer", 0.0, (True, True, False)),
    ],
)
def test_verdicts(completion: str, reason: str, score: float, steps: tuple[bool, ...]) -> None:
    verdict = OpGraph().verify(BY_HAND, completion)
    assert (verdict.reason, verdict.score, verdict.steps) == (reason, pytest.approx(score), steps)
    assert verdict.correct == (reason == "correct")


def test_an_endless_completion_is_cut() -> None:
    assert OpGraph().verify(BY_HAND, "7 " * 10**6 + ".").reason == "no answer"


@FIXED
@given(seed=st.integers(0, 10**6), place=st.integers(0, 7), change=st.integers(1, 9))
def test_one_changed_value_is_found(seed: int, place: int, change: int) -> None:
    task = OpGraph()
    problem = task.problems(1, seed, op=(8, 8), links=0.5)[0]
    words = problem.solution.split()
    words[place] = str((int(words[place]) + change) % 10)
    verdict = task.verify(problem, " ".join(words))
    assert verdict.steps == tuple(i != place for i in range(8))
    assert verdict.reason == ("wrong answer" if place == 7 else "wrong step")


def test_links_name_values_before_the_last() -> None:
    for problem in OpGraph().problems(300, 0, op=(2, 10), links=1.0):
        operations = problem.prompt.split()[1:-1]
        assert "v" not in operations[0]
        assert all(int(word.split("v")[1]) < i for i, word in enumerate(operations) if i > 0)
    assert not any("v" in problem.prompt for problem in OpGraph().problems(300, 0, links=0.0))


def test_the_share_of_links_and_products_is_the_one_asked_for() -> None:
    words = [
        word
        for problem in OpGraph().problems(2000, 0, op=(6, 6), links=0.3, times=0.25)
        for word in problem.prompt.split()[2:-1]
    ]
    assert np.mean(["v" in word for word in words]) == pytest.approx(0.3, abs=0.02)
    assert [np.mean([word[0] == sign for word in words]) for sign in "+-x"] == pytest.approx(
        [0.375, 0.375, 0.25], abs=0.02
    )


def test_weights_are_the_frequencies_of_ops() -> None:
    ops = [int(problem.category) for problem in OpGraph().problems(4000, 0, op=(5, 7), weights=[1, 0, 3])]
    assert np.bincount(ops, minlength=8)[5:] / 4000 == pytest.approx([0.25, 0, 0.75], abs=0.03)


def slip_rates(slips: tuple[float, float, float], modulus: int) -> list[float]:
    """Share of operations of each sign whose written value does not follow from the values written before it."""
    wrong: dict[str, list[bool]] = {"+": [], "-": [], "x": []}
    for prompt, completion in OpGraph(modulus).demonstrations(4000, 0, slips, op=(6, 6), times=1 / 3, links=0.3):
        start, *operations = prompt.removesuffix(" =").split()
        values = [int(start), *map(int, completion.removesuffix(" .").split())]
        assert all(0 <= value < modulus for value in values)
        for i, word in enumerate(operations):
            other = values[int(word[2:])] if word[1] == "v" else int(word[1:])
            value = {"+": values[i] + other, "-": values[i] - other, "x": values[i] * other}[word[0]] % modulus
            wrong[word[0]].append(values[i + 1] != value)
    return [float(np.mean(wrong[sign])) for sign in "+-x"]


@pytest.mark.parametrize("modulus", [2, 10])
def test_slips_happen_as_often_as_asked(modulus: int) -> None:
    # About 8,000 operations of each sign: four standard errors are below 0.023.
    assert slip_rates((0.01, 0.1, 0.5), modulus) == pytest.approx([0.01, 0.1, 0.5], abs=0.023)


def test_slips_do_not_change_the_prompts() -> None:
    task = OpGraph()
    prompts = [problem.prompt for problem in task.problems(1500, 2)]
    assert [prompt for prompt, _ in task.demonstrations(1500, 2, (0.5, 0.5, 0.5))] == prompts
    flawless = task.demonstrations(1500, 2, (0.0, 0.0, 0.0))
    assert all(completion == " ".join([*map(str, solve(prompt, 10)), "."]) for prompt, completion in flawless)


@pytest.mark.parametrize(
    ("difficulty", "message"),
    [
        ({"op": (0, 3)}, "op must be a range"),
        ({"op": (3, 41)}, r"inside 1\.\.40, got \(3, 41\)"),
        ({"op": (5, 3)}, "op must be a range"),
        ({"op": (1.0, 3)}, "op must be a range"),
        ({"op": (1, 2, 3)}, "op must be a range"),
        ({"op": 3}, "op must be a range"),
        ({"links": 1.5}, "links"),
        ({"times": -0.1}, "times"),
        ({"times": float("nan")}, "times"),
        ({"op": (1, 2), "weights": [1.0]}, "weights must be 2 numbers"),
        ({"op": (1, 2), "weights": [0.0, 0.0]}, "weights must be 2 numbers"),
        ({"op": (1, 2), "weights": [1.0, float("inf")]}, "weights must be 2 numbers"),
    ],
)
def test_impossible_difficulties_are_named(difficulty: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        OpGraph().problems(1, 0, **difficulty)


def test_impossible_options_are_named() -> None:
    with pytest.raises(TaskError, match=r"modulus must lie in 2\.\.99, got 100"):
        OpGraph(100)
    with pytest.raises(TaskError, match="slips are three probabilities"):
        OpGraph().demonstrations(1, 0, (0.1, 0.1, 1.1))
    with pytest.raises(TaskError, match="400 wanted"):
        OpGraph().problems(400, 0, op=(1, 1))
