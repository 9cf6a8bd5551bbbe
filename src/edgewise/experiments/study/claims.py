"""What a study claims and how the claim is judged: a number, a threshold, and an interval that decides, or does not.

The whole language of verdicts. A claim takes one measure of one arm, may take that of another arm off, seed by seed, and
compares with a threshold. Its interval over seeds decides: it holds when all of the interval is on the claimed side, fails
when all of it is on the other, and is undecided otherwise. A condition ("needs") asks whether the claims can be tested at
all, a base that is not at its ceiling, say; there the mean decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edgewise.errors import ConfigError, unknown_name

TRAINING = ("success_rate", "effective_ratio", "picked")
REPRODUCED, NOT_REPRODUCED, NOT_TESTABLE = "reproduced", "not reproduced", "not testable at this scale"
HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"


@dataclass(frozen=True)
class Claim:
    """`arm` [minus `minus`] of `metric` `where` is `at_least` or `at_most` a threshold."""

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
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ConfigError(f"the claim '{self.say}' needs one of at_least and at_most")
        if self.kind not in ("strict", "outcome"):
            raise ConfigError(f"the claim '{self.say}': kind must be strict or outcome, got '{self.kind}'")

    @property
    def k(self) -> int | None:
        """K of pass@K; None for measures of training."""
        found = re.fullmatch(r"pass@(\d+)", self.metric)
        return int(found[1]) if found else None

    def check(self, arms: Sequence[str], regions: Sequence[str], samples: int) -> None:
        """`ConfigError` for names and numbers that the study does not have."""
        for arm in (self.arm, self.minus):
            if arm and arm not in arms:
                raise unknown_name("arm", arm, arms)
        if self.k is None and self.metric not in TRAINING:
            raise unknown_name("metric", self.metric, [*TRAINING, "pass@1", f"pass@{samples}"])
        if self.k is not None and not 1 <= self.k <= samples:
            raise ConfigError(f"the claim '{self.say}' asks for {self.metric}, but the exam draws {samples} rollouts")
        if (self.k is not None or self.metric == "picked") and self.where not in regions:
            raise unknown_name("region", self.where, regions)

    @property
    def threshold(self) -> str:
        return f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"

    def words(self) -> str:
        """The rule, for tables."""
        what = (
            f"{self.metric}{' (outcome)' if self.kind == 'outcome' else ''}{f' on {self.where}' if self.where else ''}"
        )
        return f"{what}: {self.arm}{f' minus {self.minus}' if self.minus else ''}, {self.threshold}"


class Results(Protocol):
    """Where the numbers of a claim come from."""

    def measure(self, claim: Claim) -> dict[str, Any]:
        """mean, low and high of the interval (null where there is none), and the values by seed."""
        ...


def judge(claim: Claim, value: Mapping[str, Any]) -> str:
    """holds, fails or undecided."""
    low, high = value["low"], value["high"]
    if low is None or high is None:
        return UNDECIDED
    if claim.at_least is not None:
        return HOLDS if low >= claim.at_least else FAILS if high < claim.at_least else UNDECIDED
    assert claim.at_most is not None
    return HOLDS if high <= claim.at_most else FAILS if low > claim.at_most else UNDECIDED


def verdict(needs: Sequence[Claim], claims: Sequence[Claim], results: Results) -> dict[str, Any]:
    """The verdict of a study with what it rests on.

    not testable: a condition is not met, or no claim fails but one is undecided; reproduced: all claims hold; not
    reproduced: one fails.
    """
    conditions = [{**_line(claim, results), "met": _met(claim, results)} for claim in needs]
    lines = [_line(claim, results) for claim in claims]
    found = [line["found"] for line in lines]
    missing = [line for line in conditions if not line["met"]]
    if missing:
        word, why = NOT_TESTABLE, "a condition is not met: " + "; ".join(_number(line) for line in missing)
    elif FAILS in found:
        held = f"{found.count(HOLDS)} of {len(found)} claims hold"
        failing = "; ".join(_number(line) for line in lines if line["found"] == FAILS)
        word, why = NOT_REPRODUCED, f"{held}; against the rest speaks: {failing}"
    elif UNDECIDED in found:
        held = f"{found.count(HOLDS)} of {len(found)} claims hold"
        open_ = "; ".join(_number(line) for line in lines if line["found"] == UNDECIDED)
        word, why = NOT_TESTABLE, f"{held}, none fails, but the intervals are too wide for: {open_}"
    else:
        word, why = REPRODUCED, f"all {len(found)} claims hold"
    return {"verdict": word, "why": why, "needs": conditions, "claims": lines}


def _met(claim: Claim, results: Results) -> bool:
    mean = results.measure(claim)["mean"]
    if mean is None:
        return False
    return bool(mean >= claim.at_least if claim.at_least is not None else mean <= claim.at_most)


def _line(claim: Claim, results: Results) -> dict[str, Any]:
    value = results.measure(claim)
    return {"say": claim.say, "rule": claim.words(), **value, "found": judge(claim, value)}


def _number(line: Mapping[str, Any]) -> str:
    return f"{line['say']} ({spread(line)})"


def spread(value: Mapping[str, Any], form: str = "{:+.3f}") -> str:
    """A mean with its interval in words."""
    if value["mean"] is None:
        return "no value"
    if value["low"] is None:
        return form.format(value["mean"])
    return f"{form.format(value['mean'])}, {form.format(value['low'])} to {form.format(value['high'])}"
