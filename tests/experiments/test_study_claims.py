"""The rule of verdicts: intervals decide, conditions come first."""

from typing import Any

import pytest

from edgewise.experiments.study.claims import (
    FAILS,
    HOLDS,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    UNDECIDED,
    Claim,
    judge,
    verdict,
)


class Given:
    """Results by arm."""

    def __init__(self, **values: tuple[float | None, float | None, float | None]):
        self.values = values

    def measure(self, claim: Claim) -> dict[str, Any]:
        return dict(zip(("mean", "low", "high"), self.values[claim.arm], strict=True)) | {"values": []}


def rise(arm: str, **threshold: float) -> Claim:
    return Claim(f"{arm} rises", arm, "pass@1", "all", **(threshold or {"at_least": 0.1}))


@pytest.mark.parametrize(
    ("low", "high", "at_least", "at_most"),
    [
        (0.1, 0.3, HOLDS, FAILS),
        (0.05, 0.3, UNDECIDED, UNDECIDED),
        (-0.2, 0.05, FAILS, HOLDS),
        (None, None, UNDECIDED, UNDECIDED),
    ],
)
def test_the_whole_interval_decides(low: float | None, high: float | None, at_least: str, at_most: str) -> None:
    value = {"low": low, "high": high}
    assert judge(rise("a", at_least=0.1), value) == at_least
    if low == 0.1:
        value = {"low": 0.11, "high": high}
    assert judge(rise("a", at_most=0.1), value) == at_most


def test_verdicts() -> None:
    results = Given(up=(0.2, 0.15, 0.25), down=(-0.2, -0.25, -0.15), wide=(0.2, -0.1, 0.5))
    up, down, wide = rise("up"), rise("down"), rise("wide")
    assert verdict([], [up], results)["verdict"] == REPRODUCED
    assert verdict([], [up, wide], results)["verdict"] == NOT_TESTABLE
    mixed = verdict([], [up, wide, down], results)
    assert mixed["verdict"] == NOT_REPRODUCED
    assert mixed["why"].startswith("1 of 3 claims hold")
    assert "down rises (-0.200, -0.250 to -0.150)" in mixed["why"]
    assert [line["found"] for line in mixed["claims"]] == [HOLDS, UNDECIDED, FAILS]


def test_a_condition_that_is_not_met_ends_the_matter() -> None:
    results = Given(base=(0.99, 0.98, 1.0), up=(0.2, 0.15, 0.25))
    room = Claim("the base leaves room", "base", "pass@1", "all", at_most=0.9)
    found = verdict([room], [rise("up")], results)
    assert found["verdict"] == NOT_TESTABLE
    assert "the base leaves room (+0.990" in found["why"]
    assert found["needs"][0]["met"] is False
    assert (
        verdict([Claim("floor", "base", "pass@1", "all", at_least=0.5)], [rise("up")], results)["verdict"] == REPRODUCED
    )
    missing = Given(base=(None, None, None), up=(0.2, 0.15, 0.25))
    assert verdict([room], [rise("up")], missing)["verdict"] == NOT_TESTABLE


def test_a_rule_in_words() -> None:
    claim = Claim("x", "RL", "pass@128", "edge", "outcome", minus="base", at_least=0.05)
    assert claim.words() == "pass@128 (outcome) on edge: RL minus base, at least 0.05"
    assert claim.k == 128
    assert Claim("x", "RL", "effective_ratio", at_most=0.5).k is None
