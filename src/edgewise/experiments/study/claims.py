"""Claims of a study and their verdict: a measure, a threshold, and an interval that decides, or does not.

A claim takes one measure of one arm, may take that of another arm off, seed by seed, and compares it with a threshold. Its
interval over seeds decides: the claim holds when all of the interval is on the claimed side, fails when all of it is on the
other, and is undecided otherwise. A tie is no victory: "beats" is written `above: 0`, or better with the smallest effect that
counts, `at_least: 0.02`: only such a claim can also be refuted where there is no effect, since an interval around 0 never leaves
it.

A claim is not decided by arithmetic. Where no arm solves a region, it is out of reach; where every arm solves it, or the arm
that is taken off leaves less room than the threshold needs, there is no room. Neither speaks for or against the claim.
A condition ("needs") says when the claims can be tested at all, for example with a base below its ceiling; there the mean decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from edgewise.errors import ConfigError, unknown_name
from edgewise.lab.run.config import Finite

TRAINING = ("success_rate", "effective_ratio", "picked")
REPRODUCED, NOT_REPRODUCED, NOT_TESTABLE = "reproduced", "not reproduced", "not testable at this scale"
HOLDS, FAILS, UNDECIDED, OUT_OF_REACH, NO_ROOM = "holds", "fails", "undecided", "out of reach", "no room"
BOUNDS = {"at_least": "at least", "above": "above", "at_most": "at most", "below": "below"}
MARGIN = 0.01
"""Closest that a share may come to 0 or 1, or a threshold to the end of its range, and still be tested."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A threshold and the side of it that is claimed; exactly one is given."""

    at_least: Finite | None = None
    above: Finite | None = None
    at_most: Finite | None = None
    below: Finite | None = None

    def check_bound(self, owner: str, minus: str) -> None:
        """`ConfigError` if none or several are given, or if a difference from `minus` would hold at a tie."""
        if sum(getattr(self, name) is not None for name in BOUNDS) != 1:
            raise ConfigError(f"the {owner} needs one of {', '.join(BOUNDS)}")
        if minus and self.at_least == 0:
            raise ConfigError(f"the {owner} would hold at a tie: write `above: 0`")

    @property
    def bound(self) -> str:
        """Which of `BOUNDS` is given."""
        return next(name for name in BOUNDS if getattr(self, name) is not None)

    @property
    def threshold(self) -> float:
        return float(getattr(self, self.bound))

    def holds(self, value: float) -> bool:
        """Whether a value is on the claimed side."""
        return {
            "at_least": value >= self.threshold,
            "above": value > self.threshold,
            "at_most": value <= self.threshold,
            "below": value < self.threshold,
        }[self.bound]

    def bound_words(self) -> str:
        """The bound, for tables."""
        return f"{BOUNDS[self.bound]} {self.threshold:g}"


@dataclass(frozen=True)
class Claim(Bound):
    """`arm` [minus `minus`] of `metric` `where` is `at_least`, `above`, `at_most` or `below` a threshold."""

    say: str
    """In words."""
    arm: str
    metric: str
    """pass@K on held-out problems; or of the RL stage: success_rate (mean over its last quarter), effective_ratio (mean),
    picked (share of the prompts of its last half that lie in the region)."""
    where: str = ""
    """A region of the study; needed for pass@K and picked."""
    kind: str = "strict"
    """strict: every step and the answer; outcome: the answer alone."""
    minus: str = ""
    published: str = ""
    """What was published of this measure; empty: nothing."""

    def __post_init__(self) -> None:
        self.check_bound(f"claim '{self.say}'", self.minus)
        if self.kind not in ("strict", "outcome"):
            raise ConfigError(f"the claim '{self.say}': kind must be strict or outcome, got '{self.kind}'")

    @property
    def k(self) -> int | None:
        """K of pass@K; None for measures of training."""
        found = re.fullmatch(r"pass@([1-9][0-9]*)", self.metric)
        return int(found[1]) if found else None

    def check(self, arms: Sequence[str], regions: Sequence[str], samples: int) -> None:
        """`ConfigError` for names and numbers that the study does not have, and for a tie that would count as a victory."""
        for arm in (self.arm, self.minus or self.arm):
            if arm not in arms:
                raise unknown_name("arm", arm, arms)
        if self.k is None and self.metric not in TRAINING:
            raise unknown_name("metric", self.metric, [*TRAINING, "pass@1", f"pass@{samples}"])
        if self.k is not None and self.k > samples:
            raise ConfigError(
                f"the claim '{self.say}' needs {self.metric}, but the evaluation draws {samples} rollouts"
            )
        if (self.k is not None or self.metric == "picked") and self.where not in regions:
            raise unknown_name("region", self.where, regions)

    def words(self) -> str:
        """The rule, for tables."""
        what = (
            f"{self.metric}{' (outcome)' if self.kind == 'outcome' else ''}{f' on {self.where}' if self.where else ''}"
        )
        minus = f" minus {self.minus}" if self.minus else ""
        return f"{what}: {self.arm}{minus}, {self.bound_words()}"


