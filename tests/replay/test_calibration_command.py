"""Calibration of predictions on recorded picks: `python -m tools.calibration`."""

import json
import sys

import numpy as np
import pytest
from tools import calibration

from edgewise import PromptPool
from edgewise.method import Method
from edgewise.replay import Trace
from edgewise.replay.replay import one_step_ahead


def test_the_error_is_that_of_all_runs_together_and_the_first_step_can_be_left_out():
    # Steps of one group of four rollouts: (prediction, successes, rollouts).
    run = [
        (np.array([p]), np.array([s]), np.array([4]))
        for p, s in ((0.5, 0), (0.25, 1), (0.5, 2), (0.5, 2), (0.75, 3), (0.75, 3), (0.9, 0), (0.9, 4))
    ]
    found = calibration.errors([run, run])
    assert found["quarter_1"] == pytest.approx(0.25)
    assert found["quarter_1_without_first_step"] == found["quarter_2"] == found["quarter_3"] == 0
    assert found["quarter_4"] == pytest.approx(0.4)


def test_predictions_are_made_before_their_step_is_observed():
    pool = PromptPool(range(4), ["a"] * 4)
    steps, entries = np.arange(1, 9), np.repeat(np.arange(8), 4)
    trace = Trace(pool, steps, entries, np.tile(np.arange(4), 8), np.full(32, 8), np.full(32, 8))
    first, *later = one_step_ahead(trace, Method.parse("edge"))
    assert np.allclose(first[0], first[0][0])
    assert first[0][0] < 0.5  # before any outcome, whatever these prompts turn out to be
    assert (later[-1][0] > 0.8).all()


def test_the_command_writes_what_it_prints(tmp_path, monkeypatch, capsys):
    pool = PromptPool(range(4))
    trace = Trace(pool, np.arange(1, 9), np.arange(8), np.arange(8) % 4, np.full(8, 2), np.full(8, 4))
    trace.save(tmp_path / "run.npz")
    out = tmp_path / "found.json"
    monkeypatch.setattr(sys, "argv", ["calibration", str(tmp_path / "run.npz"), "--out", str(out)])
    calibration.main()
    values = json.loads(out.read_text())
    assert values["runs"] == 1
    assert f"quarter_4 {values['methods']['mopps']['quarter_4']:.3f}" in capsys.readouterr().out
