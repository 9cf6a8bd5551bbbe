"""GSM-Infinite problems: exactly op operations, told from the text alone; determinism, mixtures, splits and files."""

from __future__ import annotations

import json
import re
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.gsm_infinite.shape import MEASURES, by_op, whole
from tests.tasks.gsm_infinite.test_gsm_verify import edges

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks import GsmInfinite, Problem, held_out
from edgewise.tasks.base import check_disjoint, guessing_floor
from edgewise.tasks.gsm_infinite.context import load_context
from edgewise.tasks.gsm_infinite.solution import read

FIXED = settings(derandomize=True, max_examples=80, deadline=None)
TASK = GsmInfinite()
ANYWHERE: dict[str, Any] = {
    "mode": {"forward": 0.5, "reverse": 0.5},
    "context": {"zoo": 0.4, "school": 0.3, "festival": 0.3},
}
QUANTITY = re.compile(r"(total )?number of ([^,.?]+?) in ([^,.?]+?)(?=,| and the | equals| exists|\.|$)")


def solve(problem: Problem) -> tuple[dict[str, int], str]:
    """Every quantity's value and the one asked for, from the prompt alone, given the answer of a reverse problem."""
    body = problem.prompt.removeprefix("<question> ").removesuffix(" </question>")
    *sentences, question = re.split(r"(?<=\.) ", body)
    equations: dict[str, str] = {}
    values: dict[str, int] = {}
    given: list[tuple[str, int]] = []
    for sentence in sentences:
        if sentence.endswith("exists, and its number is greater than 0."):
            name = sentence.removeprefix("The number of ").partition(" exists")[0]
            values[name] = int(problem.answer)
            continue
        left, right = sentence.removeprefix("The ").removesuffix(".").split(" equals ")
        name = left.removeprefix("number of ")
        if right.isdecimal() and (left.startswith("total") or int(right) > 4 or name in equations):
            given.append((name, int(right)))
        elif name in equations:
            given.append((name, int(equations[name])))
            equations[name] = right
        else:
            equations[name] = right
    while True:
        left_over = [name for name in equations if name not in values]
        if not left_over:
            break
        for name in left_over:
            text = equations[name]
            parents = [
                f"{total}number of {item} in {place}" if total else f"{item} in {place}"
                for total, item, place in QUANTITY.findall(text)
            ]
            known = []
            for parent in parents:
                if parent.startswith("total"):
                    place = parent.rpartition(" in ")[2]
                    items = [
                        other
                        for other in {*equations, *values}
                        if other.endswith(f" in {place}") and not other.startswith("total")
                    ]
                    if all(item in values for item in items):
                        known.append(sum(values[item] for item in items))
                elif parent in values:
                    known.append(values[parent])
            if len(known) == len(parents):
                number = re.match(r"\d+", text)
                value = known[0] - known[1] if "difference" in text else sum(known)
                value = (
                    int(number[0]) + value
                    if number and " times " not in text
                    else value * int(number[0])
                    if number
                    else value
                )
                values[name] = value
                break
        else:
            raise AssertionError(f"{left_over} do not follow from the statements")
    for place in {name.rpartition(" in ")[2] for name in values}:
        total = f"total number of {TASK.contexts[problem.meta['context']].all} in {place}"
        values[total] = sum(value for name, value in values.items() if name.endswith(f" in {place}"))
    assert all(values[name] == value for name, value in given)
    asked = re.match(r"How many (.*) does (.*) have\?|What is the (.*)\?", question)
    assert asked
    return values, asked[3] or f"{asked[1]} in {asked[2]}"


@FIXED
@given(seed=st.integers(0, 10**9), op=st.integers(2, 40))
def test_problems_have_exactly_op_operations_and_follow_from_their_text(seed: int, op: int) -> None:
    for problem in TASK.block(seed, 0, 4, op=(op, op), **ANYWHERE):
        assert problem.category == str(op)
        assert edges(problem.solution) == op
        values, asked = solve(problem)
        assert values[asked] == int(problem.answer)
        verdict = TASK.verify(problem, problem.solution)
        assert verdict.correct
        x = int(problem.answer)
        for name, steps in read(problem.solution).steps.items():
            a, b = steps[0].value or (0, -1)
            assert values[name] == (a * x + b if problem.meta["mode"] == "reverse" else b)
            assert values[name] > 0


