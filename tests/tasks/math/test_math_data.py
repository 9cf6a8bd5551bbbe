"""math: rows of every format, columns by name, and bad data sets refused in one sentence."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks import make_task
from edgewise.tasks.base import check_disjoint
from edgewise.tasks.math import Math
from edgewise.tasks.math.records import text_of

ROWS: list[dict[str, Any]] = [
    {
        "problem": f"What is {i} + {i}?",
        "answer": str(2 * i),
        "level": i % 5 + 1,
        "subject": "sums" if i % 2 else "evens",
    }
    for i in range(100)
]


def plain(*sources: Any, **options: Any) -> Math:
    return Math(*sources, grader="plain", **options)


def write(path: Path, rows: Any) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    elif path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows), encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.parquet"])
def test_every_format_gives_the_same_problems(tmp_path: Path, name: str) -> None:
    made = plain(write(tmp_path / name, ROWS))
    assert made.problems(50, 0) == plain(ROWS).problems(50, 0)
    assert (made.count() + made.count("eval")) == 100
    assert plain(str(tmp_path / name)).problems(5, 1, split="eval") == made.problems(5, 1, split="eval")


def test_hugging_face_data_sets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    dataset = datasets.Dataset.from_list(ROWS)
    assert plain(dataset).problems(50, 0) == plain(ROWS).problems(50, 0)
    dataset.save_to_disk(str(tmp_path / "saved"))
    assert plain(tmp_path / "saved").problems(50, 0) == plain(ROWS).problems(50, 0)


def test_columns_of_an_object_and_a_wrapped_list(tmp_path: Path) -> None:
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    assert plain(write(tmp_path / "columns.json", columns)).problems(50, 0) == plain(ROWS).problems(50, 0)
    assert plain(write(tmp_path / "wrapped.json", {"version": 1, "data": ROWS})).count() == plain(ROWS).count()


def test_problems_are_deterministic_distinct_and_split() -> None:
    task = plain(ROWS)
    assert task.problems(60, 3)[:20] == task.problems(20, 3) != task.problems(20, 4)
    train, evaluation = task.problems(task.count(), 0), task.problems(task.count("eval"), 0, split="eval")
    check_disjoint(train, evaluation)
    assert len({problem.id for problem in train + evaluation}) == 100
    with pytest.raises(TaskError, match=f"101 problems wanted, but the train side of the data set has {task.count()}"):
        task.problems(101, 0)


def test_an_evaluation_file_is_the_evaluation_side() -> None:
    task = plain(ROWS, ROWS[:30])
    assert (task.count("eval"), task.count()) == (30, 70)
    check_disjoint(task.problems(70, 0), task.problems(30, 0, split="eval"))
    assert "30 duplicates (row 1 (evaluation)" in str(task.reports["train"])
    with pytest.raises(TaskError, match="every problem of list in memory is an evaluation problem too"):
        plain(ROWS[:5], ROWS)


def test_the_prompt_is_no_part_of_the_identity() -> None:
    one, other = plain(ROWS), plain(ROWS, prompt="{problem} {not a field}\nAnswer:")
    assert [p.id for p in one.problems(20, 0)] == [p.id for p in other.problems(20, 0)]
    assert other.problems(1, 0)[0].prompt.endswith("? {not a field}\nAnswer:")


def test_levels_and_subjects_are_difficulty() -> None:
    task = plain(ROWS)
    assert {p.meta["level"] for p in task.problems(10, 0, level=(2, 3))} == {"2", "3"}
    assert {p.category for p in task.problems(5, 0, level=["5"], subject="sums")} == {"5"}
    assert task.problems(5, 0, level=3) == task.problems(5, 0, level="3") == task.problems(5, 0, level=(3, 3))
    assert task.problems(5, 0, level=None, subject=None) == task.problems(5, 0)
    assert {p.meta["subject"] for p in task.problems(10, 0, subject=["evens"])} == {"evens"}
    with pytest.raises(ConfigError, match="unknown subject 'topology'; the data set has evens, sums"):
        task.problems(1, 0, subject="topology")
    with pytest.raises(ConfigError, match="unknown subject '7'"):
        task.problems(1, 0, subject=7)
    with pytest.raises(ConfigError, match="unknown difficulty setting 'levels'"):
        task.problems(1, 0, levels=3)
    assert {p.category for p in plain(ROWS, category="level and subject").problems(60, 0)} >= {"evens 1", "sums 2"}


def test_answers_come_from_solutions() -> None:
    task = plain(
        [
            {"question": "A?", "solution": "We get $\\boxed{\\frac{1}{2}}$."},
            {"question": "B?", "answer": "2 + 5 = <<2+5=7>>7\n#### 7"},
            {"question": "C?", "answer": 142.0},
            {"question": "D?", "answer": 0.25, "solution": "no box here"},
        ]
    )
    problems = {p.prompt[0]: p for side in ("train", "eval") for p in task.problems(task.count(side), 0, split=side)}  # type: ignore[arg-type]
    assert {name: p.answer for name, p in problems.items()} == {"A": "\\frac{1}{2}", "B": "7", "C": "142", "D": "0.25"}
    assert problems["B"].solution.startswith("2 + 5")
    for problem in problems.values():
        assert task.verify(problem, problem.solution).correct


def test_cells_that_hold_one_value_are_that_value() -> None:
    cells = [["4"], ("4",), np.int64(4), np.float32(4), np.array(["4"]), np.array([[4.0]]), Decimal("4"), Fraction(4)]
    assert [text_of(cell) for cell in cells] == ["4"] * len(cells)
    assert [
        text_of(cell) for cell in (["4", "5"], [], {"a": 4}, np.array([4, 5]), None, np.float64("nan"), [None])
    ] == [""] * 7


def test_missing_columns_are_named_with_those_present() -> None:
    rows = [{"text": "A?", "label": "1"}, {"text": "B?", "label": "2"}]
    with pytest.raises(TaskError, match=r"no column for the problem .* the columns of list in memory are text, label"):
        plain(rows)
    with pytest.raises(
        TaskError, match=r"no column for the answer or the solution .* are text, label; name it: answer="
    ):
        plain(rows, problem="text")
    with pytest.raises(TaskError, match=r"column 'gold' for the answer is missing; the columns of .* are text, label"):
        plain(rows, problem="text", answer="gold")
    assert plain(rows, problem="text", answer="label").count() >= 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[]", "has no rows"),
        ("{}", "must hold a list of objects"),
        ("3", "must hold a list of objects"),
        ("[1, 2]", "row 1 of .* is a int, not an object"),
        ('[{"problem": "A?", "answer": ""}]', "no problem with an answer is left"),
        ('[{"problem": "", "answer": "1"}]', "no problem with an answer is left"),
        ("[" * 100_000, "is not JSON"),
        (
            '[{"prompt": [{"role": "user", "content": "A?"}, {"role": "user", "content": "B?"}], "answer": "1"}]',
            "column 'prompt' for the problem holds no text and no number but values such as .* name another column: problem=",
        ),
        ('[{"prompt": "A?", "answer": ["1", "2"]}]', "column 'answer' for the answer holds no text and no number"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(TaskError, match=message):
        plain(tmp_path / "bad.json")


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="cannot read problems from"):
        plain(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TaskError, match="cannot read problems from"):
        plain(tmp_path / "bytes.json")
    (tmp_path / "table.csv").write_text("problem,answer\nA?,1\n")
    with pytest.raises(TaskError, match=r"is not JSON: .*; name a file of problems, \.json, \.jsonl or \.parquet"):
        plain(tmp_path / "table.csv")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(TaskError, match="not a readable Parquet file"):
        plain(tmp_path / "bad.parquet")
    (tmp_path / "bad.jsonl").write_text('{"problem": "A?", "answer": "1"}\n{"problem":\n')
    with pytest.raises(TaskError, match=r"line 2 of .*bad\.jsonl is not JSON"):
        plain(tmp_path / "bad.jsonl")


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    with pytest.raises(TaskError, match=r"is no folder of a Hugging Face data set"):
        plain(tmp_path)


def test_answers_that_do_not_parse_are_counted_listed_and_excluded_when_asked() -> None:
    rows = [*ROWS[:8], {"problem": "E?", "answer": None}, {"problem": "F?", "answer": "\\frac{1}{2"}]
    with pytest.warns(UserWarning, match="2 answers that do not parse .*row 9"):
        kept = plain(rows)
    assert kept.count() + kept.count("eval") == 10
    assert (
        "2 answers that do not parse (row 9: '' (no answer), row 10: '\\\\frac{1}{2' (unbalanced braces))"
        in kept.report
    )
    excluded = plain(rows, unparsed="exclude")
    assert excluded.count() + excluded.count("eval") == 8
    with pytest.raises(TaskError, match=r"answers that do not parse: .*row 9"):
        plain(rows, unparsed="refuse")
    lost = next(
        p for p in kept.problems(kept.count(), 0) + kept.problems(kept.count("eval"), 0, split="eval") if not p.answer
    )
    for completion in ("", "\\boxed{}", "\\boxed{$$}", "\\boxed{0}", "#### ."):
        assert not kept.verify(lost, completion).correct


def test_math_verify_finds_answers_that_do_not_parse() -> None:
    rows = [
        *ROWS[:5],
        {"problem": "E?", "answer": "\\sqrt{x}+1"},
        {"problem": "F?", "answer": "\\begin{nonsense}\\end{x} &&"},
    ]
    task = Math(rows, unparsed="exclude")
    assert [entry[0] for entry in task.reports["train"].unparsed] == ["row 7"]


def test_duplicates_are_merged_and_conflicts_refused() -> None:
    rows = [*ROWS[:8], {**ROWS[3], "answer": "6.0"}, {**ROWS[4], "problem": " What is  4 + 4? "}]
    assert plain(rows).reports["train"].duplicates == ["row 9", "row 10"]
    conflicting = [*ROWS[:8], {**ROWS[3], "answer": "7"}]
    with pytest.raises(TaskError, match=r"1 problems of .* have two answers .row 4 and row 9, for example"):
        plain(conflicting)
    first, none = plain(conflicting, conflicts="first"), plain(conflicting, conflicts="exclude")
    assert first.count() + first.count("eval") == 8
    assert none.count() + none.count("eval") == 7


def test_unknown_choices_are_refused() -> None:
    for option in ("category", "unparsed", "conflicts", "grader"):
        with pytest.raises(ConfigError, match=f"{option} must be one of .*, got 'x'"):
            Math(ROWS, **{option: "x"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"must contain \{problem\}"):
        plain(ROWS, prompt="?")


def test_real_data_sets(data: Path) -> None:
    with pytest.warns(UserWarning, match="4 answers that do not parse"):
        task = make_task("math", train=str(data / "math/train_math.json"), eval=str(data / "math/test_math.json"))
    assert isinstance(task, Math)
    assert task.count() + len(task.reports["train"].duplicates) == 7474
    assert task.count("eval") == 500
    assert len(task.reports["train"].unparsed) == 4
    school = Math(data / "gsm8k/train.jsonl", data / "gsm8k/test.jsonl", grader="plain")
    assert (school.count(), school.count("eval")) == (7473, 1319)
    for problem in school.problems(500, 0):
        assert school.verify(problem, problem.solution).correct


def test_worked_solutions_are_demonstrations_and_their_lines_a_category() -> None:
    rows = [
        {"question": f"Twice {a}, and {a}?", "answer": "".join(f"Line {i}.\n" for i in range(a % 10)) + f"#### {3 * a}"}
        for a in range(60)
    ]
    task = plain(rows, category="steps")
    names = {problem.category for problem in task.problems(task.count(), 0)}
    assert names == {"0", "1", "2", "3", "4", "5", "6", "7", "8 or more"}
    shown = task.demonstrations(200, 3)
    assert shown == task.demonstrations(200, 3) != task.demonstrations(200, 4)
    assert shown[:20] == task.demonstrations(20, 3)
    known = {problem.prompt: problem.solution for problem in task.problems(task.count(), 0)}
    assert all(known[prompt] == solution for prompt, solution in shown)
    with pytest.raises(TaskError, match="no worked solutions"):
        plain(ROWS).demonstrations(1, 0)
    with pytest.raises(ConfigError, match="level"):
        task.demonstrations(1, 0, levels=[1])
