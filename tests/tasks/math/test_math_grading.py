"""math: a table of answers by hand, real reference answers, and hostile completions within bounded time and memory."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import ConfigError
from edgewise.tasks import Problem
from edgewise.tasks.bounded import Worker
from edgewise.tasks.hostile import hostile_texts
from edgewise.tasks.math import Math
from edgewise.tasks.math import audit as audits
from edgewise.tasks.math.compare import compare
from edgewise.tasks.math.task import EXPRESSIONS, math_worker

TABLE, FRESH = (
    yaml.safe_load(Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8"))
    for name in ("variants", "fresh")
)
ROWS = [{"problem": "What is 1 + 1?", "answer": "2"}, {"problem": "What is a half?", "answer": "\\frac{1}{2}"}]


@pytest.fixture(scope="module")
def task() -> Math:
    return Math(ROWS)


def expression_worker(**limits: Any) -> Worker:
    return Worker(EXPRESSIONS, "math_verify", "math", **limits)


def by_hand(answer: str) -> Problem:
    return Problem("", "", answer, "")


@pytest.mark.parametrize("row", TABLE + FRESH, ids=[f"{row['kind']} {row['gold']}" for row in TABLE + FRESH])
def test_answers_by_hand(task: Math, row: dict[str, list[str]]) -> None:
    gold = str(row["gold"])
    judged = {
        answer: task.verify(by_hand(gold), f"\\boxed{{{answer}}}").correct for answer in row["same"] + row["different"]
    }
    assert not {answer for answer in row["same"] if not judged[answer]}
    assert not {answer for answer in row["different"] if judged[answer]}


def test_the_table_is_large_enough() -> None:
    assert sum(len(row["same"]) for row in TABLE) >= 200
    assert sum(len(row["different"]) for row in TABLE) >= 200


def test_every_reference_answer_is_accepted_and_its_neighbours_are_not(task: Math, data: Path) -> None:
    for name in ("math/test_math.json", "math/test_aime.json", "math/test_amc.json", "gsm8k/test.jsonl"):
        answers = [item.answer for item in task.load(data / name)]
        itself, spaced, plain, changed, other = audits.audit_answers(task, answers[:150])
        assert not itself.wrong + spaced.wrong + plain.wrong + changed.wrong
        assert len(other.wrong) <= 1, other.wrong  # 1,-2 and -2,1 are the same list


VARIABLES = ("xy", "ab^2", "m", " ab", " abc^2", " pi", "\\mathrm{e}", "\\text{ }xy", "\\text{ cm}xy", " sin x")
NO_UNITS = (" thousand", " \\text{ is wrong}", " \\text{ or more}", " and a half", " squared", " dozen", " point five")
WORDED = (" more than x", " times n", " times the radius", " over four", " out of five", " tens", " root of two")
UNITS = (
    "\\text{ K}",
    "\\ \\mathrm{C}",
    " eV",
    " J/kg",
    " m/s^2",
    " \\frac{\\text{m}}{\\text{s}}",
    "\\text{ cm}^2",
    " units^2",
    "cm",
)
LABELS = (
    " sheets of paper",
    " more than Bob",
    " two-digit numbers",
    " as required",
    "\\text{ inches squared}",
    "\\text{ red apples}",
    "\\text{th}",
    " p.m.",
)


@pytest.mark.parametrize("letters", VARIABLES + NO_UNITS + WORDED)
def test_letters_that_make_another_value_are_no_unit(task: Math, letters: str) -> None:
    for gold in ("24", "\\frac{3}{4}", "2\\sqrt{3}"):
        assert not task.verify(by_hand(gold), f"\\boxed{{{gold}{letters}}}").correct
        if "\\text" not in letters:
            assert not task.verify(by_hand(f"{gold}{letters}"), f"\\boxed{{{gold}}}").correct


@pytest.mark.parametrize("unit", UNITS + LABELS)
def test_a_unit_that_the_gold_answer_lacks_is_no_error(task: Math, unit: str) -> None:
    assert task.verify(by_hand("24"), f"\\boxed{{24{unit}}}").correct
    assert task.verify(by_hand(f"24{unit}"), "\\boxed{24}").correct
    assert not task.verify(by_hand("25"), f"\\boxed{{24{unit}}}").correct


def test_labels_behind_expressions_are_compared(task: Math) -> None:
    for unit in ("\\text{ apples}", " square units", "\\text{ m/s}", "\\text{ cubic furlongs}"):
        assert task.verify(by_hand("12\\pi"), f"\\boxed{{12\\pi {unit}}}").correct
    assert not task.verify(by_hand("12\\pi\\text{ cm}"), "\\boxed{12\\pi\\text{ apples}}").correct
    for gold, other in (("\\frac{x}{2}t", "\\frac{x}{2}"), ("5 + 3t", "5 + 3"), ("n^2 \\text{ is even}", "n^2")):
        assert not task.verify(by_hand(gold), f"\\boxed{{{other}}}").correct
        assert not task.verify(by_hand(other), f"\\boxed{{{gold}}}").correct


@pytest.mark.parametrize(
    ("gold", "wrong", "right"),
    [
        ("(1, 2)", "y = 1, x = 2", "y = 2, x = 1"),
        ("(1, 2)", "(y, x) = (1, 2)", "(x, y) = (1, 2)"),
        ("\\mathrm{e}^{-2t}", "e^{2t}", "\\frac{1}{e^{2t}}"),
        ("\\mathbf{i} - 2\\mathbf{j}", "\\mathbf{i} + 2\\mathbf{j}", "-2\\mathbf{j} + \\mathbf{i}"),
        ("\\text{(-1, 2)}", "(1, 2)", "(-1, 2)"),
        ("\\text{right-angled}", "\\text{angled}", "right angled"),
        ("mgh", "-mgh", "m g h"),
        ("31/2", "3 1/2", "15 1/2"),
        ("12000", "12 00 0", "12 000"),
        ("3", "\\neq 3", "= 3"),
        ("3", "3 >", "x = 3"),
    ],
)
def test_order_signs_blanks_and_relations_are_no_markup(task: Math, gold: str, wrong: str, right: str) -> None:
    assert not task.verify(by_hand(gold), f"\\boxed{{{wrong}}}").correct
    assert task.verify(by_hand(gold), f"\\boxed{{{right}}}").correct


ASKED = ("m + n", "f(2)", "f(f(2)) + g(3)", "|AB|", "[ABC]", "\\gcd(a, b)", "x^2 + y^2", "a_1 + a_{10}", "xyz")
NOT_ASKED = ("2x", "x + 3", "x^2", "-x", "|x|", "x(2)", "2f(2)", "\\frac{1}{x}", "\\sqrt{x}")


def test_an_equation_for_what_was_asked_is_its_number_and_one_for_an_unknown_is_not(task: Math) -> None:
    problem = by_hand("204")
    assert [left for left in ASKED if not task.verify(problem, f"\\boxed{{{left} = 204}}").correct] == []
    assert [left for left in ASKED if task.verify(problem, f"\\boxed{{{left} = 205}}").correct] == []
    assert [left for left in NOT_ASKED if task.verify(problem, f"\\boxed{{{left} = 204}}").correct] == []


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("(-\\infty,2)\\cup(3,\\infty)", "x < 2 \\text{ or } x > 3", "x < 2 \\text{ or } x \\ge 3"),
        (
            "(-\\infty,2)\\cup(3,\\infty)",
            "(-\\infty,2) \\text{ or } (3,\\infty)",
            "(-\\infty,2) \\text{ and } (3,\\infty)",
        ),
        ("\\frac{-1+\\sqrt5}{2}, \\frac{-1-\\sqrt5}{2}", "\\frac{-1 \\pm \\sqrt5}{2}", "\\frac{1 \\pm \\sqrt5}{2}"),
        ("0, \\pm 2", "2, 0, -2", "2, 0"),
        ("\\{2, -2\\}", "\\pm 2", "\\pm 3"),
        ("(2, -2)", "(2.0, -2)", "\\pm 2"),
        ("\\frac13", "0.\\overline{3}", "0.3"),
        ("0.1\\overline{6}", "\\frac16", "0.16"),
        ("\\mbox{four}", "4", "5"),
        ("\\mbox{four}", "x = \\text{four}", "x = \\text{five}"),
        ("101_2", "(101)_2", "(101)_3"),
        ("101_2", "101₂", "101₃"),
        ("x^{10}", "x¹⁰", "x¹"),
        ("12\\text{ in}^3", "12 \\text{ in³}", "12 in²"),
        ("1\\frac12", "1½", "½"),
        ("5\\text{ cm}^3", "5\\ \\mathrm{cm^{3}}", "5\\ \\mathrm{cm^{2}}"),
        ("9.8", "9.8 \\text{ m s}^{-2}", "9.7 \\text{ m s}^{-2}"),
        ("36 \\text{ km/h}", "10 m/s", "36 m/s"),
        ("60 \\text{ miles per hour}", "60 mph", "60 kph"),
        ("9.8 \\text{ m/s}^2", "9.8 \\text{ m s}^{-2}", "9.8 \\text{ m s}^{-1}"),
        ("4.18 \\text{ J/g}", "4.18\\ \\mathrm{J\\ g^{-1}}", "4.18\\ \\mathrm{J\\ g}"),
        ("1 \\text{ g/cm}^3", "1000 \\text{ kg/m}^3", "1000 \\text{ kg/m}^2"),
        ("3 \\times 10^8\\text{ m}", "3 x 10^5 km", "3 \\times 10^8 km"),
        ("1,200,000", "1 200 000", "1 200 00"),
        ("8.24", "\\approx 8.24", "\\approx 8.2"),
        ("8 \\text{ p.m.}", "8 PM", "8 \\text{ a.m.}"),
        ("8:05", "08:05 \\text{ a.m.}", "8:50"),
        ("8:00 \\text{ p.m.}", "8 \\text{ p.m.}", "8:30 \\text{ p.m.}"),
        ("\\mathbb{R}", "(-\\infty, \\infty)", "(0, \\infty)"),
        ("(1, 2)", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 1 & 2 \\end{pmatrix}"),
        ("\\begin{bmatrix} 1 \\\\ -2 \\end{bmatrix}", "\\langle 1, -2 \\rangle", "\\langle -2, 1 \\rangle"),
        ("(2, 3)", "x = 2, y = 3", "x = 3, y = 2"),
        ("(1, 2)", "(1; 2)", "(2; 1)"),
        ("\\{1, 2\\}", "{1, 2}", "{1, 3}"),
        ("\\{\\frac12, \\sqrt{3}\\}", "{\\frac{1}{2}, \\sqrt{3}}", "{\\frac{1}{2}, \\sqrt{2}}"),
        (
            "(0, 1) \\cup [3, 4)",
            "\\bigl(0, 1\\bigr) \\bigcup \\big[3, 4\\big)",
            "\\bigl(0, 1\\bigr) \\cup \\big(3, 4\\big)",
        ),
        ("\\text{(B)}", "option B", "option C"),
        ("10^6", "1 \\text{ million}", "1 \\text{ billion}"),
        ("10^{-7}", "1e-7", "0"),
        ("11,\\! 111,\\! 100", "11111100", "1111110"),
        ("\\sqrt{55}", "√55", "5√5"),
        ("\\frac{3}{4}", "\\boldsymbol{\\dfrac{3}{4}}", "\\boldsymbol{\\dfrac{4}{3}}"),
        ("-2, 2", "±2", "±3"),
        ("5", "V_{\\text{max}} = 5", "V_{\\text{max}} = 6"),
        ("5 \\text{ euros}", "5€", "5£"),
        ("\\binom52", "\\dbinom{5}{2}", "\\binom{5}{3} + 1"),
        ("\\sqrt[3]{2}", "\\sqrt[3]2", "\\sqrt[3]4"),
        ("3\\sqrt{51}", "3 \\cdot 51^{0.5}", "3 \\cdot 51^{0.4}"),
        ("\\frac{1}{2}", "\\textcolor{red}{\\frac12}", "\\textcolor{red}{2}"),
        ("x\\sin x + \\cos^2 x", "x*sin(x) + cos^2 x", "x*sin(x) + cos(x)"),
        ("Ce^{-2t}", "C*exp(-2t)", "C*exp(2t)"),
        ("\\log_2 x", "log_2(x)", "log_3(x)"),
        ("e^{x/2}", "e^{0.5x}", "e^{0.4x}"),
        ("\\sin 30^\\circ", "\\frac12", "\\cos 30^\\circ"),
        ("-1 < x < 3", "3 > x > -1", "3 < x < -1"),
        ("x^2 + y^2 = 25", "25 = x^2 + y^2", "25"),
        ("\\frac{\\pi}{4}", "pi/4", "pi/2"),
        ("2\\sqrt{3}", "2sqrt3", "3sqrt2"),
        ("6\\sqrt3", "2·3√3", "3·3√3"),
        ("\\arcsin\\frac13", "asin(1/3)", "acos(1/3)"),
        ("120", "C(10, 3)", "C(10, 2)"),
        ("120", "\\mathrm{C}_{10}^{3}", "\\mathrm{C}_{10}^{4}"),
        ("120", "{}_{10}C_3", "{}_{10}C_2"),
        ("3 : 2", "3 to 2", "2 to 3"),
        ("21", "twenty-one", "twenty-two"),
        ("2012", "two thousand and twelve", "two thousand"),
        ("\\frac23", "two thirds", "three halves"),
        ("\\frac13", "0.333...", "0.334..."),
        ("\\frac17", "0.\\dot{1}4285\\dot{7}", "0.\\dot{1}4285\\dot{6}"),
        ("\\frac16", "0.1\\dot6", "0.\\dot6"),
        ("\\frac13", "0.(3)", "0.(4)"),
        ("(-\\infty, 0) \\cup (1, 2]", "]-\\infty, 0[ \\cup ]1, 2]", "]-\\infty, 0] \\cup ]1, 2]"),
        ("[0, 1)", "[0; 1[", "]0; 1["),
        ("150 \\text{ minutes}", "2 \\text{ hours } 30 \\text{ minutes}", "2 hours 40 minutes"),
        ("\\$3.50", "3 dollars and 50 cents", "3 dollars and 5 cents"),
        ("66 \\text{ inches}", "5 ft, 6 in", "5 ft"),
        ("6 \\text{ MW}", "6 MW", "6 mW"),
        ("6 \\text{ mm}", "6 MM", "6 Mm"),
        ("\\text{does not exist}", "DNE", "exists"),
        ("\\mathbb{R}", "all real numbers", "all real numbers but 0"),
        ("3 \\pmod 7", "x \\equiv 10 \\pmod{7}", "3 \\pmod 8"),
        ("3", "3 (mod 7)", "10 \\pmod 7"),
        ("2 + \\sqrt{3}", "2 + sqrt(3)", "3 + sqrt(2)"),
        ("\\sqrt{2 + \\sqrt3}", "sqrt(2 + sqrt(3))", "sqrt(2 + sqrt(2))"),
        ("\\frac{11\\sqrt3}{6}", "(11 sqrt(3))/(6)", "(11 sqrt(3))/(5)"),
        ("1 \\pm 2\\sqrt3", "1 +- 2 sqrt(3)", "1 + 2 sqrt(3)"),
        ("y = -\\frac52 x + 3", "y = -5/2x + 3", "y = -5/(2x) + 3"),
        ("\\frac{16\\pi}{3}", "5 1/3 pi", "5 2/3 pi"),
        ("\\frac{35}{2}\\pi", "(35)/(2)pi", "35/(2pi)"),
        ("\\frac{1}{2x}", "1/(2x)", "1/2 x"),
        ("\\frac12 + \\frac{\\sqrt3}{2}i", "1/2 + sqrt(3)/2 i", "1/2 - sqrt(3)/2 i"),
        ("2 + 7i", "7*i + 2", "7*i - 2"),
        ("e^{i\\pi}", "-1", "1"),
        ("x^{12} + x", "x**12 + x", "x**11 + x"),
        ("(-\\infty, 2) \\cup (3, \\infty)", "(-infinity, 2) U (3, infinity)", "(-infinity, 2) U [3, infinity)"),
        ("\\tan 15^\\circ", "tan 15 degrees", "tan 25 degrees"),
        ("\\cos^2\\theta", "cos^2 theta", "cos^2 phi"),
        ("x = \\frac{1}{67}", "x = (1)/(67)", "x = (1)/(76)"),
        ("120", "P(6, 3)", "P(6, 2)"),
        ("\\{1, 2\\}", "x = 1 \\text{ or } x = 2", "x = 1 \\text{ or } x = 3"),
        ("120", "10C3", "10P3"),
        ("120", "{10 \\choose 3}", "{10 \\choose 4}"),
        ("\\{-1, 0, 1\\}", "0, \\pm 1", "1, \\pm 1"),
        ("(2, -1)", "\\text{the point } (2, -1)", "f(2, -1)"),
        ("-4", "negative four", "four"),
        ("\\text{June 20}", "\\text{June 20th}", "June 2nd"),
        ("1101_2", "1101 \\text{ (base 2)}", "1101 \\text{ (base 3)}"),
        ("(3, 4)", "P(3, 4)", "P(4, 3)"),
        ("\\overline{AB}", "AB", "AC"),
        ("\\text{ellipse}", "an ellipse", "a circle"),
        ("10 \\text{ cm}", "10 (\\text{cm})", "10 (\\text{m})"),
        ("2.5", "two and a half", "two and a third"),
        ("\\frac12", "half", "a third"),
        ("[-2, 5)", "x \\ge -2 \\text{ and } x < 5", "x \\ge -2 \\text{ or } x < 5"),
        ("[-2, 5)", "\\{x \\mid -2 \\le x < 5\\}", "\\{x \\mid -2 < x < 5\\}"),
        ("\\frac{-1 \\pm \\sqrt{5}}{2}", "(-1 \u00b1 \u221a5)/2", "(1 \u00b1 \u221a5)/2"),
        ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "[[1, 2], [3, 4]]", "[[1, 3], [2, 4]]"),
        ("\\begin{pmatrix} 1 \\\\ -2 \\end{pmatrix}", "[1, -2]^T", "[-2, 1]^T"),
        (
            "\\begin{pmatrix} 1 \\\\ -2 \\end{pmatrix}",
            "\\left(\\begin{array}{c} 1 \\\\[4pt] -2 \\end{array}\\right)",
            "\\vec{v} = (2, 1)",
        ),
        ("(3, 4)", "\\begin{cases} x = 3 \\\\ y = 4 \\end{cases}", "\\begin{cases} x = 4 \\\\ y = 3 \\end{cases}"),
    ],
)
def test_usual_forms_are_read(task: Math, gold: str, right: str, wrong: str) -> None:
    assert task.verify(by_hand(gold), f"\\boxed{{{right}}}").correct
    assert task.verify(by_hand(right), f"\\boxed{{{gold}}}").correct
    assert not task.verify(by_hand(gold), f"\\boxed{{{wrong}}}").correct


@pytest.mark.parametrize(
    ("gold", "wrong", "right"),
    [
        ("y' + y = 0", "y + y = 0", "y + y' = 0"),
        ("f'(x)", "f''(x)", "f^{\\prime}(x)"),
        ("3", "3'", "3"),
        ("\\frac{dy}{dx} = 3y", "\\frac{dx}{dy} = 3y", "\\frac{dy}{dx} = y \\cdot 3"),
        ("\\frac{2^{99}+1}{2^{100}}", "\\frac{2^{99}-1}{2^{100}}", "\\frac12 + \\frac{1}{2^{100}}"),
        ("x < -1 \\text{ or } x > 3", "x < -1 \\text{ and } x > 3", "x > 3 \\text{ or } x < -1"),
        ("x \\in (1, 2)", "x = 1, 2", "(1, 2)"),
        ("1, 2, 3", "1, 2, 3, ...", "1, 2, 3."),
        ("12:30", "12.30", "12:30 p.m."),
        ("0, -3", "\\text{not } 0, -3", "-3, 0"),
        ("x + y = 5", "5", "y + x = 5"),
        ("\\frac{M}{m}", "1", "M/m"),
        ("\\frac{K_m}{k_M}", "1", "K_m / k_M"),
        ("\\frac\\Omega\\omega t", "t", "\\frac{t \\Omega}{\\omega}"),
        ("\\gamma - 1", "\\gamma - 3", "-1 + \\gamma"),
        ("\\Gamma + 1", "\\Gamma(1)", "1 + \\Gamma"),
        ("\\frac{V_{\\max} S}{K_m + S}", "\\frac{V_{\\min} S}{K_m + S}", "\\frac{S V_{\\text{max}}}{S + K_m}"),
        ("\\frac{1}{(1 + x^2)^2}", "(1 + x^2)^2", "(1 + x^2)^{-2}"),
        ("42", "42 \\ldots", "42."),
        ("\\mathbb{R}", "[-\\infty, \\infty]", "-\\infty < x < \\infty"),
        ("\\$2.75", "x < \\$2.75", "x = \\$2.75"),
        ("\\$2.75", "2016 \\implies \\$2.75", "$2.75"),
        ("42", "an answer other than 42", "the answer is 42"),
        ("9:24", "9:24 \\text{ or maybe later}", "9:24 \\text{ in the morning}"),
        ("12", "3 \\cdot 5 = 12", "3 \\cdot 4 = 12"),
        ("\\frac{\\pi}{16}", "58 = \\frac{\\pi}{16}", "\\frac{2\\pi}{32} = \\frac{\\pi}{16}"),
        ("(0, 1) \\cup (2, 3)", "(0, 1) \\cup (2, 3) \\ldots", "(2, 3) \\cup (0, 1)"),
        ("-3", "3 = -3", "-\\frac{6}{2} = -3"),
        ("34.29", "\\frac{250}{7} = 34.29", "\\frac{240}{7} = 34.29"),
        ("3:2", "3:2:1", "3 \\colon 2"),
        ("3:2:1", "3:1:2", "6 : 4 : 2"),
        ("1:\\sqrt3:2", "1:2:\\sqrt3", "1 : \\sqrt{3} : 2"),
        ("3:2:1", "0:0:0", "1.5:1:0.5"),
        ("(A)", "Choice (B)", "Choice (A)"),
        ("\\frac{6}{125}", "\\frac{6}{125} \\text{ (about } 0.058)", "\\frac{6}{125} \\text{ (about } 0.048)"),
        ("\\frac{1}{s+1} + 2", "{2 \\over s+1} + 2", "{1 \\over s+1} + 2"),
        ("5 \\text{ cm}", "5 \\text{}\\text{m}", "5 \\text{}\\text{cm}"),
        ("15 \\text{ cm}^2", "15 \\text{ cm}^2 \\text{ million}", "15 \\text{ square cm}"),
        ("7.25 \\times 10^{-11}", "9 = 7.25 \\times 10^{-11}", "725 \\times 10^{-13} = 7.25 \\times 10^{-11}"),
        ("10^{900}", "9 = 10^{900}", "10^{900} = 1.0 \\times 10^{900}"),
        ("-\\tau \\ln \\Delta", "9 = -\\tau \\ln \\Delta", "t = -\\tau \\ln \\Delta"),
        ("222", "223\\enspace", "222\\enspace"),
        ("\\$12", "13 = \\$12", "3 \\cdot 4 = \\$12"),
        ("x + 1", "7 = x + 1", "y = x + 1"),
        ("4\\sqrt{65}", "4_2\\sqrt{65}", "\\sqrt{65} \\cdot 4"),
        ("\\frac{11}{16}", "\\frac{11}{16_2}", "\\frac{22}{32}"),
        ("x_1^2 + 1", "x_2^2 + 1", "x^2_1 + 1"),
        ("43_5", "43_k", "43_{\\text{five}}"),
        ("43_5", "43 \\text{ in base six}", "43 \\text{ in base five}"),
    ],
)
def test_what_math_verify_or_punctuation_would_drop_is_compared(task: Math, gold: str, wrong: str, right: str) -> None:
    assert task.verify(by_hand(gold), f"\\boxed{{{right}}}").correct
    assert not task.verify(by_hand(gold), f"\\boxed{{{wrong}}}").correct


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("\\sqrt{151} \\approx 12.3", ("\\sqrt{151}", "12.3")),
        ("x = 12.6 \\approx 13", ("12.6", "13")),
        ("x \\approx 12.3", ("12.3",)),
        ("\\frac23 \\approx 0.7", ("\\frac23", "0.7")),
        ("500 \\approx 501", ("500",)),
        ("42 \\approx 44", ()),
    ],
)
def test_a_value_and_its_rounding_are_both_answers_and_two_values_are_none(
    task: Math, answer: str, right: tuple[str, ...]
) -> None:
    for gold in ("\\sqrt{151}", "12.3", "12.6", "13", "\\frac23", "0.7", "500", "501", "42", "44"):
        assert task.verify(by_hand(gold), f"\\boxed{{{answer}}}").correct == (gold in right), gold


@pytest.mark.parametrize(
    "empty", ["\\begin{pmatrix}\\end{pmatrix}", "\\langle\\rangle", "\\begin{cases}\\end{cases}", "[[]]"]
)
def test_brackets_without_parts_are_wrong_and_no_error(task: Math, empty: str) -> None:
    for gold in ("(1, 2)", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\{1, 2\\}", "3"):
        assert not task.verify(by_hand(gold), f"\\boxed{{{empty}}}").correct


def test_alternatives_are_one_answer_only_where_all_are_equal(task: Math) -> None:
    for gold, alternatives, right in (
        ("\\frac12", "\\frac12 \\text{ or } 0.5", True),
        ("5 \\text{ cm}", "5 \\text{ cm or } 50 \\text{ mm}", True),
        ("5", "5 \\text{ or } 6", False),
        ("5", "6 \\text{ or } 5", False),
    ):
        assert task.verify(by_hand(gold), f"\\boxed{{{alternatives}}}").correct == right, alternatives


@pytest.mark.parametrize(
    "hedge",
    [
        "(B) or (C)",
        "(B), 7",
        "\\text{(B)} and 7",
        "B) C) D)",
        "(B) (C)",
        "B. C",
        "(B) & (C)",
        "(\\text{B}) \\quad (\\text{C})",
        "(B) \\to C",
        "(B) maybe C",
    ],
)
def test_several_options_are_not_the_first_of_them(task: Math, hedge: str) -> None:
    assert not task.verify(by_hand("\\text{(B)}"), f"\\boxed{{{hedge}}}").correct


@pytest.mark.parametrize(
    "hedge", ["$3$ or $4$", "$3$ and $4$", "$3$, $4$", "\\(3\\) or \\(4\\)", "**3** or **4**", "$3 or $4"]
)
def test_several_answers_in_a_sentence_are_not_the_first_of_them(task: Math, hedge: str) -> None:
    assert not task.verify(by_hand("3"), f"The answer is {hedge}.").correct


@pytest.mark.parametrize("text", ["4\\sqrt(2)", "4-", "4:9:\\ldots", "4 \\oplus", "\\frac{4}{}", "4 = \\frac"])
def test_a_number_in_a_formula_that_is_not_understood_is_no_answer(task: Math, text: str) -> None:
    assert not task.verify(by_hand("4"), f"\\boxed{{{text}}}").correct
    assert not task.verify(by_hand(text), "\\boxed{4}").correct


@pytest.mark.parametrize("option", ["(C) 12", "C. 12", "C: 12", "\\textbf{(C)}\\ 12", "\\text{(C) }12.0"])
def test_an_option_is_known_by_its_letter_or_by_its_value(task: Math, option: str) -> None:
    for gold in ("C", "(C)", "\\text{(C)}", "12", "\\textbf{(C) }12"):
        assert task.verify(by_hand(gold), f"\\boxed{{{option}}}").correct
        assert task.verify(by_hand(option), f"\\boxed{{{gold}}}").correct
    for gold in ("B", "\\text{(B)}", "13", "\\textbf{(B)}\\ 12", "\\textbf{(C)}\\ 13", "C + 12"):
        assert not task.verify(by_hand(gold), f"\\boxed{{{option}}}").correct


@pytest.mark.parametrize(("gold", "answer"), [("(a, b, c)", "(x!, y!, z!)"), ("a, b, c", "x!, y!, z!")])
def test_a_comparison_ends_with_its_first_part_beyond_the_limits(gold: str, answer: str) -> None:
    tried: list[str] = []

    def beyond(gold: str, answer: str) -> None:
        tried.append(answer)

    assert compare(gold, answer, beyond).reason == "grading limit"
    assert tried == ["x!"]


EMPTY = [
    "\\emptyset",
    "\\varnothing",
    "\\{\\}",
    "\\{ \\}",
    "no solution",
    "\\text{No real solutions}",
    "the empty set",
    "x \\in \\emptyset",
]
DEGREES = ["120^\\circ", "120^o", "120^{o}", "120^{\\text{o}}", "120^{\\mathrm{o}}", "120\u00ba", "120 degrees"]


@pytest.mark.parametrize("spellings", [EMPTY, DEGREES], ids=["empty set", "degrees"])
def test_spellings_of_one_answer_are_equal_to_each_other_without_the_worker(spellings: list[str]) -> None:
    for gold, answer in itertools.product(spellings, spellings):
        assert compare(gold, answer, lambda *_: False).correct, (gold, answer)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("no solution", "0"),
        ("\\emptyset", "\\{0\\}"),
        ("\\emptyset", "one solution"),
        ("120^\\circ", "12^o"),
        ("x^o", "x^\\circ"),
    ],
)
def test_spellings_of_other_answers_are_not(gold: str, answer: str) -> None:
    assert not compare(gold, answer, lambda *_: False).correct


def test_plain_answers_need_no_worker() -> None:
    def never(gold: str, answer: str) -> bool:
        raise AssertionError(f"the worker was asked about {gold} and {answer}")

    for gold, answer in [("42", "41"), ("\\frac12", "0.5"), ("1,200", "$1200"), ("(1, 2)", "(2, 1)"), ("5 cm", "5 m"), ("\\text{Eve}", "Ada")]:  # fmt: skip
        compare(gold, answer, never)


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("I do not know\nwhat to say", "no answer"),
        ("", "no answer"),
        ("\\boxed{}", "no answer"),
        ("\\boxed{\\frac{1}{2}\nand so on", "no answer"),
        ("\\boxed{1} no, \\boxed{\\frac{1}{2}}", "correct"),
        ("\\boxed{\\frac{1}{2}} no, \\boxed{1}", "wrong answer"),
        ("<answer>1/2</answer>", "correct"),
        ("#### 1/2", "correct"),
        ("Thus the answer is 1/2.", "correct"),
        ("0.5", "correct"),
        ("\\boxed{٠.٥}", "unreadable answer"),
        ("\\boxed{９/１８}", "unreadable answer"),
        ("\\boxed{9^{9^{9^{9}}}}", "unreadable answer"),
    ],
)
def test_where_the_answer_is(task: Math, completion: str, reason: str) -> None:
    assert task.verify(by_hand("\\frac{1}{2}"), completion).reason == reason


@pytest.mark.parametrize("name", hostile_texts())
def test_hostile_completions_are_decided_without_the_worker(name: str) -> None:
    task = Math(ROWS, grader="plain")
    for gold in ("\\frac{1}{2}", "12", "(1, 2)", "\\text{Eve}", "x^2+1"):
        assert not task.verify(by_hand(gold), hostile_texts()[name]).correct


@pytest.mark.parametrize(
    "answer",
    [
        "9^{x^{9^{x^9}}}",
        "\\sum_{n=1}^{99999999} \\frac{1}{n^n}",
        "(x+1)^{9999}",
        "\\sqrt{" * 150 + "x" + "}" * 150,
        "\\int_0^1 x^{x^{x}} dx",
        "xyz" * 300,
    ],
)
def test_what_math_verify_cannot_bear_ends_at_the_limit(answer: str) -> None:
    worker = expression_worker(seconds=0.5, memory=1 << 28)
    try:
        assert not worker.ask({"gold": "\\frac{x}{2}", "answer": answer}).get("correct")
        assert worker.ask({"gold": "\\frac{x}{2}", "answer": "0.5x"}).get("correct")  # the next one is graded
    finally:
        worker.close()


def test_a_comparison_beyond_the_limits_is_counted() -> None:
    worker = expression_worker(seconds=0.2)
    try:
        assert worker.ask({"gold": "\\frac{1}{2}", "answer": "9^{9^{9}}"})["error"] == "limit"
        assert worker.failures == 1
    finally:
        worker.close()


def test_a_request_that_waits_for_a_processor_is_not_cut_short(tmp_path: Path) -> None:
    waiting = tmp_path / "waiting.py"
    waiting.write_text(
        "import time\ndef prepare(): ...\ndef compute(request):\n    time.sleep(request['wait'])\n    return {}\n"
    )
    worker = Worker(waiting, "json", "math", seconds=0.03)
    try:
        assert worker.ask({"wait": 0.3}) == {}
        assert worker.ask({"wait": 60}) == {"error": "limit"}
        assert worker.ask({"wait": 0}) == {}
    finally:
        worker.close()


def test_memory_is_bounded() -> None:
    worker = expression_worker(seconds=100, memory=1 << 26)
    try:
        assert not worker.ask({"gold": "\\frac{1}{2}", "answer": "2^{3000000000}"}).get("correct")
        assert worker._process is not None
        pid = worker._process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            peak = next(line for line in Path(f"/proc/{child}/status").read_text().splitlines() if "VmHWM" in line)
            assert int(peak.split()[1]) < 400_000  # kB, the packages included
        assert worker.ask({"gold": "x+1", "answer": "1+x"}).get("correct")
    finally:
        worker.close()


def test_a_worker_that_was_killed_is_replaced() -> None:
    worker = expression_worker()
    assert worker.ask({"gold": "x+1", "answer": "1+x"}).get("correct")
    assert worker._process is not None
    worker._process.kill()
    worker._process.wait()
    assert worker.ask({"gold": "x+1", "answer": "1+x"}).get("correct")
    worker.close()


def test_a_child_that_was_killed_between_two_answers_makes_no_answer_wrong() -> None:
    worker = expression_worker()
    assert worker.ask({"gold": "x+1", "answer": "1+x"}).get("correct")
    assert worker._process is not None
    pid = worker._process.pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
        while Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2][0] != "Z":
            time.sleep(0.01)
    assert worker.ask({"gold": "x+2", "answer": "2+x"}).get("correct")
    assert not worker.failures
    worker.close()


def test_the_worker_ends_with_its_owner_and_leaves_no_child() -> None:
    worker = expression_worker()
    worker.ask({"gold": "x+1", "answer": "1+x"})
    assert worker._process is not None
    pid = worker._process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert worker._process.stdin is not None
    worker._process.stdin.close()
    worker._process.wait(10)
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{child}") for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert children
    assert not any(os.path.exists(f"/proc/{child}") for child in children)
    worker.close()


def test_threads_share_a_worker(task: Math) -> None:
    wrong: list[int] = []

    def grade(number: int) -> None:
        for i in range(20):
            right = task.verify(by_hand(f"x+{number}"), f"\\boxed{{{number + i % 2}+x}}").correct
            if right != (i % 2 == 0):
                wrong.append(number)

    threads = [threading.Thread(target=grade, args=(number,)) for number in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_forked_process_has_a_worker_of_its_own(task: Math) -> None:
    assert task.verify(by_hand("x+1"), "\\boxed{1+x}").correct
    owner = math_worker()._process
    pid = os.fork()
    if not pid:
        right = math_worker().ask({"gold": "x+2", "answer": "2+x"}).get("correct") and math_worker()._process != owner
        math_worker().close()
        os._exit(0 if right else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert task.verify(by_hand("x+3"), "\\boxed{3+x}").correct
    assert math_worker()._process is owner


@settings(max_examples=300)
@given(st.text(max_size=300) | st.text("0123456789.,/\\{}()[]$^_%-+= xacfrt", max_size=80))
def test_any_text_gets_a_verdict(text: str) -> None:
    task = Math(ROWS, grader="plain")
    for gold in ("3", "\\frac{1}{2}", "(1, 2]", "\\{1, 2\\}", "\\text{Eve}", "1010_2"):
        for completion in (text, f"\\boxed{{{text}}}", f"<answer>{text}</answer>"):
            verdict = task.verify(by_hand(gold), completion)
            assert verdict.correct == (verdict.reason == "correct") == (verdict.score == 1)


@settings(max_examples=200)
@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6), st.integers(1, 9))
def test_equal_fractions_are_equal_and_others_are_not(top: int, bottom: int, times: int) -> None:
    task = Math(ROWS, grader="plain")
    gold = by_hand(f"\\frac{{{top}}}{{{bottom}}}")
    assert task.verify(gold, f"\\boxed{{\\dfrac{{{top * times}}}{{{bottom * times}}}}}").correct
    assert task.verify(gold, f"\\boxed{{{top * times}/{bottom * times}}}").correct
    assert not task.verify(gold, f"\\boxed{{{top * times + 1}/{bottom * times}}}").correct


def test_limits_must_be_positive_and_the_package_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="must be above 0"):
        expression_worker(seconds=0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'edgewise\[math\]'"):
        expression_worker()


def test_the_audit_command_prints_rates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "some.jsonl").write_text('{"problem": "A?", "answer": "12"}\n{"problem": "B?", "answer": "7"}\n')
    table = tmp_path / "table.yaml"
    table.write_text("- {kind: number, gold: '3', same: ['3.0', '4'], different: ['5']}\n")
    assert audits.main([str(tmp_path / "some.jsonl"), "--variants", str(table)]) == 0
    out = capsys.readouterr().out
    assert "| itself, in 5 forms | 10 | 10 | 100.00% |" in out
    assert "| all: variants | 2 | 1 | 50.00% |" in out
    assert "- not accepted (number: variants): 3  and  4" in out
    assert audits.main([str(tmp_path / "none.json")]) == 2
    assert "cannot read problems" in capsys.readouterr().err