def test_the_end_of_reverse_solutions_is_true() -> None:
    for problem in TASK.block(1, 0, 200, op=(2, 30), mode="reverse"):
        equations = re.search(
            r"so we have (.*?) = (\d+) and .*Divide both sides by (\d+): x = (\d+) / \3\. Solution: x = (\d+)\.",
            problem.solution,
        )
        assert equations
        left, given, a, right, x = equations.groups()
        coefficient, constant = re.fullmatch(r"(?:(\d+)\*)?x(?: \+ (\d+))?", left).groups()  # type: ignore[union-attr]
        assert int(coefficient or 1) == int(a)
        assert int(a) * int(x) == int(right) == int(given) - int(constant or 0)
        assert f"equals {given}." in problem.prompt
        assert x == problem.answer


def test_totals_are_never_stated_in_forward_problems() -> None:
    for problem in TASK.block(2, 0, 200, op=(2, 20)):
        assert "The total" not in problem.prompt
        assert len(re.findall(r"The number of [^.]* equals ", problem.prompt)) == problem.prompt.count(". ")


def _block(bounds: tuple[int, int]) -> list[Problem]:
    return TASK.block(5, *bounds, op=(2, 20), **ANYWHERE)


def test_processes_share_a_range_out_and_get_the_same_problems() -> None:
    whole_range = _block((0, 60))
    assert [TASK.problem(5, index, op=(2, 20), **ANYWHERE) for index in (0, 17, 59)] == [
        whole_range[i] for i in (0, 17, 59)
    ]
    with ProcessPoolExecutor(2) as processes:
        parts = list(processes.map(_block, [(40, 60), (0, 15), (15, 40)]))
    assert [*parts[1], *parts[2], *parts[0]] == whole_range


def test_a_problem_is_what_it_was() -> None:
    """The texts of a seed are a promise to those who repeat an experiment."""
    problem = TASK.problem(0, 0, op=(3, 3))
    assert (
        problem.prompt
        == "<question> The number of adult racoon in Cedar Valley equals 2. The number of adult racoon in Hamilton Farm equals 1 plus the number of adult eagle in Hamilton Farm. The number of adult eagle in Hamilton Farm equals the total number of adult animals in Jefferson Circus. The number of adult eagle in Jefferson Circus equals 2. The number of adult racoon in Mayer Aquarium equals 4. The number of adult eagle in Mayer Aquarium equals 2. How many adult eagle does Hamilton Farm have? </question>"
    )
    assert (
        problem.solution
        == "<solution> Define adult eagle in Jefferson Circus as c; so c = 2. Define total number of adult animals in Jefferson Circus as p; so p = c = 2. Define adult eagle in Hamilton Farm as b; so b = p = 2. </solution> <answer> 2 </answer>"
    )


def test_mixtures_are_the_shares_of_what_is_drawn() -> None:
    problems = TASK.block(0, 0, 3000, op={"2-4": 0.2, "5-7": 0.3, 8: 0.5}, mode={"forward": 0.9, "reverse": 0.1}, context={"zoo": 0.25, "school": 0.75})  # fmt: skip
    ops = np.array([problem.meta["op"] for problem in problems])
    assert [np.mean(ops == op) for op in range(2, 9)] == pytest.approx([0.2 / 3] * 3 + [0.1] * 3 + [0.5], abs=0.03)
    assert np.mean([problem.meta["mode"] == "reverse" for problem in problems]) == pytest.approx(0.1, abs=0.02)
    assert np.mean([problem.meta["context"] == "zoo" for problem in problems]) == pytest.approx(0.25, abs=0.03)


