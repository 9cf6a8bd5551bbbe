"""The contract that every built-in task keeps, and the split by content."""

from __future__ import annotations

import importlib.metadata
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import edgewise as ew
from edgewise.errors import ConfigError, TaskError
from edgewise.lab.rl.trainer import PoolConfig, RLConfig, Trainer
from edgewise.tasks import Problem, Task, TextWorld, Verdict, held_out, list_tasks, make_task, make_text_world, tasks
from edgewise.tasks.base import check_difficulty, check_disjoint, sample, sample_distinct, stream

BUILT_IN = ["countdown", "gsm_infinite", "opgraph", "school"]
FIXED = settings(derandomize=True, max_examples=60, deadline=None)


@pytest.fixture(params=BUILT_IN)
def task(request: pytest.FixtureRequest) -> TextWorld:
    return make_text_world(request.param)


def test_the_registry_names_the_tasks() -> None:
    assert set(BUILT_IN) <= set(tasks.names())
    with pytest.raises(ConfigError, match="opgraph"):
        make_task("opgrap")


def test_problems_verify_with_their_own_solution(task: Task) -> None:
    for problem in task.problems(300, 3):
        verdict = task.verify(problem, problem.solution)
        assert (verdict.correct, verdict.score, verdict.reason) == (True, 1.0, "correct")


def test_problems_are_deterministic_and_a_longer_list_begins_with_the_shorter(task: Task) -> None:
    assert task.problems(2500, 5)[:40] == task.problems(40, 5)
    assert task.problems(40, 5) != task.problems(40, 6)


def test_problems_are_distinct(task: Task) -> None:
    problems = task.problems(2000, 0)
    assert len({problem.content for problem in problems}) == len({problem.id for problem in problems}) == 2000


def test_demonstrations_and_training_never_meet_evaluation(task: Task) -> None:
    evaluation = {problem.content for problem in task.problems(500, 0, split="eval")}
    training = {problem.content for problem in task.problems(2000, 1)}
    assert all(held_out(content) for content in evaluation)
    assert not any(held_out(content) for content in training)
    check_disjoint(task.problems(2000, 1), task.problems(500, 0, split="eval"))


@pytest.mark.parametrize("setting", ["evaluation", "split", "seed", "n"])
def test_the_split_is_no_difficulty_setting(task: Task, setting: str) -> None:
    assert isinstance(task, TextWorld)
    with pytest.raises(ConfigError, match=f"'{setting}' is not a difficulty setting"):
        check_difficulty({"op": [1, 2], setting: True})
    with pytest.raises(ConfigError, match="'evaluation' is not a difficulty setting"):
        task.problems(10, 0, evaluation=True)
    with pytest.raises(ConfigError, match="'evaluation' is not a difficulty setting"):
        task.demonstrations(10, 0, evaluation=True)


def test_unknown_splits_and_settings_are_refused_by_name(task: Task) -> None:
    assert isinstance(task, TextWorld)
    with pytest.raises(ConfigError, match="split must be 'train' or 'eval', got 'test'"):
        task.problems(10, 0, split="test")  # type: ignore[arg-type]
    for produce in (task.problems, task.demonstrations):
        with pytest.raises(ConfigError, match="unknown difficulty setting 'nonsense'"):
            produce(10, 0, nonsense=1)


def test_demonstrations_are_deterministic(task: Task) -> None:
    assert task.demonstrations(3000, 4)[:200] == task.demonstrations(200, 4)
    assert task.demonstrations(200, 4) != task.demonstrations(200, 5)


def test_every_word_is_in_the_vocabulary(task: Task) -> None:
    vocabulary = task.vocabulary()
    assert len(vocabulary) == len(set(vocabulary))
    texts = [text for pair in task.demonstrations(2000, 0) for text in pair]
    texts += [text for problem in task.problems(500, 0, split="eval") for text in (problem.prompt, problem.solution)]
    words = [re.findall(task.token_pattern, f" {text}") if task.token_pattern else text.split(" ") for text in texts]
    assert {word for text in words for word in text} <= set(vocabulary)


