"""Settings and options of the built-in tasks: any value is taken or refused by an error of the package."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from edgewise.errors import EdgewiseError
from edgewise.tasks import TextWorld, make_task

JUNK: list[Any] = [None, "abc", "", 3, -1, 0, 0.1, 1e400, float("nan"), True, [], {}, [1], ["A"], (1,), (2, 1), (1.5, 2), ("1", "2"), [None, None], {"a": 1}, {1: 0.5}, {1: "x"}, {None: 1.0}, {"1-2-3": 1.0}, {(1, 2): 1.0}, [[1, 2]], [{"share": 1}], [{"share": "x"}], [{}], b"x", 10**30, "1-2", object()]  # fmt: skip

DIFFICULTY = {
    "opgraph": ("op", "weights", "context", "times", "links", "mixture"),
    "countdown": ("count", "weights", "numbers", "target", "operations"),
    "gsm_infinite": ("op", "context", "mode", "answers", "distractors", "mixture"),
    "school": ("family", "level"),
    "geometry": ("op", "family"),
}
OPTIONS = {
    "opgraph": ("modulus", "contexts"),
    "countdown": ("largest", "solutions"),
    "gsm_infinite": ("contexts",),
    "school": ("examples",),
}


@pytest.mark.parametrize(("name", "setting"), [(name, setting) for name in DIFFICULTY for setting in DIFFICULTY[name]])
def test_any_value_of_a_difficulty_setting_is_taken_or_refused(name: str, setting: str) -> None:
    task = make_task(name)
    assert isinstance(task, TextWorld)
    for produce, value in itertools.product((task.problems, task.demonstrations), JUNK):
        try:
            produce(2, 0, **{setting: value})
        except EdgewiseError:
            pass
        except Exception as error:
            pytest.fail(f"{name}: {setting}={value!r} raised {error!r}")


@pytest.mark.parametrize(("name", "option"), [(name, option) for name in OPTIONS for option in OPTIONS[name]])
def test_any_value_of_an_option_is_taken_or_refused(name: str, option: str) -> None:
    for value in JUNK:
        try:
            make_task(name, **{option: value}).problems(1, 0)
        except EdgewiseError:
            pass
        except Exception as error:
            pytest.fail(f"{name}: {option}={value!r} raised {error!r}")


@pytest.mark.parametrize("name", ["opgraph", "countdown"])
def test_any_value_of_slips_is_taken_or_refused(name: str) -> None:
    task = make_task(name)
    assert isinstance(task, TextWorld)
    for value in JUNK:
        try:
            task.demonstrations(1, 0, slips=value)
        except EdgewiseError:
            pass
        except Exception as error:
            pytest.fail(f"{name}: slips={value!r} raised {error!r}")


@pytest.mark.parametrize("name", list(DIFFICULTY))
def test_any_number_of_problems_and_seed_is_taken_or_refused(name: str) -> None:
    task = make_task(name)
    for value in (-1, 1.5, "3", None, True, 2**70, float("nan"), [1]):
        for arguments in ((value, 0), (1, value)):
            if arguments == (2**70, 0):
                continue
            try:
                task.problems(*arguments)
            except EdgewiseError:
                pass
            except Exception as error:
                pytest.fail(f"{name}: problems{arguments} raised {error!r}")
