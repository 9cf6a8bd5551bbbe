"""Answers in the forms that people and models write."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.tasks import GsmInfinite
from edgewise.tasks.gsm_infinite.answer import split, unit_words, whole_number

TASK = GsmInfinite()
UNITS = unit_words(["adult fox in South Zoo", "total number of adult animals in South Zoo"])
SOUND = settings(derandomize=True, max_examples=300, deadline=None)

LEGITIMATE = [
    "3", " 3. ", "+3", "3.0", "3.", "3.00.", "$3$", "$$3$$", "\\boxed{3}", "$\\boxed{3}$", "\\(3\\)", "\\[3\\]", "**3**", "x = 3", "x=3",
    "V = 3.", "$x = 3$", "\\boxed{x = 3}", "3 animals", "3 adult animals", "3 adult foxes", "3 Adult Fox in South Zoo", "03", "(3)", "\n3\n",
    "\\text{3}", "**$\\boxed{3}$**",
]  # fmt: skip
OTHERS = [
    "", "three", "3 4", "3 or 4", "3.5", "3 hundred", "3 dozen", "3 percent", "3 minus one", "3 / 1", "1 + 2", "about 3", "-3", "30", "0.3",
    "3,0", "x = y = 3", "\u0663", "³", "3x", "3e0", "\\boxed{3", "$3", "\\frac{3}{1}", "3" * 10, "3 animals and 4", "not 3", "!3",
]  # fmt: skip


@pytest.mark.parametrize("text", LEGITIMATE)
def test_legitimate_forms_of_a_number_are_read(text: str) -> None:
    assert whole_number(text, UNITS) == 3


@pytest.mark.parametrize("text", OTHERS)
def test_other_texts_are_not_the_number(text: str) -> None:
    assert whole_number(text, UNITS) != 3


@SOUND
@given(
    value=st.integers(0, 999_999),
    form=st.sampled_from(["{}", "{:,}", "+{}", "{}.0", "\\boxed{{{}}}", "x = {}", "{} animals."]),
)
def test_every_form_gives_back_its_number(value: int, form: str) -> None:
    assert whole_number(form.format(value), UNITS) == value


@SOUND
@given(st.text(max_size=250))
def test_any_text_has_a_number_or_none(text: str) -> None:
    assert isinstance(whole_number(text, UNITS), int | None)


def test_answers_without_tags_end_with_their_sentence() -> None:
    assert split("so x = 3. Answer: 3. More.")[1] == " 3"
    assert split("Answer: 3.5.")[1] == " 3.5"
    assert split("Answer: 1. Answer: 3")[1] == " 3"
    assert split("nothing") == ("nothing", None)


@pytest.mark.parametrize(
    "form", ["{}.", "+{}", "{}.0", "${}$", "\\boxed{{{}}}", "x = {}", "{} animals", "{} adult animals."]
)
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_right_solution_may_write_its_answer_in_any_of_them(form: str, mode: str) -> None:
    for problem in TASK.block(3, 0, 20, op=(2, 8), mode=mode):
        work = problem.solution.partition(" <answer>")[0]
        text = f"{work} <answer> {form.format(problem.answer)} </answer>"
        assert TASK.verify(problem, text).reason == "correct"
        wrong = f"{work} <answer> {form.format(int(problem.answer) + 1)} </answer>"
        assert TASK.verify(problem, wrong).reason == "wrong answer"
