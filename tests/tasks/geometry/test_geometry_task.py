"""Drawn geometry: what is asked follows from the picture's numbers, pictures are legible and reproducible, ids and splits."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks import Geometry, make_task
from edgewise.tasks.base import check_disjoint, guessing_floor
from edgewise.tasks.geometry.canvas import CELL, CELLS, GLYPHS, SIDE, Figure, Label, render
from edgewise.tasks.geometry.task import FAMILIES

TASK = Geometry()
FIXED = settings(derandomize=True, max_examples=60, deadline=None)
GLYPH_CODES = {character: render(_one) for character in GLYPHS for _one in [Figure(labels=[Label(2, 2, character)])]}


def numbers_in(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


@FIXED
@given(seed=st.integers(0, 10**9), op=st.integers(1, 5))
def test_solutions_use_what_they_read_and_combine_op_facts(seed: int, op: int) -> None:
    source = TASK.source(seed, op=(op, op))
    for _ in range(8):
        problem = next(source)
        see, *steps, end = problem.solution.split(" . ")
        assert end == f"<answer> {problem.answer} </answer>"
        assert len(steps) == op
        known = Counter(numbers_in(see))
        for step in steps:
            same = re.fullmatch(r"same (\d+)", step)
            if same:
                assert known[int(same[1])]
                continue
            left, sign, right, result = re.fullmatch(r"(\d+) ([-+*/]) (\d+) = (\d+)", step).groups()  # type: ignore[union-attr]
            for operand in (int(left), int(right)):
                # 180 degrees, a right angle and halves are facts, everything else was read or worked out.
                assert known[operand] or operand in (2, 90, 180), (problem.solution, operand)
            a, b = int(left), int(right)
            assert int(result) == {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[sign]
            known[int(result)] += 1
        assert numbers_in(steps[-1])[-1] == int(problem.answer) > 0
        assert TASK.verify(problem, problem.solution).correct
        assert set(f"{problem.prompt} {problem.solution}".split()) <= set(TASK.vocabulary())


@FIXED
@given(seed=st.integers(0, 10**9))
def test_numbers_stand_in_the_picture_alone(seed: int) -> None:
    source = TASK.source(seed)
    for _ in range(10):
        problem = next(source)
        assert not numbers_in(problem.prompt)
        labels = [label.text for label in problem.meta["figure"].labels]
        read = problem.solution.split(" . ")[0].split()[1:]
        if problem.meta["family"] == "perimeter" and problem.meta["op"] == 1:
            read = read[1:]  # the number of sides is counted
        assert Counter(read) == Counter(label for label in labels if label not in ("x", "O"))
        assert labels.count("x") == ("Find x" in problem.prompt or "area x" in problem.prompt)


@FIXED
@given(seed=st.integers(0, 10**9))
def test_every_label_can_be_read_back_from_the_pixels(seed: int) -> None:
    """Each label fills a cell of its own, unharmed by lines: the dark points of its glyphs are dark, those between are not."""
    problem = next(TASK.source(seed))
    figure, pixels = problem.meta["figure"], problem.images[0]
    assert pixels.shape == (SIDE, SIDE)
    assert pixels.dtype == np.uint8
    cells = [(label.column, label.row) for label in figure.labels]
    assert len(set(cells)) == len(cells)
    for label in figure.labels:
        assert 0 <= label.column < CELLS
        assert 0 <= label.row < CELLS
        alone = render(Figure(labels=[label]))
        ink = np.argwhere(alone < 128)
        assert (ink.min(0) // CELL).tolist() == (ink.max(0) // CELL).tolist() == [label.row, label.column]
        (top, left), (bottom, right) = ink.min(0), ink.max(0) + 1
        assert (pixels[top:bottom, left:right] == alone[top:bottom, left:right]).all()


def test_glyphs_differ() -> None:
    assert len({picture.tobytes() for picture in GLYPH_CODES.values()}) == len(GLYPHS)


def test_a_problem_is_what_it_was() -> None:
    """Texts and pixels of a seed, which repeat in every environment."""
    problems = TASK.problems(40, 0)
    text = "\n".join(f"{problem.id} {problem.prompt} {problem.solution}" for problem in problems)
    pixels = b"".join(problem.images[0].tobytes() for problem in problems)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "8f80180fd6c2c208"
    assert hashlib.sha256(pixels).hexdigest()[:16] == "b6f036b911e1dc53"


def test_the_same_arguments_give_the_same_problems_and_pixels() -> None:
    first, again = TASK.problems(30, 3, op=(2, 4)), make_task("geometry").problems(60, 3, op=(2, 4))[:30]
    assert [p.id for p in first] == [p.id for p in again]
    assert all((one.images[0] == other.images[0]).all() for one, other in zip(first, again, strict=True))


def test_identity_is_over_the_figure() -> None:
    problems = TASK.problems(300, 1, family="rays", op=(2, 2))
    assert len({problem.prompt for problem in problems}) == 1
    assert len({problem.id for problem in problems}) == 300
    assert len({problem.image_digest for problem in problems}) == 300
    # Drawings differ, problems do not: a mirrored figure is on the same side of the split.
    source = TASK.source(5, family="isosceles", op=(1, 1))
    drawn = [next(source) for _ in range(200)]
    assert len({problem.id for problem in drawn}) == 13
    assert len({problem.image_digest for problem in drawn}) > 100


def test_sides_of_the_split_share_nothing() -> None:
    training, evaluation = TASK.problems(500, 0), TASK.problems(300, 0, split="eval")
    check_disjoint(training, evaluation)
    shown = {pair.images[0].tobytes() for pair in TASK.demonstrations(500, 0)}  # type: ignore[attr-defined]
    assert not shown & {problem.images[0].tobytes() for problem in evaluation}


def test_demonstrations_have_their_pictures() -> None:
    for pair in TASK.demonstrations(5, 0):
        prompt, completion = pair
        assert prompt.startswith("<image> ")
        assert completion.endswith("</answer>")
        assert pair.images[0].shape == (SIDE, SIDE)  # type: ignore[attr-defined]


def test_every_family_is_drawn_for_each_of_its_ops() -> None:
    for name, (_, ops) in FAMILIES.items():
        for op in ops:
            problem = TASK.problems(1, 0, family=name, op=(op, op))[0]
            assert problem.meta["family"] == name
            assert problem.category == str(op)


def test_shares_of_op_and_family_hold() -> None:
    source = TASK.source(0, op={1: 0.5, 2: 0.5}, family={"rays": 0.75, "similar": 0.25})
    seen = Counter((problem.meta["op"], problem.meta["family"]) for problem in (next(source) for _ in range(2000)))
    # similar has no problems of 1 fact: rays take its share there.
    assert seen[1, "rays"] / 2000 == pytest.approx(0.5, abs=0.04)
    assert seen[2, "rays"] / 2000 == pytest.approx(0.375, abs=0.04)
    assert seen[2, "similar"] / 2000 == pytest.approx(0.125, abs=0.03)


@pytest.mark.parametrize(
    ("difficulty", "message"),
    [
        ({"op": (1, 6)}, r"inside 1\.\.5"),
        ({"op": (0, 2)}, r"inside 1\.\.5"),
        ({"family": "cube"}, "family must be one of fan, rays"),
        ({"family": []}, "a list of them, or shares of them"),
        ({"family": "similar", "op": (1, 2)}, "none of the families similar combines 1 facts"),
        ({"families": "rays"}, "unknown difficulty setting 'families'"),
        ({"split": "eval", "evaluation": True}, "not a difficulty setting"),
    ],
)
def test_impossible_difficulties_are_named(difficulty: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, TaskError), match=message):
        TASK.problems(1, 0, **difficulty)


def test_guessing_earns_little() -> None:
    for op in range(1, 6):
        assert guessing_floor(TASK.problems(300, 0, op=(op, op))) < 0.15


def test_a_larger_rendering_shows_the_same_figure() -> None:
    problem = TASK.problems(1, 0)[0]
    small, large = problem.images[0], TASK.picture(problem, 8)
    assert large.shape == (8 * SIDE, 8 * SIDE)
    means = large.reshape(SIDE, 8, SIDE, 8).mean((1, 3))
    assert np.abs(means - small).mean() < 4
    with pytest.raises(TaskError, match="drawn by this task"):
        TASK.picture(type(problem)("q", "", "1", "c"))
