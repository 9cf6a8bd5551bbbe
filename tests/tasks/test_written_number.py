"""Numbers of answers: the forms of Geometry3K and of completions, and texts that are none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.tasks.geometry.verify import read_answer, verify
from edgewise.tasks.written_number import number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("3.", 3), ("+3", 3), ("-3", -3), ("3.0", 3), ("03", 3), (".5", 0.5), ("1,200", 1200), ("$3$", 3), ("\\boxed{3}", 3),
        ("x = 3", 3), ("Area = 3", 3), ("\\text{Perimeter} = 3", 3), ("m \\angle A = 3", 3), ("3 cm", 3), ("3 degrees", 3), ("3°", 3), ("3^\\circ", 3), ("3^{\\circ}", 3), ("12 cm^2", 12),
        ("7/2", 3.5), ("\\frac{7}{2}", 3.5), ("\\frac { 2 \\sqrt { 2 } } { 5 }", 2 * math.sqrt(2) / 5), ("5 \\sqrt { 3 }", 5 * math.sqrt(3)),
        ("5√3", 5 * math.sqrt(3)), ("12 \\pi", 12 * math.pi), ("2(3+4)", 14), ("2 * 3 + 4", 10), ("\\text{3}", 3), ("**3**", 3),
        ("80 \\text{ cm}^2", 80), ("80\\,\\mathrm{degrees}", 80), ("80 square units", 80), ("80 \\text{ x}", None),
        ("\\frac72", 3.5), ("\\dfrac 7 2", 3.5), ("\\tfrac{7}{2}", 3.5), ("\\frac123", None), ("3\\frac12", 3.5), ("-3 \\frac { 1 } { 2 }", -3.5),
        ("3 \\frac{\\sqrt{2}}{2}", 1.5 * math.sqrt(2)), ("2.5\\frac12", 1.25), ("2\\frac12 \\sqrt{3}", 2.5 * math.sqrt(3)),
        ("8 1/2", 8.5), ("3 1/2 \\sqrt{2}", 3.5 * math.sqrt(2)), ("1/2 1/2", None), ("m∠ABC = 3", 3), ("\\angle A = 3°", 3), ("3 inches", 3), ("12 square feet", 12), ("3 centimeters", 3),
        ("6\\sqrt{2} \\approx 8.49", 6 * math.sqrt(2)), ("x = 6√2 = 8.49 cm", 6 * math.sqrt(2)), ("30 + 30 = 60", 60), ("6\\sqrt{2} ≈ 8.5", 6 * math.sqrt(2)), ("6\\sqrt{2} = 8.6", None), ("60 = 70", None), ("3 =", None),
        ("\\sqrt{2} + 1", math.sqrt(2) + 1), ("3 - 5", -2),
        ("1{,}200", 1200), ("1\\,200", 1200), ("√1,200", math.sqrt(1200)), ("3~cm", 3), ("3º", 3), ("3\\degree", 3), ("3 deg", 3), ("7½", 7.5), ("\\mathbf{3}", 3), ("≈ 3", 3), ("\\approx 3", 3),
        ("3 (cm)", 3), ("12 (cm^2)", 12), ("3 \\text{ (degrees)}", 3), ("2\\sqrt{3}\\ (\\text{ft})", 2 * math.sqrt(3)), ("3 (or 4)", None), ("3 (x)", None),
        ("2·3", 6), ("2 ⋅ \\sqrt{3}", 2 * math.sqrt(3)), ("5×√3", 5 * math.sqrt(3)), ("80 \\text{ cm}^{2}", 80), ("80 cm²", 80), ("8 cubic feet", 8), ("3 yards", 3), ("3 miles", 3),
        ("m \\angle 1 = 3", 3), ("\\overline{AB} = 3", 3), ("A_1 = 3", 3), ("the area = 3", 3), ("3% ", None), ("3° 2", None), ("AB + BC = 3", None), ("3 wrong", None), ("\\angle 1 + 2 = 3", None),
        ("", None), ("three", None), ("3 4", None), ("3 or 4", None), ("3x", None), ("x", None), ("2x = 60", None), ("57 + x = 3", None), ("1/0", None), ("\\sqrt{-1}", None),
        ("(3", None), ("3)", None), ("2 +", None), ("3 hundred", None), ("__import__('os')", None), ("9**9**9", None), ("1e9", None),
        ("\u0663", None), ("(" * 50 + "1" + ")" * 50, None), ("9" * 400, None), ("1" * 13, None),
    ],
)  # fmt: skip
def test_values_of_written_numbers(text: str, value: float | None) -> None:
    assert number(text) == (None if value is None else pytest.approx(value))


def test_the_last_answer_counts() -> None:
    assert read_answer("<answer> 3 </answer> or <answer> 4 </answer>") == 4
    assert read_answer("so \\boxed{\\frac{7}{2}} holds") == 3.5
    assert read_answer("The answer is 12.") == 12
    assert read_answer("**Answer:** 12") == read_answer("**Answer**: 12") == read_answer("The answer is **12**.") == 12
    assert read_answer("The answer is 12 because 3 * 4 = 12.") == read_answer("The answer is 12. It is the area.") == 12
    assert read_answer("The answer is not 3. The answer is 12.") == 12
    assert read_answer("The answer is 3 or 12.") is read_answer("\\boxed{3} or \\boxed{12}") is None
    assert (
        read_answer("### Answer\n12")
        == read_answer("Answer:\n\n$$12$$")
        == read_answer("The answer is\n\\[\n12\n\\]")
        == 12
    )
    assert read_answer("<think> \\boxed{3} </think> \\boxed{12}<|im_end|>") == 12
    assert read_answer("<think> \\boxed{3} </think> The answer is 12<|im_end|>") == 12
    assert read_answer("<think> \\boxed{12} </think> That is all.") == 12
    assert read_answer("3 + 4 = 7") is None
    assert read_answer("<answer> 3 </answer") is None


def test_values_within_a_percent_are_right_where_the_reference_has_decimals() -> None:
    assert verify("5 \\sqrt{3}", "<answer> 8.66 </answer>").correct
    assert verify("13.5", "<answer> 27/2 </answer>").correct
    assert not verify("5 \\sqrt{3}", "<answer> 8.5 </answer>").correct
    assert not verify("100", "<answer> 100.5 </answer>").correct
    assert verify("75", "none").reason == "no answer"
    assert verify("75", "<answer> 74 </answer>").reason == "wrong answer"


@settings(max_examples=400)
@given(st.text(st.sampled_from("0123456789.,+-*/(){}\\$ fracsqrtpiboxed=xAnswer:<>°√π\n"), max_size=300))
def test_any_text_gets_a_verdict(text: str) -> None:
    for given_text in (text, f"<answer>{text}</answer>"):
        assert verify("7", given_text).reason in ("correct", "wrong answer", "no answer")


JUNK = [
    "(" * 10**6,
    "<answer>" * 10**5,
    "\\boxed{" * 10**5,
    "Answer: " * 10**5,
    "1+" * 5 * 10**5,
    "\\frac" * 10**5,
    "9" * 10**6,
]


@pytest.mark.parametrize("text", JUNK, ids=range(len(JUNK)))
def test_a_megabyte_of_junk_is_no_answer(text: str) -> None:
    assert not verify("7", text).correct
