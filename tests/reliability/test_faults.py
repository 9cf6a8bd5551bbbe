"""Fault injection: a few of most trials of tools.reliability in every run of the tests, all of them in the slow ones."""

import json
import os

import pytest
from tools.numbers import ROOT
from tools.reliability import TRIALS, attempt
from tools.reliability.page import with_table

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the trials fork and send signals")
LABORATORY = {
    "kill-rl",
    "kill-pretrain",
    "kill-demo",
    "mutations",
    "two-processes",
    "verifiers",
    "power-cut",
    "failing-writes",
}


def found(name, n):
    if name in LABORATORY:
        pytest.importorskip("torch")
    if name == "kill-trl":
        pytest.importorskip("trl")
    outcome = attempt(name, n)
    assert outcome.trials >= 1
    return outcome.faults


@pytest.mark.parametrize("name", [name for name in TRIALS if TRIALS[name][2]])
def test_a_run_survives(name):
    assert found(name, TRIALS[name][2]) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TRIALS)
def test_a_run_survives_at_full_scale(name):
    assert found(name, TRIALS[name][1]) == []


def test_the_page_shows_what_was_recorded():
    results = ROOT / "docs" / "results" / "reliability.json"
    if not results.exists():
        pytest.skip("nothing is recorded: make reliability")
    recorded = json.loads(results.read_text("utf-8"))["values"]
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    assert with_table(page, recorded) == page
    assert all(found["faults"] == 0 for found in recorded.values())
