"""Rewards of exported problems: the task's own verification, in the signatures of TRL and verl."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from edgewise.errors import ConfigError
from edgewise.lab.data.export import verifying_options
from edgewise.tasks import Problem, Task, Verdict, make_task

TEXTS = ("text", "output_text")
"""Types of the parts of a message that are its text; others hold reasoning, refusals or pictures."""


def verification_reward(completions: list[Any], problem: list[str | None], **columns: Any) -> list[float | None]:
    """Reward function of TRL: 1.0 where the answer is right, else 0.0.

    Args:
        completions: texts, or lists of messages, of which the texts of the assistant count; None is an empty text.
        problem: the column `problem` of an exported file. Rows of another data set have None, and None is their reward: TRL
            leaves it out.
        columns: the other columns, which are not used.

    Example:
        >>> from edgewise.lab.data.export import Export, packed
        >>> from edgewise.tasks import make_task
        >>> settings = Export("school", {}, {})
        >>> item = make_task("school").problems(1, 0)[0]
        >>> verification_reward([f" {item.answer}", " none"], [packed(item, settings)] * 2)
        [1.0, 0.0]
    """
    texts = map(_text, completions)
    pairs = zip(problem, texts, strict=True)
    return [None if item is None else float(verify(item, text).outcome) for item, text in pairs]


def _text(completion: str | list[dict[str, Any]] | None) -> str:
    """What the model wrote: a text, or the messages of the assistant, without its reasoning and what tools and environments answered."""
    if completion is None or isinstance(completion, str):
        return completion or ""
    contents = [
        message.get("content") or "" for message in completion if message.get("role", "assistant") == "assistant"
    ]
    parts = [
        [content]
        if isinstance(content, str)
        else [part.get("text") or "" for part in content if part.get("type", "text") in TEXTS]
        for content in contents
    ]
    return "\n".join(map("".join, parts))


def compute_score(
    data_source: str, solution_str: str | None, ground_truth: str, extra_info: dict[str, Any] | None = None, **_: Any
) -> dict[str, Any]:
    """Reward function of verl (`custom_reward_function.name=compute_score`): score, and correctness apart from it."""
    if not isinstance(extra_info, Mapping) or not isinstance(extra_info.get("problem"), str):
        raise ConfigError(
            f"a row of {data_source} has no extra_info.problem; export it with `edgewise data --format verl`"
        )
    verdict = verify(extra_info["problem"], _text(solution_str))
    return {"score": float(verdict.outcome), "acc": float(verdict.outcome), "reason": verdict.reason}


def verify(problem: str, completion: str) -> Verdict:
    """Verdict of the problem's own task on a completion."""
    task, item = unpacked(problem)
    return task.verify(item, completion)


@lru_cache(maxsize=65536)
def unpacked(text: str) -> tuple[Task, Problem]:
    """The task and the problem in what `export.packed` wrote."""
    try:
        fields = json.loads(text)
        name, options = fields.pop("task"), fields.pop("options")
        return _task(name, json.dumps(options, sort_keys=True)), Problem(**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"a problem cannot be read from {text[:60]!r}: {error}") from error


@lru_cache(maxsize=64)
def _task(name: str, options: str) -> Task:
    # Its comparison of answers is needed here, not its problems.
    rows = {"train": [{"problem": "1 + 1", "answer": "2"}]} if name == "math" else {}
    # Files of earlier versions name columns of the data set, which the placeholder does not have.
    return make_task(name, **rows, **verifying_options(name, json.loads(options)))