class Results(Protocol):
    """Source of the numbers of a claim."""

    def measure(self, claim: Claim) -> dict[str, Any]:
        """mean, low and high of the interval (null where there is none), values by seed, and `base`: the mean of `minus`."""
        ...


def judge(claim: Claim, value: Mapping[str, Any], extremes: tuple[float, float] | None = None) -> str:
    """One of holds, fails, undecided, out of reach, no room.

    Args:
        claim: the rule.
        value: its measure.
        extremes: smallest and largest mean of the claim's measure over all arms, without differences; None: unknown.
    """
    if claim.k is not None and extremes is not None:
        if extremes[1] < MARGIN:
            return OUT_OF_REACH
        if extremes[0] > 1 - MARGIN:
            return NO_ROOM
    base = value.get("base")
    if base is not None and not _room(claim.threshold, float(base)):
        return NO_ROOM
    low, high = value["low"], value["high"]
    if low is None or high is None:
        return UNDECIDED
    ends = [claim.holds(low), claim.holds(high)]
    return HOLDS if all(ends) else FAILS if not any(ends) else UNDECIDED


def _room(threshold: float, base: float) -> bool:
    """Whether a share minus `base`, which lies between -base and 1 - base, can fall on both sides of the threshold."""
    return threshold < 1 - base - MARGIN and (threshold >= 0 or threshold > -base + MARGIN)


def verdict(needs: Sequence[Claim], claims: Sequence[Claim], results: Results, arms: Sequence[str]) -> dict[str, Any]:
    """The verdict of a study with the numbers it rests on.

    not testable: a condition is not met, or no claim fails but one is not decided; reproduced: all claims hold; not
    reproduced: one fails.
    """
    conditions = [{**_line(claim, results), "met": _met(claim, results)} for claim in needs]
    lines = []
    for claim in claims:
        line = _line(claim, results)
        lines.append({**line, "found": judge(claim, line, _extremes(claim, results, arms))})
    found = [line["found"] for line in lines]
    missing = [line for line in conditions if not line["met"]]
    held = f"{found.count(HOLDS)} of {len(found)} claims hold"
    if missing:
        word, why = NOT_TESTABLE, "a condition is not met: " + "; ".join(_number(line) for line in missing)
    elif FAILS in found:
        failing = "; ".join(_number(line) for line in lines if line["found"] == FAILS)
        word, why = NOT_REPRODUCED, f"{held}; against the rest speaks: {failing}"
    elif found.count(HOLDS) < len(found):
        reasons = {
            UNDECIDED: "the intervals are too wide for",
            OUT_OF_REACH: "no arm solves the problems of",
            NO_ROOM: "there is no room for",
        }
        open_ = [
            f"{reason}: {'; '.join(_number(line) for line in lines if line['found'] == kind)}"
            for kind, reason in reasons.items()
            if kind in found
        ]
        word, why = NOT_TESTABLE, f"{held}, none fails, but {'; and '.join(open_)}"
    else:
        word, why = REPRODUCED, f"all {len(found)} claims hold"
    return {"verdict": word, "why": why, "needs": conditions, "claims": lines}


def _extremes(claim: Claim, results: Results, arms: Sequence[str]) -> tuple[float, float] | None:
    if claim.k is None:
        return None
    means = [results.measure(replace(claim, arm=arm, minus=""))["mean"] for arm in arms]
    known = [float(mean) for mean in means if mean is not None]
    return (min(known), max(known)) if known else None


def _met(claim: Claim, results: Results) -> bool:
    mean = results.measure(claim)["mean"]
    return mean is not None and claim.holds(mean)


def _line(claim: Claim, results: Results) -> dict[str, Any]:
    return {"say": claim.say, "rule": claim.words(), "published": claim.published, **results.measure(claim)}


def _number(line: Mapping[str, Any]) -> str:
    return f"{line['say']} ({spread(line)})"


def spread(value: Mapping[str, Any], form: str = "") -> str:
    """A mean with its interval in words; differences carry their sign."""
    form = form or ("{:.3f}" if value.get("base") is None else "{:+.3f}")
    if value["mean"] is None:
        return "no value"
    if value["low"] is None:
        return form.format(value["mean"])
    return f"{form.format(value['mean'])}, {form.format(value['low'])} to {form.format(value['high'])}"
