"""Verification of generated solutions that were rewritten: harmless changes stay correct, each damage is found and named."""

from __future__ import annotations

import random
import re

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgewise.tasks import GsmInfinite, Problem
from edgewise.tasks.gsm_infinite.solution import read

FIXED = settings(derandomize=True, max_examples=100, deadline=None)
TASK = GsmInfinite()
LETTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwyz")
problems = st.builds(
    lambda seed, op, mode: TASK.problem(seed, 0, op=(op, op), mode=mode),
    st.integers(0, 10**9),
    st.integers(2, 40),
    st.sampled_from(["forward", "reverse"]),
)


def taken_apart(problem: Problem) -> tuple[str, list[str], str]:
    """What stands before the definitions, the definitions, and what stands after them."""
    definitions = re.findall(r"Define [^.]*\.", problem.solution)
    before, after = problem.solution.split(definitions[0])[0], problem.solution.split(definitions[-1])[1]
    return before, definitions, after


def name(definition: str) -> str:
    return definition.removeprefix("Define ").partition(";")[0].rpartition(" as ")[0]


def reordered(problem: Problem, definitions: list[str], rng: random.Random) -> list[str]:
    """Another order in which parents come first."""
    parents = {key: steps[0].parents for key, steps in read(problem.solution).steps.items()}
    left = list(definitions)
    order: list[str] = []
    while left:
        done = {name(definition) for definition in order}
        ready = [definition for definition in left if parents[name(definition)] <= done]
        order.append(rng.choice(ready))
        left.remove(order[-1])
    return order


@FIXED
@given(problem=problems, seed=st.integers(0, 999))
def test_another_order_is_correct(problem: Problem, seed: int) -> None:
    before, definitions, after = taken_apart(problem)
    text = before + " ".join(reordered(problem, definitions, random.Random(seed))) + after
    assert TASK.verify(problem, text).correct


@FIXED
@given(problem=problems, seed=st.integers(0, 999))
def test_other_letters_are_correct(problem: Problem, seed: int) -> None:
    shuffled = random.Random(seed).sample(LETTERS, len(LETTERS))
    if problem.meta["mode"] == "forward":
        shuffled = [*shuffled, "x"]
        names = dict(zip([*LETTERS, "x"], shuffled[1:] + shuffled[:1], strict=True))
    else:
        names = dict(zip(LETTERS, shuffled, strict=True))
    before, definitions, after = taken_apart(problem)
    renamed = [
        re.sub(r"^(.* as )(\w)(?=; )|(?<![\w'])([A-Za-z])(?![\w'])", lambda m: (m[1] or "") + names.get(m[2] or m[3], m[2] or m[3]), text)
        for text in definitions
    ]  # fmt: skip
    after = re.sub(r"(?<=We know )\w", lambda letter: names.get(letter[0], letter[0]), after)
    assert TASK.verify(problem, before + " ".join(renamed) + after).correct


@FIXED
@given(problem=problems, seed=st.integers(0, 999))
def test_further_quantities_are_allowed(problem: Problem, seed: int) -> None:
    before, definitions, after = taken_apart(problem)
    used = set(re.findall(r"(?<![\w'])[A-Za-z](?![\w'])", problem.solution))
    free = [letter for letter in LETTERS if letter not in used]
    assume(free)
    extra = f"Define whatever in Nowhere as {free[0]}; so {free[0]} = 12."
    definitions.insert(seed % (len(definitions) + 1), extra)
    assert TASK.verify(problem, before + " ".join(definitions) + after).correct


@FIXED
@given(problem=problems, place=st.integers(0, 99))
def test_a_step_left_out_is_missed(problem: Problem, place: int) -> None:
    before, definitions, after = taken_apart(problem)
    place %= len(definitions)
    verdict = TASK.verify(problem, before + " ".join(definitions[:place] + definitions[place + 1 :]) + after)
    assert not verdict.correct
    assert verdict.outcome
    assert verdict.reason == "missing node"
    assert verdict.steps[:place] == (True,) * place
    assert not verdict.steps[place]


@FIXED
@given(problem=problems, place=st.integers(0, 99), change=st.integers(1, 9))
def test_a_wrong_result_is_wrong_arithmetic_and_what_builds_on_it_is_not_right(
    problem: Problem, place: int, change: int
) -> None:
    before, definitions, after = taken_apart(problem)
    place %= len(definitions)
    match = re.fullmatch(r"(.*= .* = )(\d+)\.", definitions[place])
    assume(match is not None)
    assert match
    definitions[place] = f"{match[1]}{int(match[2]) + change}."
    verdict = TASK.verify(problem, before + " ".join(definitions) + after)
    assert verdict.reason == "wrong arithmetic"
    assert (verdict.steps[:place], verdict.steps[place]) == ((True,) * place, False)


@FIXED
@given(problem=problems, place=st.integers(0, 99))
def test_another_parent_is_a_wrong_parent(problem: Problem, place: int) -> None:
    """A parent is replaced by a quantity that is not one, of whatever value."""
    before, definitions, after = taken_apart(problem)
    place %= len(definitions)
    parents = {key: steps[0].parents for key, steps in read(problem.solution).steps.items()}[name(definitions[place])]
    others = [text for text in definitions[:place] if name(text) not in parents]
    assume(parents and others)
    other = others[-1].partition(";")[0][-1]
    swapped = re.sub(r"(; (?:so )?\w = )(?:\d+ [+*] )?(\w)", lambda m: m[0][:-1] + other, definitions[place], count=1)
    assert swapped != definitions[place]
    verdict = TASK.verify(
        problem, before + " ".join([*definitions[:place], swapped, *definitions[place + 1 :]]) + after
    )
    assert verdict.reason == "wrong parent"
    assert not verdict.steps[place]
