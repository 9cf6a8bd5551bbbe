"""opgraph in contexts: other words for the same operations; the default context is what it always was."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.test_opgraph import solve

from edgewise.errors import ConfigError, TaskError
from edgewise.lab.model.tokenizer import Tokenizer
from edgewise.tasks import OpGraph

FIXED = settings(derandomize=True, max_examples=40, deadline=None)
ALL = OpGraph(contexts=("A", "B", "C"))
WORDS = {"B": {"add": "+", "sub": "-", "mul": "x"}, "C": {"plus": "+", "minus": "-", "times": "x"}}


def translated(prompt: str, context: str) -> str:
    """A prompt in the words of context A."""
    for word, sign in WORDS.get(context, {}).items():
        prompt = prompt.replace(word, sign)
    return prompt


def test_texts_and_tokens_of_the_default_context_are_those_of_the_shipped_checkpoint() -> None:
    task = OpGraph()
    seen = hashlib.sha256()
    difficulties: list[dict[str, Any]] = [
        {},
        {"op": (1, 40), "links": 0.5},
        {"op": (2, 6), "weights": [1, 0, 2, 3, 1], "times": 0.3},
        {"split": "eval"},
    ]
    for difficulty in difficulties:
        for problem in task.problems(500, 7, **difficulty):
            line = f"{problem.prompt}|{problem.solution}|{problem.answer}|{problem.id}|{problem.category}"
            seen.update(line.encode())
    for prompt, completion in task.demonstrations(3000, 3, op=(1, 8)):
        seen.update((prompt + completion).encode())
    texts = [f"{prompt} {completion}" for prompt, completion in task.demonstrations(300, 3, op=(1, 8))]
    seen.update(str(Tokenizer.for_task(task).encode(texts)).encode())
    seen.update(" ".join(task.vocabulary()).encode())
    assert seen.hexdigest() == "1979d78b0add0cb3c484339b10999f24af02c89cf36a80a65950c601a9395b2c"


def test_further_contexts_only_add_words() -> None:
    words = OpGraph().vocabulary()
    assert ALL.vocabulary()[: len(words)] == words
    assert len(set(ALL.vocabulary())) == len(ALL.vocabulary()) == len(words) + 2 * 150
    assert ALL.problems(200, 3, op=(1, 9), links=0.4) == OpGraph().problems(200, 3, op=(1, 9), links=0.4)


@FIXED
@given(
    seed=st.integers(0, 10**6), op=st.integers(2, 40), links=st.sampled_from([0.0, 0.5]), context=st.sampled_from("ABC")
)
def test_contexts_have_the_same_problems_in_other_words(seed: int, op: int, links: float, context: str) -> None:
    same = ALL.demonstrations(20, seed, slips=(0, 0, 0), op=(op, op), links=links, context=context)
    for prompt, completion in same:
        values = " ".join(map(str, solve(translated(prompt, context), 10)))
        assert completion == f"{values} ."
    words = [
        {
            word
            for prompt, _ in ALL.demonstrations(50, seed, op=(op, op), context=other)
            for word in prompt.split()[1:-1]
        }
        for other in "ABC"
    ]
    assert all(words)
    assert not (words[0] & words[1])
    assert not (words[0] & words[2])
    assert not (words[1] & words[2])


def test_mixtures_are_the_shares_of_what_is_drawn() -> None:
    mixture = [{"share": 0.9, "op": {"3-4": 0.5, 6: 0.5}}, {"share": 0.1, "op": (2, 2), "context": "B"}]
    problems = ALL.problems(4000, 0, mixture=mixture)
    seen = Counter((problem.meta["op"], problem.meta["context"]) for problem in problems)
    assert set(seen) == {(3, "A"), (4, "A"), (6, "A"), (2, "B")}
    assert [seen[3, "A"] / 4000, seen[6, "A"] / 4000, seen[2, "B"] / 4000] == pytest.approx(
        [0.225, 0.45, 0.1], abs=0.03
    )
    assert all(
        ("add" in p.prompt or "sub" in p.prompt or "mul" in p.prompt) == (p.meta["context"] == "B") for p in problems
    )
    assert all(ALL.verify(problem, problem.solution).correct for problem in problems)
    shares = Counter(
        problem.meta["context"] for problem in ALL.problems(3000, 0, op=(6, 8), context={"A": 0.2, "C": 0.8})
    )
    assert shares["C"] / 3000 == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("difficulty", "message"),
    [
        ({"context": "D"}, "context must be one of A, B, C"),
        ({"context": {"A": 0.5, "B": 0.4}}, "sum to 1"),
        ({"mixture": [{"share": 0.9}]}, "sum to 1"),
        ({"mixture": [{"share": 1.0, "contxt": "B"}]}, "unknown setting in a mixture 'contxt'. Did you mean 'context'"),
        ({"contxt": "B"}, "unknown difficulty setting 'contxt'. Did you mean 'context'"),
        ({"op": {"1-4": 1.0}, "weights": [1.0]}, "leave out weights"),
        ({"op": {"1-41": 1.0}}, r"inside 1\.\.40"),
    ],
)
def test_impossible_mixtures_are_named(difficulty: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ALL.problems(1, 0, **difficulty)


def test_impossible_contexts_are_named() -> None:
    for contexts in ((), ("A", "A"), ("Z",)):
        with pytest.raises(ConfigError, match="different ones of A, B, C"):
            OpGraph(contexts=contexts)
    with pytest.raises(TaskError, match="modulus"):
        OpGraph(1, contexts=("A",))