def test_components_hold_their_own_settings() -> None:
    mixture = [{"share": 0.9, "op": (5, 6)}, {"share": 0.1, "op": (2, 2), "context": "school", "mode": "reverse"}]
    problems = TASK.block(0, 0, 2000, mixture=mixture, context="festival")
    seen = Counter((problem.meta["op"], problem.meta["context"], problem.meta["mode"]) for problem in problems)
    assert set(seen) == {(5, "festival", "forward"), (6, "festival", "forward"), (2, "school", "reverse")}
    assert seen[2, "school", "reverse"] / 2000 == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(
    ("difficulty", "error", "message"),
    [
        ({"op": (1, 3)}, ConfigError, r"inside 2\.\.40"),
        ({"op": (3, 41)}, ConfigError, r"inside 2\.\.40"),
        ({"op": {"2-4": 0.5, 5: 0.4}}, ConfigError, r"sum to 1, got \[0\.5, 0\.4\], which is 0\.9"),
        ({"op": {"2-4": 1.000002}}, ConfigError, "sum to 1"),
        ({"op": {"4-2": 1.0}}, ConfigError, "op must be a range"),
        ({"op": {"two": 1.0}}, ConfigError, "op must be a range"),
        ({"mode": "backward"}, ConfigError, "mode must be one of forward, reverse"),
        ({"mode": {"forward": 0.86, "reverse": 0.06}}, ConfigError, "sum to 1"),
        ({"mode": {"forward": 1.1, "reverse": -0.1}}, ConfigError, "numbers >= 0"),
        ({"context": "circus"}, ConfigError, "context must be one of zoo, school, festival"),
        ({"context": {"zoo": float("nan"), "school": 1.0}}, ConfigError, "numbers >= 0"),
        ({"modes": "reverse"}, ConfigError, "unknown difficulty setting 'modes'"),
        ({"mixture": []}, ConfigError, "a mixture is a list"),
        ({"mixture": [{"op": (2, 3)}]}, ConfigError, "each with a share"),
        ({"mixture": [{"share": 0.5}, {"share": 0.4}]}, ConfigError, "sum to 1"),
        ({"mixture": [{"share": 1.0, "ops": (2, 3)}]}, ConfigError, "unknown setting in a mixture 'ops'"),
        ({"answers": (0, 5)}, TaskError, "answers must be a range"),
        ({"distractors": 21}, TaskError, "distractors"),
    ],
)
def test_impossible_difficulties_are_named(difficulty: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TASK.problems(1, 0, **difficulty)


def test_shares_may_miss_one_by_a_millionth() -> None:
    assert len(TASK.problems(3, 0, op={2: 0.5, 3: 0.4999995})) == 3


def test_distractors_are_as_many_as_asked_for() -> None:
    column = MEASURES.index("distractors")
    assert by_op(TASK.block(0, 0, 100, op=(9, 9), distractors=0))[9][:, column].max() == 0
    assert by_op(TASK.block(0, 0, 600, op=(9, 9), distractors=5))[9][:, column].mean() == pytest.approx(5, abs=0.5)


def test_guessing_does_not_pay_in_reverse_problems() -> None:
    for op in (2, 6, 14):
        problems = TASK.block(0, 0, 4000, op=(op, op), mode="reverse")
        assert guessing_floor(problems) < 0.02
        assert guessing_floor(problems, 128) == 1
    original = TASK.block(0, 0, 2000, op=(6, 6), mode="reverse", answers=(1, 4))
    assert {problem.answer for problem in original} == {"1", "2", "3", "4"}
    assert guessing_floor(original) == pytest.approx(0.25, abs=0.03)
    with pytest.raises(TaskError, match="no problems"):
        guessing_floor([])


def test_a_split_that_leaks_is_named() -> None:
    training, evaluation = TASK.problems(200, 0, op=(4, 5)), TASK.problems(200, 0, op=(4, 5), split="eval")
    check_disjoint(training, evaluation)
    assert all(held_out(problem.content) for problem in evaluation)
    body = training[3].prompt.removeprefix("<question> ").removesuffix(" </question>")
    *sentences, question = re.split(r"(?<=\.) ", body)
    shuffled = {
        "op": 4,
        "mode": "forward",
        "context": "zoo",
        "problem": " ".join(sentences[::-1]),
        "question": question,
    }
    assert len(sentences) > 1
    work = training[3].solution.removeprefix("<solution> ").partition(" </solution>")[0]
    again = _loaded(shuffled | {"solution": f"{work} Answer: {training[3].answer}."})
    assert again.prompt != training[3].prompt
    with pytest.raises(TaskError, match=r"leaks: 1 evaluation problems .*'<question> The"):
        check_disjoint(training, [*evaluation, again])


def _loaded(sample: dict[str, Any]) -> Problem:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problems.jsonl"
        path.write_text(json.dumps(sample) + "\n", encoding="utf-8")
        return TASK.load(path)[0]


SAMPLE = {
    "op": 2,
    "mode": "forward",
    "context": "school",
    "problem": "The number of elementary school in Brightford equals 3. The number of elementary school in Ruby Bay equals 1.",
    "question": "What is the total number of schools in Brightford?",
    "solution": "Define elementary school in Brightford as O; so O = 3. Define total number of schools in Brightford as P;"
    " so P = O = 3. Answer: 3.",
}


def test_problems_are_read_from_a_file() -> None:
    problem = _loaded(SAMPLE)
    assert problem.prompt == f"<question> {SAMPLE['problem']} {SAMPLE['question']} </question>"
    assert problem.solution.endswith("so P = O = 3. </solution> <answer> 3 </answer>")
    assert (problem.answer, problem.category, problem.meta) == (
        "3",
        "2",
        {"op": 2, "mode": "forward", "context": "school"},
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"op": "2"}, "line 1 of .*: not a problem with op"),
        ({"solution": "so."}, "does not end with 'Answer: NUMBER.'"),
        (
            {"solution": str(SAMPLE["solution"]).replace("O = 3. Answer", "O = 4. Answer")},
            "does not verify: wrong arithmetic",
        ),
        ({"solution": "Nothing. Answer: 3."}, "defines no quantity"),
    ],
)
def test_files_that_are_wrong_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        _loaded(SAMPLE | change)