def test_completions_end_with_the_end_word(task: Task) -> None:
    for _, completion in task.demonstrations(300, 0):
        assert completion.split().index(task.end) == len(completion.split()) - 1


@pytest.mark.parametrize("name", BUILT_IN)
@FIXED
@given(text=st.text(max_size=400), mix=st.integers(0, 2**32 - 1))
def test_any_text_gets_a_verdict(name: str, text: str, mix: int) -> None:
    task = make_text_world(name)
    problem = task.problems(1, 0)[0]
    words = np.random.default_rng(mix).choice(task.vocabulary(), 30).tolist()
    for completion in (text, " ".join(words), f"<answer>{text}</answer>", text + problem.solution):
        verdict = task.verify(problem, completion)
        assert 0 <= verdict.score <= 1
        assert verdict.correct == (verdict.reason == "correct")
        assert verdict.score == 1 or not verdict.correct


@pytest.mark.parametrize("name", BUILT_IN)
def test_negative_numbers_of_problems_and_seeds_are_refused(name: str) -> None:
    task = make_text_world(name)
    for produce in (task.problems, task.demonstrations):
        with pytest.raises(TaskError, match="at least 0, got -1"):
            produce(-1, 0)
    with pytest.raises(TaskError, match="seed must be at least 0, got -3"):
        make_task(name).problems(1, -3)


def test_the_held_out_share_is_a_fifth() -> None:
    assert np.mean([held_out(str(i)) for i in range(20_000)]) == pytest.approx(0.2, abs=0.01)


def problem(prompt: str, key: str = "") -> Problem:
    return Problem(prompt, "", "", "", key=key)


def test_a_key_decides_what_is_the_same_problem() -> None:
    assert problem("1 2", "a").id == problem("2 1", "a").id != problem("1 2").id
    source = (problem(f"writing {i}", key) for i, key in enumerate(itertools.cycle("aabbc")))
    assert [found.prompt for found in sample_distinct(3, source, None)] == ["writing 0", "writing 2", "writing 4"]


def test_sampling_gives_up_on_a_source_that_brings_nothing_new() -> None:
    with pytest.raises(TaskError, match=r"only 3 different problems .* 4 wanted"):
        sample_distinct(4, (problem(key) for key in itertools.cycle("abc")), None)


def test_a_source_that_ends_is_no_error_before_its_end() -> None:
    assert len(sample_distinct(3, map(problem, "abc"), None)) == 3
    with pytest.raises(TaskError, match=r"only 3 different problems .* 4 wanted"):
        sample_distinct(4, map(problem, "abc"), None)
    with pytest.raises(TaskError, match="other side"):
        sample(2000, map(problem, "abc"), "train")


def test_sampling_takes_one_side_of_the_split() -> None:
    found = sample_distinct(30, map(problem, map(str, itertools.count())), "eval")
    assert all(held_out(item.prompt) for item in found)


def test_sampling_keeps_repetitions_and_never_waits_for_an_empty_side() -> None:
    training = next(text for text in map(str, itertools.count()) if not held_out(text))
    repeated = map(problem, itertools.repeat(training))
    assert sample(3, repeated, "train") == [problem(training)] * 3
    with pytest.raises(TaskError, match="other side of the split"):
        sample(1, repeated, "eval")


def picture(value: int, mode: str = "RGB") -> Any:
    return Image.fromarray(np.full((4, 6, 3), value, np.uint8)).convert(mode)


