"""Verdict rules: intervals decide, ties are no victories, floors and ceilings decide nothing; every shipped rule in four worlds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgewise.errors import ConfigError
from edgewise.experiments.study.claims import (
    FAILS,
    HOLDS,
    NO_ROOM,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    OUT_OF_REACH,
    REPRODUCED,
    UNDECIDED,
    Claim,
    judge,
    verdict,
)
from edgewise.experiments.study.config import Study, load_study, names, scales
from edgewise.experiments.study.preflight import Rules


class Given:
    """Results by arm."""

    def __init__(self, **values: tuple[float | None, float | None, float | None]):
        self.values = values

    def measure(self, claim: Claim) -> dict[str, Any]:
        return dict(zip(("mean", "low", "high"), self.values[claim.arm], strict=True)) | {"values": [], "base": None}


def rise(arm: str, **threshold: float) -> Claim:
    return Claim(f"{arm} rises", arm, "pass@1", "all", **(threshold or {"at_least": 0.1}))


@pytest.mark.parametrize(
    ("low", "high", "at_least", "at_most"),
    [
        (0.1, 0.3, HOLDS, UNDECIDED),
        (0.11, 0.3, HOLDS, FAILS),
        (0.05, 0.3, UNDECIDED, UNDECIDED),
        (-0.2, 0.05, FAILS, HOLDS),
        (None, None, UNDECIDED, UNDECIDED),
    ],
)
def test_the_whole_interval_decides(low: float | None, high: float | None, at_least: str, at_most: str) -> None:
    value = {"low": low, "high": high}
    assert judge(rise("a", at_least=0.1), value) == at_least
    assert judge(rise("a", at_most=0.1), value) == at_most


def test_a_tie_is_no_victory() -> None:
    tie = {"low": 0.0, "high": 0.0, "base": 0.5}
    assert judge(Claim("beats", "a", "pass@1", "all", minus="b", above=0), tie) == FAILS
    assert judge(Claim("loses", "a", "pass@1", "all", minus="b", below=0), tie) == FAILS
    assert judge(Claim("does not raise", "a", "pass@1", "all", minus="b", at_most=0), tie) == HOLDS
    with pytest.raises(ConfigError, match="would hold at a tie: write `above: 0`"):
        Claim("beats", "a", "pass@1", "all", minus="b", at_least=0).check(["a", "b"], ["all"], 4)


@pytest.mark.parametrize(
    ("threshold", "base", "found"),
    [
        ({"above": 0}, 1.0, NO_ROOM),
        ({"above": 0}, 0.5, HOLDS),
        ({"at_least": 0.3}, 0.75, NO_ROOM),
        ({"at_most": 0.3}, 0.75, NO_ROOM),
        ({"at_least": -0.1}, 0.05, NO_ROOM),
        ({"at_least": -0.1}, 0.5, HOLDS),
    ],
)
def test_a_claim_without_room_is_not_decided(threshold: dict[str, float], base: float, found: str) -> None:
    claim = Claim("x", "a", "pass@1", "all", minus="b", **threshold)
    assert judge(claim, {"low": 0.31, "high": 0.35, "base": base}, (0.2, 0.9)) == found


def test_a_region_at_the_floor_or_the_ceiling_decides_nothing() -> None:
    value = {"low": 0.0, "high": 0.0}
    assert judge(rise("a"), value, (0.0, 0.005)) == OUT_OF_REACH
    assert judge(rise("a"), {"low": 1.0, "high": 1.0}, (0.995, 1.0)) == NO_ROOM
    assert judge(Claim("x", "a", "success_rate", at_most=0.05), value, None) == HOLDS


def test_verdicts() -> None:
    results = Given(up=(0.2, 0.15, 0.25), down=(0.02, 0.01, 0.03), wide=(0.2, 0.05, 0.5))
    up, down, wide = rise("up"), rise("down"), rise("wide")

    def word(*claims: Claim) -> dict[str, Any]:
        return verdict([], claims, results, ["up", "down", "wide"])

    assert word(up)["verdict"] == REPRODUCED
    assert word(up, wide)["verdict"] == NOT_TESTABLE
    mixed = word(up, wide, down)
    assert mixed["verdict"] == NOT_REPRODUCED
    assert mixed["why"].startswith("1 of 3 claims hold")
    assert "down rises (0.020, 0.010 to 0.030)" in mixed["why"]
    assert [line["found"] for line in mixed["claims"]] == [HOLDS, UNDECIDED, FAILS]


def test_a_condition_that_is_not_met_ends_the_matter() -> None:
    results = Given(base=(0.99, 0.98, 1.0), up=(0.2, 0.15, 0.25))
    room = Claim("the base leaves room", "base", "pass@1", "all", at_most=0.9)
    found = verdict([room], [rise("up")], results, ["base", "up"])
    assert found["verdict"] == NOT_TESTABLE
    assert "the base leaves room (0.990" in found["why"]
    assert found["needs"][0]["met"] is False
    floor = Claim("floor", "base", "pass@1", "all", at_least=0.5)
    assert verdict([floor], [rise("up")], results, ["base", "up"])["verdict"] == REPRODUCED
    missing = Given(base=(None, None, None), up=(0.2, 0.15, 0.25))
    assert verdict([room], [rise("up")], missing, ["up"])["verdict"] == NOT_TESTABLE


def test_a_rule_in_words() -> None:
    claim = Claim("x", "RL", "pass@128", "edge", "outcome", minus="base", at_least=0.05)
    assert claim.words() == "pass@128 (outcome) on edge: RL minus base, at least 0.05"
    assert claim.k == 128
    assert Claim("x", "RL", "effective_ratio", below=0.5).words() == "effective_ratio: RL, below 0.5"
    with pytest.raises(ConfigError, match="needs one of at_least, above, at_most, below"):
        Claim("x", "RL", "effective_ratio", below=0.5, above=0.2)


class World:
    """Results without noise: a mean for each arm, metric and region."""

    def __init__(self, mean: Callable[[Claim], float]):
        self.mean = mean

    def measure(self, claim: Claim) -> dict[str, Any]:
        base = self.mean(replace(claim, arm=claim.minus, minus="")) if claim.minus else None
        value = self.mean(replace(claim, minus="")) - (base or 0.0)
        return {"mean": value, "low": value - 1e-6, "high": value + 1e-6, "values": [value] * 3, "base": base}


def tightened(claim: Claim, by: float) -> Claim:
    """The same claim, harder to meet."""
    sign = 1 if claim.bound in ("at_least", "above") else -1
    return replace(claim, **{claim.bound: claim.threshold + sign * by})


def with_the_effect(study: Study) -> World:
    """A world inside all conditions and claims: the average of many of its corners."""
    rules, rng = Rules(study), np.random.default_rng(0)
    wanted = [tightened(claim, 0.02) for claim in (*study.needs, *study.claims)]
    corners = [rules.solve(rng.normal(size=len(rules.columns)), wanted) for _ in range(40)]
    values = np.mean([corner for corner in corners if corner is not None], axis=0)
    means = dict(zip(rules.columns, values.tolist(), strict=True))
    return World(lambda claim: means.get((claim.arm, claim.metric, claim.where, claim.kind), 0.4))


def without_the_effect(study: Study) -> World:
    """A world in which arms do not differ, but for what the conditions ask."""
    values: dict[tuple[str, ...], float] = {}

    def mean(claim: Claim) -> float:
        key = (claim.metric, claim.where, claim.kind)
        return values.get((*key, claim.arm), values.get(key, 0.4))

    for need in study.needs:
        key = (need.metric, need.where, need.kind)
        if need.minus:
            values[*key, need.arm] = mean(replace(need, arm=need.minus)) + tightened(need, 0.1).threshold
        else:
            values[key] = tightened(need, 0.1).threshold
    return World(mean)


STUDIES = [(name, scale) for name in names() for scale in scales(name)]


@pytest.mark.parametrize(("name", "scale"), STUDIES)
def test_every_shipped_rule_finds_the_right_word_in_every_world(name: str, scale: str) -> None:
    study = load_study(name, scale)

    def word(world: World) -> str:
        return str(verdict(study.needs, study.claims, world, list(study.arms))["verdict"])

    training = {"success_rate": 0.0, "effective_ratio": 0.0, "picked": 0.2}
    assert word(World(lambda claim: training.get(claim.metric, 0.0))) == NOT_TESTABLE
    training = {"success_rate": 1.0, "effective_ratio": 0.0, "picked": 0.2}
    assert word(World(lambda claim: training.get(claim.metric, 1.0))) == NOT_TESTABLE
    assert word(with_the_effect(study)) == REPRODUCED
    assert word(without_the_effect(study)) == NOT_REPRODUCED
