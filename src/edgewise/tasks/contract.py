"""Contract of a task as checks that third parties run on theirs, through `edgewise.testing.check_task`."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from edgewise.errors import EdgewiseError
from edgewise.tasks.base import Problem, Task, TextWorld, Verdict, check_disjoint
from edgewise.tasks.hostile import MARKERS, hostile_texts
from edgewise.tasks.rewards import REWARDS

SECONDS = 60.0
"""Longest time for one verdict: a bound against endless work, far above what is useful in training."""
CODE = "__import__('sys').exit()"
"""Python that ends the process where it is evaluated."""
JUNK = "0123456789+-*/=.,()[]{}<>\\$%^_ \n\tabcxyz\u00e9\u0663\u2212\ud83d"


@dataclass(frozen=True)
class Setting:
    """What is checked: makes of the task, its difficulty, and the number of problems."""

    factory: Callable[[], Task]
    difficulty: Mapping[str, Any] = field(default_factory=dict)
    n: int = 40

    def problems(self, n: int, seed: int, **options: Any) -> list[Problem]:
        return self.factory().problems(n, seed, **options, **self.difficulty)


def problems_are_distinct_and_well_formed(setting: Setting) -> None:
    problems = setting.problems(setting.n, 0)
    assert isinstance(problems, list), f"problems returned {type(problems).__name__}, expected a list"
    assert len(problems) == setting.n, f"problems({setting.n}, 0) returned {len(problems)} problems"
    assert setting.problems(0, 0) == [], "problems(0, 0) is not empty"
    for problem in problems:
        assert isinstance(problem, Problem), f"problems returned a {type(problem).__name__}"
        for name in ("prompt", "solution", "answer", "category", "key"):
            value = getattr(problem, name)
            assert isinstance(value, str), f"{name} of a problem is a {type(value).__name__}, expected a text"
        assert problem.prompt or problem.images, "a problem has neither a prompt nor images"
    assert len({problem.id for problem in problems}) == setting.n, "two problems have the same id"


def the_seed_decides(setting: Setting) -> None:
    problems = setting.problems(setting.n, 3)
    assert setting.problems(setting.n, 3) == problems, "two tasks made alike give other problems for the same seed"
    part = setting.n // 2
    assert setting.problems(part, 3) == problems[:part], "a longer list of problems does not begin with the shorter one"
    assert setting.problems(setting.n, 4) != problems, "another seed gives the same problems in the same order"


def the_split_is_kept(setting: Setting) -> None:
    evaluation = setting.problems(max(setting.n // 4, 1), 0, split="eval")
    for seed in (0, 1):
        check_disjoint(setting.problems(setting.n, seed), evaluation)
    check_disjoint(setting.problems(setting.n, 0), setting.problems(len(evaluation), 7, split="eval"))


def wrong_arguments_are_refused(setting: Setting) -> None:
    task, difficulty = setting.factory(), dict(setting.difficulty)
    wrong: list[tuple[str, Callable[[], Any]]] = [
        ("split='test'", lambda: task.problems(1, 0, split="test", **difficulty)),  # type: ignore[arg-type]
        ("a negative number of problems", lambda: task.problems(-1, 0, **difficulty)),
        ("a negative seed", lambda: task.problems(1, -1, **difficulty)),
        ("the setting 'evaluation'", lambda: task.problems(1, 0, **{**difficulty, "evaluation": True})),
        ("an unknown setting", lambda: task.problems(1, 0, **{**difficulty, "no_such_setting": 1})),
    ]
    if isinstance(task, TextWorld):
        wrong += [
            ("a negative number of demonstrations", lambda: task.demonstrations(-1, 0, **difficulty)),
            ("demonstrations of a split", lambda: task.demonstrations(1, 0, **{**difficulty, "split": "eval"})),
            ("an unknown setting of demonstrations", lambda: task.demonstrations(1, 0, **{**difficulty, "no_such_setting": 1})),
        ]  # fmt: skip
    for what, call in wrong:
        try:
            call()
        except EdgewiseError:
            continue
        except Exception as error:
            raise AssertionError(f"{what} raised {type(error).__name__}, expected an EdgewiseError: {error}") from error
        raise AssertionError(f"{what} was accepted")


def gold_solutions_are_correct(setting: Setting) -> None:
    task = setting.factory()
    for problem in setting.problems(setting.n, 1):
        if problem.solution:
            verdict = _verdict(task, problem, problem.solution)
            assert verdict.correct, f"the gold solution of '{problem.prompt[:80]}' is '{verdict.reason}'"
            assert verdict.outcome, "a correct completion has a wrong answer"


def any_text_gets_a_verdict(setting: Setting) -> None:
    task, other = setting.factory(), setting.factory()
    problems = setting.problems(min(setting.n, 4), 2)
    rng = Random(0)
    for problem in problems:
        for text in _texts(problem, rng):
            verdict = _verdict(task, problem, text)
            assert _verdict(other, problem, text) == verdict, f"two verdicts on the same text differ: {text[:80]!r}"


def hostile_texts_are_never_correct(setting: Setting) -> None:
    task = setting.factory()
    problem = setting.problems(1, 2)[0]
    for name, text in hostile_texts().items():
        assert not _verdict(task, problem, text).correct, f"the hostile text '{name}' is verified as correct"


def guesses_are_never_correct(setting: Setting) -> None:
    """The right answer among others is no answer: a policy would learn to list them."""
    task, problems = setting.factory(), setting.problems(setting.n, 1)
    answers = dict.fromkeys(problem.answer or problem.solution for problem in problems)
    for problem in problems[:4]:
        own = problem.answer or problem.solution
        others = [answer for answer in answers if not _verdict(task, problem, answer).correct][:16]
        for gap in ("\n", " ", ", "):
            text = gap.join([*others[:8], own, *others[8:]])
            assert len(others) < 16 or not _verdict(task, problem, text).correct, (
                f"a list of 17 answers, of which one is right, is verified as correct: {text[:80]!r}"
            )


def verification_changes_nothing(setting: Setting) -> None:
    task = setting.factory()
    for problem in setting.problems(min(setting.n, 5), 1):
        before = copy.deepcopy(problem)
        _verdict(task, problem, problem.solution or "x")
        assert problem == before, "verification changed the problem"
        assert problem.meta == before.meta, "verification changed the metadata of the problem"


def demonstrations_are_of_the_vocabulary(setting: Setting) -> None:
    """Of a TextWorld only."""
    task = setting.factory()
    if not isinstance(task, TextWorld):
        return
    difficulty, n = dict(setting.difficulty), 2 * setting.n
    shown = task.demonstrations(n, 5, **difficulty)
    assert len(shown) == n, f"demonstrations({n}, 5) returned {len(shown)}"
    assert task.demonstrations(n, 5, **difficulty) == shown, "the same seed gives other demonstrations"
    assert task.demonstrations(n // 2, 5, **difficulty) == shown[: n // 2], (
        "a longer list does not begin with the shorter one"
    )
    held_out = {
        problem.prompt for problem in setting.problems(max(setting.n // 4, 1), 0, split="eval") if not problem.images
    }
    assert not held_out & {prompt for prompt, _ in shown}, "a demonstration is an evaluation problem"
    vocabulary = task.vocabulary()
    assert len(set(vocabulary)) == len(vocabulary), "a word is in the vocabulary twice"
    assert task.vocabulary() == vocabulary, "two vocabularies of a task differ"
    words = set(vocabulary)
    for prompt, completion in shown:
        for text in (prompt, completion):
            tokens = re.findall(task.token_pattern, f" {text}") if task.token_pattern else text.split(" ")
            missing = [token for token in tokens if token not in words]
            assert not missing, f"'{missing[0]}' of '{text[:80]}' is not in the vocabulary"
        ends = completion.split()
        assert task.end in ends, f"'{completion[-80:]}' lacks the end word '{task.end}'"
        assert ends.index(task.end) == len(ends) - 1, f"'{completion[-80:]}' does not end with the first '{task.end}'"


Law = Callable[[Setting], None]
TASK_LAWS: tuple[Law, ...] = (
    problems_are_distinct_and_well_formed,
    the_seed_decides,
    the_split_is_kept,
    wrong_arguments_are_refused,
    gold_solutions_are_correct,
    verification_changes_nothing,
    any_text_gets_a_verdict,
    hostile_texts_are_never_correct,
    guesses_are_never_correct,
    demonstrations_are_of_the_vocabulary,
)


def _verdict(task: Task, problem: Problem, text: str) -> Verdict:
    """The verdict on a text, checked."""
    began = time.monotonic()
    try:
        verdict = task.verify(problem, text)
    except SystemExit as error:
        raise AssertionError(f"verify executes the text of a completion: {text[:80]!r}") from error
    except Exception as error:
        raise AssertionError(f"verify raised {type(error).__name__} on {text[:80]!r}: {error}") from error
    seconds = time.monotonic() - began
    assert seconds < SECONDS, f"a verdict on {len(text)} characters took {seconds:.0f} s: {text[:80]!r}"
    assert isinstance(verdict, Verdict), f"verify returned {type(verdict).__name__}, expected a Verdict"
    assert 0 <= verdict.score <= 1, f"the score is {verdict.score}, expected [0, 1]"
    assert verdict.correct == (verdict.reason == "correct"), (
        f"correct is {verdict.correct}, but the reason is '{verdict.reason}'"
    )
    assert not verdict.correct or verdict.score == 1, f"a correct completion has the score {verdict.score}"
    assert len(verdict.reason) <= 40, f"the reason is not a few fixed words: '{verdict.reason}'"
    assert all(0 <= reward(verdict) <= 1 for reward in REWARDS.values()), "a reward is outside [0, 1]"
    return verdict


def _texts(problem: Problem, rng: Random) -> list[str]:
    """Empty, random and damaged texts, and answers in usual forms."""
    solution = problem.solution or problem.answer or "1"
    texts = ["", " ", "\n\n", solution[: len(solution) // 2], solution + solution, solution[::-1], solution + "\x00"]
    texts += ["".join(rng.choice(JUNK) for _ in range(length)) for length in (1, 5, 20, 100, 1000)]
    for _ in range(8):
        place = rng.randrange(len(solution))
        texts.append(solution[:place] + rng.choice(JUNK) + solution[place + 1 :])
    return texts + [
        form.format(value) for form in MARKERS for value in (problem.answer, "0", CODE, "".join(rng.sample(JUNK, 6)))
    ]