def test_pictures_are_part_of_the_identity() -> None:
    def pictured(*images: Any, key: str = "") -> Problem:
        return Problem("How long is AB?", "", "", "", key=key, images=images)

    one, other = pictured(picture(10)), pictured(picture(11))
    assert len({one.id, other.id, pictured().id, pictured(picture(10), picture(10)).id}) == 4
    assert one == pictured(picture(10)) != other
    assert hash(one) == hash(pictured(np.full((4, 6, 3), 10, np.uint8)))
    assert one.id == pictured(np.full((4, 6, 3), 10, np.uint8)).id
    assert pictured(np.zeros((2, 3), np.uint8)).id != pictured(np.zeros((3, 2), np.uint8)).id
    assert len(sample_distinct(2, iter([one, pictured(picture(10)), other]), None)) == 2
    assert pictured(picture(10), key="triangle 3 4 5").id == pictured(picture(11), key="triangle 3 4 5").id
    sides = {pictured(picture(value)).split for value in range(40)}
    assert sides == {"train", "eval"}
    with pytest.raises(TaskError, match="1 evaluation problems are training problems too"):
        check_disjoint([one], [pictured(picture(10))])


def test_a_palette_is_compared_by_its_colours() -> None:
    images = [picture(value, "P") for value in (10, 200)]
    assert images[0].tobytes() != images[1].tobytes() or images[0].getpalette() != images[1].getpalette()
    assert Problem("", "", "", "", images=(images[0],)) != Problem("", "", "", "", images=(images[1],))


@pytest.mark.parametrize(
    "image",
    [
        "figure.png",
        b"\x89PNG",
        np.zeros((2, 2)),
        np.zeros((0, 2), np.uint8),
        Image.new("I;16", (2, 2)),
        Image.new("F", (2, 2)),
        None,
    ],
)
def test_what_is_no_picture_is_refused(image: Any) -> None:
    with pytest.raises(TaskError, match="an image must be a PIL image or a uint8 array"):
        Problem("", "", "", "", images=(image,))


class Doubling(Task):
    """A task of a dataset: no vocabulary, no demonstrations."""

    name = "doubling"

    def source(self, seed: int, **difficulty: Any) -> Iterator[Problem]:
        for value in np.random.default_rng(seed).permutation(100).tolist():
            yield Problem(f"2 * {value} =", "", str(2 * value), "product")

    def verify(self, problem: Problem, completion: str) -> Verdict:
        return Verdict(completion == problem.answer, 0.0)


def test_a_task_is_a_source_and_a_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Doubling()
    both = [*task.problems(50, 0), *task.problems(10, 0, split="eval")]
    assert len({problem.id for problem in both}) == 60
    with pytest.raises(TaskError, match="on the eval side of the split, 90 wanted"):
        task.problems(90, 0, split="eval")
    with pytest.raises(TaskError, match="no file format"):
        task.load("x.jsonl")

    class NoSource(Task):
        def verify(self, problem: Problem, completion: str) -> Verdict:
            return Verdict(False, 0.0)

    with pytest.raises(TaskError, match="NoSource defines neither `source` nor `problems`"):
        NoSource().problems(1, 0)


def test_other_packages_add_tasks_by_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("doubling", f"{__name__}:Doubling", "edgewise.tasks")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point] if group == "edgewise.tasks" else [])
    monkeypatch.setattr(tasks, "_discovered", False)
    monkeypatch.setattr(tasks, "_factories", dict(tasks._factories))
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: Doubling)
    assert "doubling" in list_tasks() == ew.list_tasks()
    assert isinstance(make_task("doubling"), Doubling)
    with pytest.raises(ConfigError, match="doubling has no demonstrations or vocabulary"):
        make_text_world("doubling")


def test_stream_draws_each_block_from_its_own_generator() -> None:
    def draw(rng: np.random.Generator) -> list[Problem]:
        return [problem(str(value)) for value in rng.integers(10**9, size=3)]

    drawn = [item.prompt for item in itertools.islice(stream(draw, 5), 6)]
    assert drawn[3:] == [item.prompt for item in draw(np.random.default_rng([5, 1]))]
    with pytest.raises(TaskError, match="no problem of this difficulty"):
        next(stream(lambda rng: [], 5))


def test_a_run_cannot_lift_the_split_by_a_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'evaluation' is not a difficulty setting"):
        Trainer(RLConfig(pool=PoolConfig(size=200, difficulty={"op": [1, 2], "evaluation": True})), tmp_path / "run")
    assert not (tmp_path / "run").exists()
