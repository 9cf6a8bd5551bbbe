"""Rewards: each kind by hand, with and without the gate on the answer."""

from __future__ import annotations

import pytest

from edgewise.errors import ConfigError
from edgewise.tasks import OpGraph, Problem, Verdict, make_reward, make_task

PERFECT = Verdict(True, 1.0, (True, True))
LUCKY = Verdict(False, 0.5, (False, True), "wrong step", True)
UNLUCKY = Verdict(False, 0.0, (True, True), "wrong answer", False)
LOST = Verdict(False, 0.0, (True, False), "wrong answer", False)


@pytest.mark.parametrize(
    ("kind", "rewards"),
    [
        ("strict", (1, 0, 0, 0)),
        ("outcome", (1, 1, 0, 0)),
        ("score", (1, 0.5, 0, 0)),
        ("steps", (1, 0, 1, 0)),
        ("process:1", (1, 1, 0, 0)),
        ("process:0.2", (1, 0.2 + 0.8 * 0.5, 0.8, 0.8 * 0.5)),
        ("process:0", (1, 0.5, 1, 0.5)),
        ("gated-process:0.2", (1, 0.2 + 0.8 * 0.5, 0, 0)),
        ("gated-process:0", (1, 0.5, 0, 0)),
    ],
)
def test_kinds(kind: str, rewards: tuple[float, ...]) -> None:
    reward = make_reward(kind)
    assert [reward(verdict) for verdict in (PERFECT, LUCKY, UNLUCKY, LOST)] == pytest.approx(list(rewards))


@pytest.mark.parametrize(
    "kind", ["proces:0.2", "process", "process:", "process:1.1", "process:-1", "process:nan", "stric", ""]
)
def test_other_kinds_are_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"gated-process:A with the outcome's share A in \[0, 1\], got"):
        make_reward(kind)


def test_a_task_without_steps_has_its_outcome_for_a_process() -> None:
    assert Verdict(True, 1.0).process == 1
    assert Verdict(False, 0.1).process == make_reward("process:0.5")(Verdict(False, 0.1)) == 0
    problem = Problem("3 7 9 -> 30 :", "", "", "")
    verdict = make_task("countdown").verify(problem, "<answer> 7 * 3 + 9 </answer>")
    assert (verdict.outcome, verdict.process) == (True, 1)


@pytest.mark.parametrize(
    ("completion", "outcome", "process"),
    [
        ("7 2 5 .", True, 1),
        ("7 3 5 .", True, 2 / 3),
        ("7 2 6 .", False, 2 / 3),
        ("7 2 5", False, 1),
        ("7 5 .", False, 1 / 3),
    ],
)
def test_opgraph_tells_the_answer_from_the_steps(completion: str, outcome: bool, process: float) -> None:
    verdict = OpGraph().verify(Problem("3 +4 x6 -v1 =", "7 2 5 .", "5", "3"), completion)
    assert (verdict.outcome, verdict.process) == (outcome, pytest.approx(process))
