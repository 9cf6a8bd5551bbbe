"""Records of any shape give a log, a partial log or one sentence, never another error."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import EdgewiseError
from edgewise.replay.logs import open_log
from edgewise.replay.logs.answer import answer, to_dict
from edgewise.replay.logs.savings import estimate_savings
from edgewise.watch.prompts import history, search
from edgewise.watch.view import view

pytest.importorskip("pyarrow")
numbers = st.one_of(
    st.integers(-3, 30),
    st.sampled_from([0.0, 1.0, 0.5, -1e300, 1e300, 1e19, 2**70, -(2**70), float("nan"), float("inf")]),
)
values = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.text(max_size=5),
    st.lists(numbers, max_size=3),
    st.dictionaries(st.text(max_size=3), numbers, max_size=2),
)
names = st.sampled_from(
    [
        "step",
        "prompt",
        "prompt_id",
        "reward",
        "correct",
        "completion",
        "length",
        "uid",
        "category",
        "advantage",
        "truncated",
        "predicted",
        "random",
    ]
)
rollouts = st.fixed_dictionaries(
    {
        "step": st.one_of(st.integers(0, 20), values),
        "prompt": st.one_of(st.text(max_size=2), values),
        "reward": st.one_of(st.sampled_from([0, 1]), values),
    },
    optional=dict.fromkeys(
        (
            "prompt_id",
            "completion",
            "length",
            "uid",
            "category",
            "advantage",
            "truncated",
            "predicted",
            "random",
            "correct",
        ),
        values,
    ),
)
lists = st.lists(st.one_of(st.integers(0, 4), values), min_size=0, max_size=3)
steps = st.fixed_dictionaries(
    {"step": st.one_of(st.integers(0, 20), values), "successes": lists, "trials": lists},
    optional={
        name: st.one_of(lists, values)
        for name in ("predicted", "ids", "rows", "random", "lengths", "truncated", "categories", "effective_ratio")
    },
)


def use(lines: list[dict[str, Any]], name: str) -> None:
    """Read a log, look at it in every way, and let nothing but errors of ours out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        try:
            reader = open_log(path)
            reader.poll()
            log = reader.log
            json.dumps(view(log), allow_nan=False)
            for entry in search(log, "")[:3]:
                json.dumps(history(reader, entry["row"]), allow_nan=False)
            savings = estimate_savings(log, ())
            answer(savings)
            json.dumps(to_dict(savings), allow_nan=False)
        except EdgewiseError:
            pass


@settings(max_examples=300)
@given(st.lists(rollouts, max_size=12))
def test_rollouts_of_any_shape(lines: list[dict[str, Any]]) -> None:
    use(lines, "log.jsonl")


@settings(max_examples=300)
@given(st.lists(steps, max_size=8))
def test_lines_of_a_journal_of_any_shape(lines: list[dict[str, Any]]) -> None:
    use(lines, "metrics.jsonl")