def test_lines_that_do_not_verify_are_left_out_and_named(tmp_path: Path) -> None:
    wrong = SAMPLE | {"solution": str(SAMPLE["solution"]).replace("O = 3. Answer", "O = 4. Answer")}
    path = tmp_path / "problems.jsonl"
    path.write_text("\n".join([json.dumps(SAMPLE), "", json.dumps(wrong), "{", json.dumps(SAMPLE)]), encoding="utf-8")
    with pytest.warns(UserWarning, match=r"2 of 4 problems in .* left out: line 3: the solution does not verify"):
        problems = TASK.load(path)
    assert len(problems) == 2
    assert [one.line for one in problems.left_out] == [3, 4]
    assert [one.reason.partition(" (")[0] for one in problems.left_out] == [
        "the solution does not verify: wrong arithmetic",
        "not JSON",
    ]
    with pytest.raises(TaskError, match=r"line 3 of .*: the solution does not verify: wrong arithmetic \(2 of"):
        TASK.load(path, strict=True)


def test_lines_end_with_line_feeds_alone(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    lines = [json.dumps(SAMPLE | {"source": "a\u2028b\x85c"}, ensure_ascii=False)] * 2
    path.write_text("\r\n".join(lines), encoding="utf-8-sig")
    assert len(TASK.load(path, strict=True)) == 2


def test_values_in_which_x_is_subtracted_are_read() -> None:
    """The original generator writes the constant first where the coefficient of x is negative: `6 - x`."""
    solution = (
        "The question is difficult, so we use equations to solve it. Define public highschool in Ruby Bay as x; we don't know"
        " its value yet but will find it out later. Define elementary school in Ruby Bay as A; so A = 9. Define private middle"
        " school in Ruby Bay as B; d = A - x = (9) - (x) = 9 - x; so B = 2 * d = (2) * (9 - x) = 18 - 2*x. We know B = 14, so we"
        " have 18 - 2*x = 14 and we solve it through the following steps: Simplifying the equation: 18 - 2*x = 14. Move all"
        " terms to one side: 4 - 2*x = 0. Isolate the term with x: -2*x = -4. Divide both sides by -2: x = -4 / -2. Solution:"
        " x = 2. Answer: 2."
    )
    problem = _loaded(SAMPLE | {"mode": "reverse", "solution": solution})
    assert TASK.verify(problem, problem.solution).correct
    assert (
        TASK.verify(problem, problem.solution.replace("= 18 - 2*x. We", "= 16 - 2*x. We")).reason == "wrong arithmetic"
    )


def test_reverse_problems_without_an_equation_are_left_out() -> None:
    with pytest.raises(TaskError, match="no equation in x"):
        _loaded(SAMPLE | {"mode": "reverse"})


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="cannot read problems"):
        TASK.load(tmp_path / "absent.jsonl")
    (tmp_path / "junk.jsonl").write_text("{")
    with pytest.raises(TaskError, match=r"line 1 of .*junk\.jsonl: not JSON"):
        TASK.load(tmp_path / "junk.jsonl")


