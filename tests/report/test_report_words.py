"""Sentences claim a difference exactly where the interval excludes none."""

from __future__ import annotations

import math
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.experiments.summary import Ratio, Summary
from edgewise.report.load import Comparison
from edgewise.report.words import LABELS, headline, number, percent_change, placebo, recovered, sentence, short

Of = Literal["steps", "rollouts"]


def ratio(of: Of, low: float, median: float, high: float, method: str = "edge") -> Ratio:
    return Ratio(method, "uniform", of, median, low, high, 0.9375, (low, median, median, median, high), 5, 4)


def comparison(**ratios: Ratio) -> Comparison:
    """A comparison in which the methods have these speed-ups."""
    methods = {name: {} for name in ("uniform", *ratios)}
    return Comparison("x", Summary(seeds=("0",), methods=methods, ratios={"speedup_vs_uniform": ratios}))


@settings(max_examples=60)
@given(st.sampled_from(["steps", "rollouts"]), st.lists(st.floats(0.05, 20), min_size=3, max_size=3).map(sorted))
def test_a_claim_needs_an_interval_that_excludes_one(of: Of, ends: list[float]) -> None:
    found = ratio(of, *ends)
    words = sentence(found)
    if ends[0] <= 1 <= ends[2]:
        assert found.evidence == "unclear"
        assert words.startswith("No clear difference")
        assert "fewer" not in words
        assert "more " not in words
    else:
        good = ends[0] > 1 if of == "steps" else ends[2] < 1
        assert found.evidence == ("gain" if good else "loss")
        assert ("fewer" if good else "more") in words
    assert f"{ends[0]:.2f}×" in words
    assert f"{ends[2]:.2f}×" in words
    assert "Target reached in 5 of 5 seeds, by uniform in 4." in words
    assert found.evidence in LABELS


def test_a_speed_up_is_shown_as_steps_saved() -> None:
    assert sentence(ratio("steps", 1.5, 2.0, 2.5)).startswith(
        "Edge reaches the target in 50% fewer steps than uniform: 2.00× as fast (94% interval 1.50× to 2.50×)."
    )
    assert "25% more steps than uniform: 0.80× as fast" in sentence(ratio("steps", 0.7, 0.8, 0.9))
    assert "with 61% fewer rollouts than uniform: 0.39× as many" in sentence(ratio("rollouts", 0.3, 0.39, 0.5))


def test_fewer_than_five_seeds_are_no_evidence() -> None:
    few = Ratio("edge", "uniform", "steps", 1.5, values=(1.5, 1.5), reached=2, other_reached=2)
    assert few.evidence == "few"
    assert "2 seeds only: an indication, not evidence" in sentence(few)
    assert short(few).endswith("(2 seeds only)")


@pytest.mark.parametrize(
    ("of", "median", "words"),
    [
        ("steps", math.inf, "reached in most seeds that uniform misses"),
        ("steps", 0.0, "missed"),
        ("rollouts", 0.0, "uniform misses"),
    ],
)
def test_a_median_without_a_finite_ratio_is_put_into_words(of: Of, median: float, words: str) -> None:
    found = sentence(ratio(of, median, median, median))
    assert words in found
    assert "100%" not in found


@pytest.mark.parametrize(
    ("reached", "claimed", "summed"),
    [
        (0, "Edge compared with uniform: the target is reached in no seed by either.", "reached in no seed by either"),
        (2, "Edge reaches the target in as many steps as uniform: 1.00× as fast.", "as many steps as uniform"),
    ],
)
def test_a_tie_of_few_seeds_claims_no_difference_and_no_target_that_was_missed(
    reached: int, claimed: str, summed: str
) -> None:
    tie = Ratio("edge", "uniform", "steps", 1.0, values=(1.0, 1.0), reached=reached, other_reached=reached)
    assert sentence(tie).startswith(claimed)
    assert short(tie) == f"{summed} (2 seeds only)"


def test_missing_baselines_leave_their_ratios_out() -> None:
    found = comparison(edge=ratio("steps", 1.2, 1.5, 1.9))
    assert [r.other for r in found.ratios("edge")] == ["uniform"]
    assert headline(found) == {"edge": "Edge, to reach the target: 33% fewer steps than uniform."}
    assert recovered(found) == []


@pytest.mark.parametrize(("limit", "said"), [(0.9, "no gain to recover"), (math.inf, "Uniform misses the target")])
def test_a_missing_gain_of_dynamic_sampling_is_named(limit: float, said: str) -> None:
    lines = recovered(comparison(ds=ratio("steps", limit, limit, limit, "ds"), edge=ratio("steps", 1, 1, 1)))
    assert len(lines) == 1
    assert said in lines[0]


def test_a_negative_recovery_is_a_loss() -> None:
    found = comparison(ds=ratio("steps", 2, 2, 2, "ds"), edge=ratio("steps", 0.8, 0.8, 0.8))
    found.summary.recovered_gain.update(ds=1.0, edge=-0.2)
    assert "recovers 0% of that gain (it is slower than uniform in the median)" in recovered(found)[1]


def test_a_placebo_that_differs_is_a_warning() -> None:
    right = placebo(comparison(placebo=ratio("steps", 0.9, 1.0, 1.1, "placebo")))
    assert right is not None
    assert right.endswith("as it should be.")
    wrong = placebo(comparison(placebo=ratio("steps", 1.1, 1.2, 1.3, "placebo")))
    assert wrong is not None
    assert "It should not differ" in wrong
    assert placebo(comparison(edge=ratio("steps", 1, 1, 1))) is None


def test_numbers_are_short() -> None:
    assert number(12345.6) == "12,346"
    assert number(0.51234, "effective_ratio") == "51.2%"
    assert number(math.nan) == "–"
    assert number(math.inf, "steps_to_target") == "never"
    assert percent_change(0.996) == "0.4% fewer"
    assert percent_change(1.5) == "50% more"
