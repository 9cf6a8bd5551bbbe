"""The contract that every built-in task keeps, and the split by content."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks import Problem, Task, held_out, make_task, tasks
from edgewise.tasks.base import collect, stream, take

BUILT_IN = ["countdown", "gsm_infinite", "opgraph"]
FIXED = settings(derandomize=True, max_examples=60, deadline=None)


@pytest.fixture(params=BUILT_IN)
def task(request: pytest.FixtureRequest) -> Task:
    return make_task(request.param)


def test_the_registry_names_the_tasks() -> None:
    assert set(BUILT_IN) <= set(tasks.names())
    with pytest.raises(ConfigError, match="opgraph"):
        make_task("opgrap")


def test_problems_verify_with_their_own_solution(task: Task) -> None:
    for problem in task.make(300, 3):
        verdict = task.verify(problem, problem.solution)
        assert (verdict.correct, verdict.score, verdict.reason) == (True, 1.0, "correct")


def test_problems_are_deterministic_and_a_longer_list_begins_with_the_shorter(task: Task) -> None:
    assert task.make(2500, 5)[:40] == task.make(40, 5)
    assert task.make(40, 5) != task.make(40, 6)


def test_problems_are_distinct(task: Task) -> None:
    problems = task.make(2000, 0)
    assert len({problem.content for problem in problems}) == len({problem.id for problem in problems}) == 2000


def test_demonstrations_and_training_never_meet_evaluation(task: Task) -> None:
    evaluation = {problem.content for problem in task.make(500, 0, evaluation=True)}
    training = {problem.content for problem in task.make(2000, 1)}
    assert all(held_out(content) for content in evaluation)
    assert not any(held_out(content) for content in training)
    with pytest.raises(TypeError, match="evaluation"):
        task.demonstrations(10, 0, evaluation=True)


def test_demonstrations_are_deterministic(task: Task) -> None:
    assert task.demonstrations(3000, 4)[:200] == task.demonstrations(200, 4)
    assert task.demonstrations(200, 4) != task.demonstrations(200, 5)


def test_every_word_is_in_the_vocabulary(task: Task) -> None:
    vocabulary = task.vocabulary()
    assert len(vocabulary) == len(set(vocabulary))
    texts = [text for pair in task.demonstrations(2000, 0) for text in pair]
    texts += [text for problem in task.make(500, 0, evaluation=True) for text in (problem.prompt, problem.solution)]
    words = [re.findall(task.pieces, f" {text}") if task.pieces else text.split(" ") for text in texts]
    assert {word for text in words for word in text} <= set(vocabulary)


def test_completions_end_with_the_end_word(task: Task) -> None:
    for _, completion in task.demonstrations(300, 0):
        assert completion.split().index(task.end) == len(completion.split()) - 1


@pytest.mark.parametrize("name", BUILT_IN)
@FIXED
@given(text=st.text(max_size=400), mix=st.integers(0, 2**32 - 1))
def test_any_text_gets_a_verdict(name: str, text: str, mix: int) -> None:
    task = make_task(name)
    problem = task.make(1, 0)[0]
    words = np.random.default_rng(mix).choice(task.vocabulary(), 30).tolist()
    for completion in (text, " ".join(words), f"<answer>{text}</answer>", text + problem.solution):
        verdict = task.verify(problem, completion)
        assert 0 <= verdict.score <= 1
        assert verdict.correct == (verdict.reason == "correct")
        assert verdict.score == 1 or not verdict.correct


@pytest.mark.parametrize("name", BUILT_IN)
def test_negative_numbers_of_problems_and_seeds_are_refused(name: str) -> None:
    for produce in (make_task(name).make, make_task(name).demonstrations):
        with pytest.raises(TaskError, match="at least 0, got -1"):
            produce(-1, 0)
    with pytest.raises(TaskError, match="seed must be at least 0, got -3"):
        make_task(name).make(1, -3)


def test_the_held_out_share_is_a_fifth() -> None:
    assert np.mean([held_out(str(i)) for i in range(20_000)]) == pytest.approx(0.2, abs=0.01)


def problem(prompt: str, key: str = "") -> Problem:
    return Problem(prompt, "", "", "", key=key)


def test_a_key_decides_what_is_the_same_problem() -> None:
    assert problem("1 2", "a").id == problem("2 1", "a").id != problem("1 2").id
    source = (problem(f"writing {i}", key) for i, key in enumerate(itertools.cycle("aabbc")))
    assert [found.prompt for found in collect(3, source, None)] == ["writing 0", "writing 2", "writing 4"]


def test_collect_gives_up_on_a_source_that_brings_nothing_new() -> None:
    with pytest.raises(TaskError, match=r"only 3 different problems .* 4 wanted"):
        collect(4, (problem(key) for key in itertools.cycle("abc")), None)


def test_collect_takes_one_side_of_the_split() -> None:
    found = collect(30, map(problem, map(str, itertools.count())), evaluation=True)
    assert all(held_out(item.prompt) for item in found)


def test_take_keeps_repetitions_and_never_waits_for_an_empty_side() -> None:
    training = next(text for text in map(str, itertools.count()) if not held_out(text))
    repeated = map(problem, itertools.repeat(training))
    assert take(3, repeated, evaluation=False) == [problem(training)] * 3
    with pytest.raises(TaskError, match="other side of the split"):
        take(1, repeated, evaluation=True)


def test_stream_draws_each_block_from_its_own_generator() -> None:
    def draw(rng: np.random.Generator) -> list[Problem]:
        return [problem(str(value)) for value in rng.integers(10**9, size=3)]

    drawn = [item.prompt for item in itertools.islice(stream(draw, 5), 6)]
    assert drawn[3:] == [item.prompt for item in draw(np.random.default_rng([5, 1]))]
    with pytest.raises(TaskError, match="no problem of this difficulty"):
        next(stream(lambda rng: [], 5))