def test_every_original_problem_is_read_and_verified(samples_path: Path) -> None:
    problems = TASK.load(samples_path)
    assert len(problems) == 536
    assert all(TASK.verify(problem, problem.solution).correct for problem in problems)
    assert max(guessing_floor([p for p in problems if p.meta["mode"] == "reverse"], k) for k in (1, 4)) == 1


def test_problems_resemble_those_of_the_original_generator(samples_path: Path) -> None:
    """Mean measures over all ops: within 20% of the original's, or a few hundredths for shares; depth and size per op."""
    for mode in ("forward", "reverse"):
        theirs = by_op(
            problem for problem in TASK.load(samples_path) if whole(problem) and problem.meta["mode"] == mode
        )
        ours = {op: by_op(TASK.block(0, 0, 300, op=(op, op), mode=mode, answers=(1, 4)))[op] for op in theirs}
        mean = {
            name: [np.mean([rows[:, column].mean() for rows in side.values()]) for side in (theirs, ours)]
            for column, name in enumerate(MEASURES)
        }
        for name in ("nodes", "totals", "places", "leaves", "depth", "most used", "statements", "digits"):
            assert mean[name][1] == pytest.approx(mean[name][0], rel=0.2), name
        for name in ("sums", "differences", "products"):
            assert mean[name][1] == pytest.approx(mean[name][0], abs=0.06), name
        assert mean["distractors"][1] == pytest.approx(mean["distractors"][0], abs=0.8)
        for op in theirs:
            for name, slack in (("nodes", 1.2), ("depth", 1.3), ("totals", 0.6)):
                column = MEASURES.index(name)
                assert ours[op][:, column].mean() == pytest.approx(theirs[op][:, column].mean(), abs=slack), (op, name)


def test_a_context_is_a_file(tmp_path: Path) -> None:
    places = [
        f"{name} Harbour"
        for name in ("North", "South", "East", "West", "Old", "New", "Inner", "Outer", "Upper", "Lower")
    ]
    names = {"places": places, "items": ["red boat", "blue boat", "old ferry", "tug", "fast yacht"], "all": "vessels"}
    path = tmp_path / "harbour.json"
    path.write_text(json.dumps(names))
    task = GsmInfinite([str(path), "zoo"])
    problems = task.problems(50, 0, op=(2, 40), mode={"forward": 0.5, "reverse": 0.5})
    assert {problem.meta["context"] for problem in problems} == {"harbour"}
    assert all(task.verify(problem, problem.solution).correct for problem in problems)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"items": ["tug"]}, "at least 5 items"),
        ({"places": [*places[:9], "Inner Harbour."]}, "is not a name"),
        ({"places": [*places[:9], "North Harbour"]}, "'North Harbour' stands twice"),
        ({"all": "tug"}, "stands twice"),
        ({"all": 3}, "is not a name"),
        ({"more": []}, "must be an object with places, items and all"),
    ]
    for change, message in changes:
        path = tmp_path / f"{abs(hash(message))}.json"
        path.write_text(json.dumps(names | change))
        with pytest.raises(ConfigError, match=message):
            load_context(str(path))
    with pytest.raises(ConfigError, match=r"unknown context 'zo'\. Did you mean 'zoo'"):
        GsmInfinite(["zo"])
    with pytest.raises(ConfigError, match="different names"):
        GsmInfinite(["zoo", "zoo"])
    with pytest.raises(ConfigError, match="a list of names"):
        GsmInfinite("zoo")


def test_contexts_share_no_names() -> None:
    names = [name for context in TASK.contexts.values() for name in (*context.places, *context.items, context.all)]
    assert len(names) == len(set(names))
