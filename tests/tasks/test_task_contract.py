"""The contract checks on every task, and that they find what is broken."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from edgewise.tasks import Countdown, Geometry, GsmInfinite, Math, OpGraph, Problem, School, Task, TextWorld, Verdict
from edgewise.tasks.base import check_difficulty, generator
from edgewise.testing import check_task

RNG = np.random.default_rng()
ROWS = [{"problem": f"What is {i} / 7?", "answer": f"\\frac{{{i}}}{{7}}", "level": i % 3} for i in range(120)]


@pytest.mark.parametrize(
    ("factory", "difficulty"),
    [
        (OpGraph, {}),
        (lambda: OpGraph(contexts=["A", "B"]), {"op": (2, 4), "context": "B"}),
        (Countdown, {}),
        (lambda: Countdown(solutions=True), {"count": (3, 3)}),
        (GsmInfinite, {"op": (2, 5)}),
        (lambda: GsmInfinite(["zoo"]), {"op": (2, 4), "mode": "reverse"}),
        (Geometry, {}),
        (Geometry, {"op": (3, 4), "family": ["fan", "area"]}),
        (School, {}),
        (lambda: School(examples=2), {"level": (2, 3)}),
        (School, {"family": ["ages", "clock"], "level": (3, 4)}),
        (lambda: Math(ROWS), {}),
        (lambda: Math(ROWS, grader="plain"), {"level": (0, 1)}),
    ],
)
def test_tasks_keep_the_contract(factory: Callable[[], Task], difficulty: dict[str, Any]) -> None:
    check_task(factory, **difficulty)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["chain_sum", "number_sorting"])
def test_data_sets_of_reasoning_gym_keep_the_contract(name: str) -> None:
    pytest.importorskip("reasoning_gym")
    from edgewise.tasks import ReasoningGym

    check_task(lambda: ReasoningGym(name), n=16)


@pytest.mark.parametrize("factory", [OpGraph, Countdown, GsmInfinite, lambda: School(examples=1), lambda: Math(ROWS)])
def test_tasks_travel_to_other_processes(factory: Callable[[], Task]) -> None:
    task = factory()
    problem = task.problems(1, 0)[0]
    copy = pickle.loads(pickle.dumps(task))
    assert copy.problems(1, 0) == [problem]
    assert copy.verify(problem, problem.solution).correct
    assert not copy.verify(problem, "<answer>\\sqrt{x}</answer>").correct


class Doubling(Task):
    """The smallest task that keeps the contract."""

    name = "doubling"
    known: tuple[str, ...] = ()

    def source(self, seed: int, **difficulty: Any) -> Iterator[Problem]:
        check_difficulty(difficulty, self.known)
        for value in generator(seed).permutation(1000).tolist():
            yield Problem(f"2 * {value} =", str(2 * value), str(2 * value), "product")

    def verify(self, problem: Problem, completion: str) -> Verdict:
        right = completion.strip() == problem.answer
        return Verdict(right, float(right), reason="correct" if right else "wrong answer")


def test_the_smallest_task_keeps_the_contract() -> None:
    check_task(Doubling)


class Repeats(Doubling):
    def problems(self, n: int, seed: int, **options: Any) -> list[Problem]:
        found = super().problems(n, seed, **options)
        return found[:1] * n


class IgnoresTheSeed(Doubling):
    def source(self, seed: int, **difficulty: Any) -> Iterator[Problem]:
        if seed < 0:
            yield from super().source(seed)
        yield from super().source(0, **difficulty)


class DependsOnN(Doubling):
    def problems(self, n: int, seed: int, **options: Any) -> list[Problem]:
        return super().problems(n, seed, **options)[::-1]


class Leaks(Doubling):
    def problems(self, n: int, seed: int, *, split: Any = "train", **options: Any) -> list[Problem]:
        super().problems(n, seed, split=split, **options)
        return super().problems(n, seed)


class AcceptsAnySetting(Doubling):
    def source(self, seed: int, **difficulty: Any) -> Iterator[Problem]:
        return super().source(seed)


class RaisesOnSettings(Doubling):
    def source(self, seed: int, *, level: int = 1, **none: Any) -> Iterator[Problem]:  # type: ignore[override]
        if none:
            raise TypeError("unexpected")
        return super().source(seed)


class RaisesOnText(Doubling):
    def verify(self, problem: Problem, completion: str) -> Verdict:
        right = int(completion) == int(problem.answer)
        return Verdict(right, float(right), reason="correct" if right else "wrong answer")


class PaysForJunk(Doubling):
    def verify(self, problem: Problem, completion: str) -> Verdict:
        right = completion.strip() == problem.answer or len(completion) > 10_000
        return Verdict(right, float(right), reason="correct" if right else "wrong answer")


class ScoresTooHigh(Doubling):
    def verify(self, problem: Problem, completion: str) -> Verdict:
        verdict = super().verify(problem, completion)
        return verdict if verdict.correct else Verdict(False, 2.0, reason="wrong answer")


class LongReasons(Doubling):
    def verify(self, problem: Problem, completion: str) -> Verdict:
        verdict = super().verify(problem, completion)
        return (
            verdict
            if verdict.correct
            else Verdict(False, 0.0, reason=f"expected {problem.answer}, got {completion} instead of it")
        )


class Contradicts(Doubling):
    def verify(self, problem: Problem, completion: str) -> Verdict:
        return Verdict(super().verify(problem, completion).correct, 1.0)


class Random(Doubling):
    def verify(self, problem: Problem, completion: str) -> Verdict:
        verdict = super().verify(problem, completion)
        return verdict if verdict.correct else Verdict(False, float(RNG.random()), reason="wrong answer")


class Evaluates(Doubling):
    def verify(self, problem: Problem, completion: str) -> Verdict:
        try:
            right = eval(completion) == int(problem.answer)
        except Exception:
            right = False
        return Verdict(right, float(right), reason="correct" if right else "wrong answer")


class FindsTheAnswerAnywhere(Doubling):
    def verify(self, problem: Problem, completion: str) -> Verdict:
        right = problem.answer in completion
        return Verdict(right, float(right), reason="correct" if right else "wrong answer")


class ChangesTheProblem(Doubling):
    def verify(self, problem: Problem, completion: str) -> Verdict:
        problem.meta["seen"] = True
        return super().verify(problem, completion)


class WrongGold(Doubling):
    def verify(self, problem: Problem, completion: str) -> Verdict:
        return Verdict(False, 0.0, reason="wrong answer")


class World(Doubling, TextWorld):
    """A TextWorld that lacks a word in its vocabulary."""

    end = "."

    def demonstrations(self, n: int, seed: int, **difficulty: Any) -> list[tuple[str, str]]:
        check_difficulty(difficulty)
        return [(problem.prompt, f"{problem.solution} .") for problem in self.problems(n, seed, **difficulty)]

    def vocabulary(self) -> list[str]:
        return ["*", "=", ".", *map(str, range(500))]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Repeats, "the same id"),
        (IgnoresTheSeed, "another seed gives the same problems"),
        (DependsOnN, "does not begin with the shorter one"),
        (AcceptsAnySetting, "an unknown setting was accepted"),
        (RaisesOnSettings, "an unknown setting raised TypeError"),
        (RaisesOnText, "verify raised ValueError on"),
        (PaysForJunk, "the hostile text 'brackets' is verified as correct"),
        (ScoresTooHigh, "the score is 2.0"),
        (LongReasons, "not a few fixed words"),
        (Contradicts, "correct is False, but the reason is 'correct'"),
        (Random, "two verdicts on the same text differ"),
        (Evaluates, "verify executes the text of a completion"),
        (FindsTheAnswerAnywhere, "a list of 17 answers, of which one is right, is verified as correct"),
        (ChangesTheProblem, "changed the metadata"),
        (WrongGold, "the gold solution of .* is 'wrong answer'"),
        (World, "is not in the vocabulary"),
    ],
)
def test_broken_tasks_are_found(broken: Callable[[], Task], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_task(broken)


def test_a_leaking_split_is_found() -> None:
    from edgewise.errors import TaskError

    with pytest.raises(TaskError, match="the split leaks"):
        check_task(Leaks)
