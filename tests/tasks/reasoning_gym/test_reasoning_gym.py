"""reasoning_gym: all data sets as tasks, no overlap of seeds, correctness by threshold, and answers that are never executed."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("reasoning_gym")

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks import Problem, make_task
from edgewise.tasks.hostile import hostile_texts
from edgewise.tasks.reasoning_gym import ReasoningGym, list_datasets
from edgewise.tasks.reasoning_gym.scoring import check_expression

pytestmark = pytest.mark.filterwarnings("ignore")
SLOW = ("knight_swap", "futoshiki", "arc_agi", "rearc")
"""Seconds for one entry, or files that are read first."""


@pytest.fixture(scope="module")
def task() -> ReasoningGym:
    return ReasoningGym("chain_sum")


def test_the_gold_answer_is_correct_and_others_are_not(task: ReasoningGym) -> None:
    for problem in task.problems(20, 0):
        assert task.verify(problem, problem.solution).correct
        assert task.verify(problem, f"Let me see.\nThe answer is {problem.answer}.").correct
        wrong = task.verify(problem, f"<answer>{int(problem.answer) + 1}</answer>")
        assert (wrong.correct, wrong.reason) == (False, "wrong answer")
        assert problem.category == "chain_sum"


def test_partial_credit_is_not_correctness(task: ReasoningGym) -> None:
    problem = task.problems(1, 0)[0]
    near = f"<answer>{problem.answer} or 1234567</answer>"
    verdict = task.verify(problem, near)
    assert not verdict.correct
    assert 0 < verdict.score < 1
    lenient = ReasoningGym("chain_sum", threshold=verdict.score)
    assert lenient.verify(problem, near).correct
    for threshold in (0, 1.5, -1, float("nan"), "high"):
        with pytest.raises(ConfigError, match=r"threshold must be a score in \(0, 1\]"):
            ReasoningGym("chain_sum", threshold=threshold)  # type: ignore[arg-type]


def test_nearby_seeds_share_no_entries() -> None:
    import reasoning_gym

    # The package itself: entry i of a seed is entry i - 1 of the next one.
    here, there = (reasoning_gym.create_dataset("chain_sum", seed=seed, size=20) for seed in (5, 6))
    assert [here[i]["question"] for i in range(1, 20)] == [there[i]["question"] for i in range(19)]
    task = ReasoningGym("chain_sum", config={"min_terms": 5, "max_terms": 6, "min_digits": 4, "max_digits": 6})
    seen: set[str] = set()
    for seed in range(5):
        contents = {problem.content for problem in task.problems(300, seed)}
        assert not contents & seen
        seen |= contents
    places = [
        {(p.meta["seed"] + p.meta["index"]) for p in itertools.islice(task.source(seed), 1500)} for seed in range(4)
    ]
    assert all(not a & b for a, b in itertools.combinations(places, 2))
    assert all(len(place) == 1500 for place in places)  # two blocks of one seed do not overlap either


def test_problems_are_deterministic_and_a_longer_list_begins_with_the_shorter(task: ReasoningGym) -> None:
    assert task.problems(60, 3)[:20] == task.problems(20, 3) != task.problems(20, 4)
    train, evaluation = task.problems(200, 0), task.problems(50, 0, split="eval")
    assert not {p.id for p in train} & {p.id for p in evaluation}


def test_data_sets_that_draw_from_sets_make_the_same_problems_in_every_process() -> None:
    task = ReasoningGym(["polynomial_multiplication", "isomorphic_strings", "ransom_note"])
    problems = task.problems(20, 0)
    code = (
        "from edgewise.tasks.reasoning_gym import ReasoningGym;"
        f"print(*(p.id for p in ReasoningGym({list(task.datasets)}).problems(20, 0)))"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ids = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert ids.stdout.split() == [problem.id for problem in problems]
    # The grader has the same entry: another spelling of the gold answer is right.
    products = [problem for problem in problems if problem.category == "polynomial_multiplication"]
    assert products
    assert all(task.verify(problem, f"<answer>({problem.answer})</answer>").correct for problem in products)


def test_an_entry_that_cannot_be_made_is_named(task: ReasoningGym, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task._maker, "ask", lambda request: {"error": "limit"})
    with pytest.raises(TaskError, match=r"data set chain_sum of reasoning-gym made no entry 0 of seed \d+ \(limit\)"):
        task.problems(1, 0)


def test_shares_and_settings_of_data_sets() -> None:
    task = ReasoningGym(
        {"chain_sum": 0.75, "number_sorting": 0.25}, config={"chain_sum": {"min_terms": 6, "max_terms": 6}}
    )
    problems = task.problems(200, 0)
    counts = [problem.category for problem in problems]
    assert 0.65 < counts.count("chain_sum") / 200 < 0.85
    assert all(p.prompt.count("+") + p.prompt.count("- ") >= 5 for p in problems if p.category == "chain_sum")
    other = task.problems(10, 0, datasets="leg_counting", config={})
    assert {problem.category for problem in other} == {"leg_counting"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"datasets": "chain_sums"}, "unknown data set of reasoning-gym 'chain_sums'. Did you mean 'chain_sum'"),
        ({"datasets": "composite"}, "unknown data set"),
        ({"datasets": []}, "different names"),
        ({"datasets": ["chain_sum", "chain_sum"]}, "different names"),
        ({"datasets": {"chain_sum": 0.5}}, "sum to 1"),
        ({"config": {"min_digit": 3}}, "refuses the settings .*min_digit"),
        ({"config": {"min_digits": 5, "max_digits": 2}}, "refuses the settings"),
        (
            {"datasets": ["chain_sum", "leg_counting"], "config": {"countdown": {}}},
            "settings of 'countdown', which is none of",
        ),
        ({"prompt": "?"}, r"must contain \{problem\}"),
        ({"config": 3}, "config must be settings"),
    ],
)
def test_impossible_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_task("reasoning_gym", **options)


def test_impossible_difficulties_are_named(task: ReasoningGym) -> None:
    with pytest.raises(ConfigError, match="unknown difficulty setting 'level'"):
        task.problems(1, 0, level=3)
    with pytest.raises(TaskError, match="seed must be at least 0"):
        task.problems(1, -1)


GRADED = ["countdown", "puzzle24", "n_queens", "binary_matrix", "spiral_matrix", "string_insertion", "simple_integration", "polynomial_multiplication", "graph_color", "number_sorting"]  # fmt: skip


@pytest.mark.parametrize("name", GRADED)
def test_graders_that_evaluate_answers_do_not_execute_them(name: str, tmp_path: Path) -> None:
    task = ReasoningGym(name)
    problem = task.problems(1, 0)[0]
    if problem.answer:
        # Spaces around an answer keep it from the shortcut of equal texts where the grader strips it.
        assert task.verify(problem, f"<answer>{problem.answer}</answer>").correct
    trace = tmp_path / "trace"
    for attack in (
        f"__import__('os').system('touch {trace}')",
        f"[__import__('os').system('touch {trace}')]",
        f"open('{trace}', 'w')",
        f"(lambda: open('{trace}','w'))()",
        f'x + exec(\'open("{trace}", "w")\')',
        "().__class__.__base__.__subclasses__()",
        "9**9**9**9",
        "factorial(10**9)",
        "[" * 5000 + "]" * 5000,
    ):
        assert not task.verify(problem, f"<answer>{attack}</answer>").correct
    assert not trace.exists()


def test_expressions_of_the_graders() -> None:
    for text in ("3*x**2 + C", "sin(x)/2 + log(x)", "(1 + 2)*3 - 4/5", "exp(2*x)*3.5", "x^2"):
        check_expression(text)
    for text in ("os", "x.y", "x.__class__", "__import__('os')", "open(x)", "9**9**9", "2**1000", "1" * 501, "lambda", "a[0]", "x;y", ""):  # fmt: skip
        with pytest.raises(ValueError, match="not an expression"):
            check_expression(text)


@pytest.mark.parametrize("name", hostile_texts())
def test_hostile_completions_are_wrong(task: ReasoningGym, name: str) -> None:
    problem = task.problems(1, 0)[0]
    assert not task.verify(problem, hostile_texts()[name]).correct


def test_a_problem_without_its_metadata_is_refused(task: ReasoningGym) -> None:
    with pytest.raises(TaskError, match="by its `meta`"):
        task.verify(Problem("?", "", "3", "chain_sum"), "<answer>4</answer>")


OTHER_FORMS: dict[str, Callable[[str], str]] = {
    "coin_flip": lambda gold: str(Fraction(gold)),
    "complex_arithmetic": lambda gold: gold.replace(" ", ""),
    "game_of_life_halting": str.lower,
    "puzzle24": lambda gold: f"({gold})",
}
"""Right answers that are not equal to the gold ones as texts, of data sets whose own graders give full scores to wrong ones."""


@pytest.mark.parametrize("name", OTHER_FORMS)
def test_no_answer_is_right_for_all_problems(name: str) -> None:
    task = ReasoningGym(name)
    problems = task.problems(8, 0)
    for answer in ("0", "1", "yes", "banana", "[]", "nan", "True", "6 + 6 + 6 + 6"):
        right = {problem.answer for problem in problems if task.verify(problem, f"<answer>{answer}</answer>").correct}
        assert right <= {answer}
    assert all(task.verify(p, f"<answer>{OTHER_FORMS[name](p.answer)}</answer>").correct for p in problems)


@pytest.mark.parametrize(
    ("name", "forms"), [("gsm_symbolic", ("-{}", "{} or 7", "not -{}")), ("coin_flip", ("0", "-{}", "0.{}"))]
)
def test_a_sign_another_number_and_nearly_nothing_are_wrong(name: str, forms: tuple[str, ...]) -> None:
    task = ReasoningGym(name)
    for problem in task.problems(30, 1):
        assert task.verify(problem, f"<answer> {problem.answer} </answer>").correct
        for form in forms:
            assert not task.verify(problem, f"<answer>{form.format(problem.answer)}</answer>").correct, form


def test_several_data_sets_make_problems() -> None:
    names = [name for name in list_datasets() if name not in SLOW]
    if not os.environ.get("EDGEWISE_ALL_DATASETS"):
        names = names[::7]
    for name in names:
        task = ReasoningGym(name)
        problem = task.problems(1, 0)[0]
        assert problem.prompt
        assert not problem.answer or task.verify(problem, problem.solution).correct, name
        assert not task.verify(problem, "<answer>certainly not</answer>").correct, name
