"""Final answers and plain quantities, in the forms that people and models write."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.tasks.answers import final_answer
from edgewise.tasks.hostile import hostile_texts
from edgewise.tasks.quantities import clean, equal, read_quantity


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\\boxed{3}", "3"),
        ("\\boxed 3", "3"),
        ("\\boxed{\\text{a}} or \\boxed{b", "\\text{a}"),
        ("\\boxed{\\{1\\}}", "\\{1\\}"),
        ("\\fbox{3}", "3"),
        ("<answer> 3. </answer>", "3."),
        ("<answer>\\boxed{3}</answer> so there", "3"),
        ("<answer>3</answer> <answer>", "3"),
        ("<answer>3</answer> </answer>", "3"),
        ("\\boxed{1} <answer>2</answer>", "2"),
        ("<answer>2</answer> \\boxed{1}", "1"),
        ("#### 1,200\nmore", "1,200"),
        ("The answer is 3.5. Next one.", "3.5"),
        ("**Answer:** 7", "7"),
        ("The answer is 41. But I don't think that the final answer is 42.", "41"),
        ("This was not hard; I think the answer is 42.", "42"),
        ("The answer is **7**.", "7"),
        ("The answer is **7**, as required.", "7"),
        ("The answer is \\(7\\), as required.", "7"),
        ("The answer is:\n\\[\n7\n\\]\nand so on", "7"),
        ("The answer is $5 and $6.", "$5 and $6"),
        ("The answer is $5$, or maybe $6$.", "5, or maybe 6"),
        ("The answer is $5$\nor $6$.", "5 or 6"),
        ("The answer is $5$.\nOr $6$.", "5. Or 6"),
        ("The answer is $5$ & $6$.", "5 & 6"),
        ("The answer is $5$ squared.", "5 squared"),
        ("The answer is $5$\n\n**Check**: it is.", "5"),
        ("Either $6$ or $\\boxed{5}$.", "6 or 5"),
        ("$\\boxed{5}$, but it could be $6$ too.", "5 or 6"),
        ("$5 \\ne \\boxed{6}$", None),
        ("Our final answer is then $5$.", "5"),
        ("The answer is given by $5$.", "5"),
        ("The final answer, then, is $5$.", "5"),
        ("The answer comes out to be $5$.", "5"),
        ("The answer equals $5$.", "5"),
        ("Final Answer \u2192 $5$", "5"),
        ("\\textbf{Answer: } $5$", "5"),
        ("The answer is $$\\$5$$.", "\\$5"),
        ("The answer is 2**3.", "2**3"),
        ("So it is.\n\n### Answer\n\n7", "7"),
        ("So it is.\n\n**Final Answer**\n\n\\[ 7 \\]\n", "7"),
        ("This is our answer\nto all of it", None),
        ("答案 Answer：7", "7"),
        ("**The answer is $z^*$**", "z^*"),
        ("✅ Final Answer: __z^*__", "z^*"),
        ("<think>\\boxed{1} or not</think>\nThe answer is 2.", "2"),
        ("<think>\\boxed{1} or not</think>\nHence it is so.", "1"),
        ("<think>Is the answer 1?</think>\n\n2", "2"),
        ("<think>\\boxed{1}</think>\n\n2", "2"),
        ("<think>\\boxed{1}</think>\n\n$\\frac{1}{2}$", "$\\frac{1}{2}$"),
        ("<think>\\boxed{1}</think>\n\n---", "1"),
        ("Some </think> more </think> \\boxed{2}", "2"),
        ("answer = 7", "7"),
        ("The final answer is $\\frac{1}{2}$. I hope it is correct.", "\\frac{1}{2}"),
        ("The answer is $5.", "$5"),
        ("The answer is 42.\nI am sure of this answer.", "42"),
        ("\\boxed{42}\n\n#### Verification\n40 + 2 = 42", "42"),
        ("#### Step 1: add\n40 + 2\n#### Step 2: end\nThe answer is 42.", "42"),
        ("#### 42 apples\n#### Verification\nHence so.", "42 apples"),
        ("#### Evelyn", "Evelyn"),
        ("#### Evelyn\nas she came first", "Evelyn"),
        ("\\boxed\n{42}", "42"),
        ("$\\boxed{3}$ and $\\boxed{4}$.", "3 and 4"),
        ("\\boxed{1}, \\boxed{2} \\text{ or } \\boxed{3}", "1 , 2 or 3"),
        ("\\boxed{3}. Hence \\boxed{4}", "4"),
        ("\\boxed{3}\n\n\\boxed{4}", "4"),
        ("The answer is $x = 3$ or $x = 4$.", "x = 3 or x = 4"),
        ("The answer is 72 because 48 + 24 = 72.", "72"),
        ("The answer is 72 (since 48 + 24 = 72).", "72"),
        ("The answer is 72, as 48 + 24 = 72.", "72"),
        ("The answer is 72, not 70.", "72"),
        ("The answer is 72, which is wrong.", "72, which is wrong"),
        ("The answer is Evelyn, who came first.", "Evelyn"),
        ("The answer is indeed equal to 72.", "72"),
        ("The answer is exactly 72.", "72"),
        ("First.\nThe answer to the question is 72.", "72"),
        ("The answer is $5$ million.", "5 million"),
        ("The answer is $5$ (or $6$).", "5 (or 6)"),
        ("The answer is $5$, possibly $6$.", "5, possibly 6"),
        ("The answer is $5$ to $6$.", "5 to 6"),
        ("\\boxed{5} or $6$", "5 or 6"),
        ("$\\boxed{5}$ (alternatively \\boxed{6})", "5 or 6"),
        ("\\boxed{5}, or in words five", "5"),
        ("It is \\boxed{5}, not \\boxed{6}.", "5"),
        ("$x = -\\boxed{5}$", "-(5)"),
        ("- \\boxed{5}", "5"),
        ("#### Answer: 5", "5"),
        ("<answer>The answer is 5</answer>", "5"),
        ("\\boxed\nHence", None),
        ("<answer>42</answer> <answer> </answer>\n####", "42"),
        ("<answer>42</answer> \\boxed{}", "42"),
        ("<answer></answer>", None),
        ("The answer is 42<|im_end|>", "42"),
        ("42</s> <|endoftext|>\n", "42"),
        ("The answer is 42 <|x|", "42 <|x|"),
        ("the answer to everything", "the answer to everything"),
        ("no answer\nat all", None),
        ("17", "17"),
        ("one\ntwo", None),
        ("", None),
        (" \n ", None),
        ("x" * 200, None),
        ("\\boxed{" + "x" * 1001 + "}", None),
    ],
)
def test_final_answers(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("3.", 3, ""),
        ("+3", 3, ""),
        ("3.0", 3, ""),
        ("$3$", 3, ""),
        ("x = 3", 3, ""),
        ("Total cost = $3", 3, "dollar"),
        ("3 animals", 3, "animal"),
        ("-\\frac{3}{4}", Fraction(-3, 4), ""),
        ("\\frac{-3}{4}", Fraction(-3, 4), ""),
        ("\\frac{1,000}{3}", Fraction(1000, 3), ""),
        ("2 1/2", Fraction(5, 2), ""),
        ("-$5", -5, "dollar"),
        ("$-5", -5, "dollar"),
        ("5 sq. ft", 5, "ft^2"),
        ("90°", 90, "degree"),
        ("3 kilometers per hour", 3, "km / h"),
        ("$18/day", 18, "dollar / day"),
        ("1.5e-3", Fraction(3, 2000), ""),
        ("40 percent", 40, "%"),
        ("5 million", 5 * 10**6, ""),
        ("$2.5 thousand", 2500, "dollar"),
        ("5cm", 5, "cm"),
        ("5 \\text{ K}", 5, "k"),
    ],
)
def test_quantities(text: str, value: float, unit: str) -> None:
    found = read_quantity(text)
    assert found is not None
    assert (found.value, found.unit) == (value, unit)


@pytest.mark.parametrize("text", ["", "3x", "3/0", "12,34", "٣", "３", "x", "3 or 4", "3, 4", "1010_2", "18/n", "18/pi", "3^2", "1/2/3", "--3", "3..4", "1e9999", "0x10", "1_000", "4 3/2", "\\frac{1}{0}", "nan", "inf", "3R^2", "2s", "6ab", "24 pi", "2 dozen", "5 at least", "5 and above", "5 doubled", "5 per mille"])  # fmt: skip
def test_what_is_no_quantity(text: str) -> None:
    assert read_quantity(text) is None


@settings(max_examples=300)
@given(st.fractions(-(10**6), 10**6, max_denominator=999), st.booleans())
def test_written_fractions_are_read_exactly(value: Fraction, latex: bool) -> None:
    text = f"\\frac{{{value.numerator}}}{{{value.denominator}}}" if latex else f"{value.numerator}/{value.denominator}"
    found = read_quantity(text)
    assert found is not None
    assert found.value == value
    assert equal(found, found)


@settings(max_examples=300)
@given(st.decimals(-(10**9), 10**9, places=4, allow_nan=False))
def test_written_decimals_are_read_exactly(value: object) -> None:
    for text in (f"{value}", f"{value:,}", f"$ {value} $", f"\\boxed{{{value}}}".removeprefix("\\boxed")):
        found = read_quantity(text.strip("{}"))
        assert found is not None
        assert found.value == Fraction(str(value))


@pytest.mark.parametrize("name", hostile_texts())
def test_hostile_texts_are_read(name: str) -> None:
    answer = final_answer(hostile_texts()[name])
    if answer is not None:
        read_quantity(answer)
        clean(answer)


@settings(max_examples=500)
@given(st.text(max_size=200) | st.text("0123456789.,/\\{}()[]$^_%-+= answerboxd#<>", max_size=60))
def test_any_text_is_read(text: str) -> None:
    final_answer(text)
    quantity = read_quantity(text)
    if quantity is not None:
        assert equal(quantity, quantity)
    assert clean(clean(text)) == clean(clean(clean(text)))
