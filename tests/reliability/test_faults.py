"""Fault injection: a few of each trial of tools.reliability in every run of the tests, all of them in the slow ones."""

import os

import pytest
from tools.reliability import TRIALS, attempt

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the trials fork and send signals")
LABORATORY = {"kill-rl", "kill-pretrain", "mutations", "two-processes", "verifiers", "power-cut"}


def found(name, n):
    if name in LABORATORY:
        pytest.importorskip("torch")
    outcome = attempt(name, n)
    assert outcome.trials >= 1
    return outcome.faults


@pytest.mark.parametrize("name", TRIALS)
def test_a_run_survives(name):
    assert found(name, TRIALS[name][2]) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TRIALS)
def test_a_run_survives_at_full_scale(name):
    assert found(name, TRIALS[name][1]) == []
