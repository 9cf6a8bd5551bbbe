"""Sentences claim a difference exactly where the interval excludes none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.report.load import Comparison, Spread
from edgewise.report.words import Ratio, headline, number, percent_change, ratios, recovered


def ratio(of: str, low: float, mean: float, high: float, method: str = "edge") -> Ratio:
    return Ratio(method, "uniform", of, Spread(mean, low, high, mean, (low, mean, high)), 3)


@settings(derandomize=True, max_examples=60)
@given(st.sampled_from(["steps", "rollouts"]), st.lists(st.floats(0.05, 20), min_size=3, max_size=3).map(sorted))
def test_a_claim_needs_an_interval_that_excludes_one(of: str, ends: list[float]) -> None:
    found = ratio(of, *ends)
    if ends[0] <= 1 <= ends[2]:
        assert found.verdict == "unclear"
        assert found.sentence().startswith("No clear difference")
        assert "fewer" not in found.sentence()
        assert "more " not in found.sentence()
    else:
        good = ends[0] > 1 if of == "steps" else ends[2] < 1
        assert found.verdict == ("gain" if good else "loss")
        assert ("fewer" if good else "more") in found.sentence()
    assert f"{ends[0]:.2f}×" in found.sentence()
    assert f"{ends[2]:.2f}×" in found.sentence()


def test_a_speed_up_is_told_as_steps_saved() -> None:
    assert ratio("steps", 1.5, 2.0, 2.5).sentence() == (
        "Edge reaches the target in 50% fewer steps than uniform: 2.00× as fast (95% interval 1.50× to 2.50×)."
    )
    assert "25% more steps than uniform: 0.80× as fast" in ratio("steps", 0.7, 0.8, 0.9).sentence()
    assert "with 61% fewer rollouts than uniform: 0.39× as many" in ratio("rollouts", 0.3, 0.39, 0.5).sentence()


def test_one_seed_is_no_evidence() -> None:
    lone = Ratio("edge", "uniform", "steps", Spread(1.5, median=1.5, values=(1.5,)), 1)
    assert lone.verdict == "single"
    assert "an indication, not evidence" in lone.sentence()
    assert "one seed only" in lone.short()


def test_a_target_not_always_reached_gives_no_mean_but_the_seeds_that_did() -> None:
    partial = Ratio("edge", "ds", "rollouts", Spread(values=(0.4, math.nan, 0.5)), 3)
    assert partial.verdict == "unreached"
    assert "in 2 of 3 seeds" in partial.sentence()
    assert "0.40×, 0.50×" in partial.sentence()


def test_missing_baselines_leave_their_ratios_out() -> None:
    speed = {"edge": {"mean": 1.5, "low": 1.2, "high": 1.9, "median": 1.5, "values": [1.4, 1.6]}}
    comparison = Comparison("x", {"seeds": [0, 1], "methods": {"edge": {}}, "speedup_vs_uniform": speed}, {})
    assert [r.other for r in ratios(comparison, "edge")] == ["uniform"]
    assert headline(comparison) == {"edge": "Edge, to reach the target: 33% fewer steps than uniform."}
    assert recovered(comparison) == []


@pytest.mark.parametrize(("limit", "said"), [(0.9, "no gain to recover"), (None, "did not reach the target")])
def test_no_gain_of_dynamic_sampling_is_said(limit: float | None, said: str) -> None:
    speed = {"ds": {"mean": limit, "median": limit, "values": [limit]}}
    lines = recovered(Comparison("x", {"methods": {"ds": {}, "edge": {}}, "speedup_vs_uniform": speed}, {}))
    assert len(lines) == 1
    assert said in lines[0]


def test_negative_recovery_is_a_loss() -> None:
    summary = {
        "methods": {"ds": {}, "edge": {}},
        "speedup_vs_uniform": {"ds": {"median": 2.0, "values": [2.0]}},
        "recovered_gain": {"ds": 1.0, "edge": -0.2},
    }
    assert (
        "recovers 0% of that gain (it is slower than uniform in the median)"
        in recovered(Comparison("x", summary, {}))[1]
    )


def test_numbers_are_short() -> None:
    assert number(12345.6) == "12,346"
    assert number(0.51234, "effective_ratio") == "51.2%"
    assert number(math.nan) == "–"
    assert percent_change(0.996) == "0.4% fewer"
    assert percent_change(1.5) == "50% more"
