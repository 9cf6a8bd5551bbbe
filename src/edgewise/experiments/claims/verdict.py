"""Verdicts of a claim: each rule in each of its parts, and all of them together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgewise.experiments.claims.config import FACTORS, ClaimStudy, Rule
from edgewise.experiments.claims.measures import Measures
from edgewise.experiments.study.claims import FAILS, HOLDS, NOT_REPRODUCED, REPRODUCED, UNDECIDED
from edgewise.statistics import Interval, mean_interval

NOT_DECIDED, NOT_RUN = "not decided", "not yet run"


def judged(study: ClaimStudy, measured: Mapping[str, Measures]) -> dict[str, Any]:
    """Verdict, and every rule with its numbers, as JSON values.

    "reproduced": all rules hold; "not reproduced": one fails; "not decided" otherwise; "not yet run" while a run is missing.
    """
    lines = []
    for rule in study.rules:
        cells = {part: cell(rule, part, measured) for part in study.parts_of(rule)}
        found = [entry["found"] for entry in cells.values()]
        word = FAILS if FAILS in found else HOLDS if set(found) == {HOLDS} else UNDECIDED
        lines.append({"say": rule.say, "rule": rule.words(), "found": word, "parts": cells})
    complete = all(len(own.finished) == len(own.seeds) for own in measured.values()) and len(measured) == len(
        study.parts
    )
    words = [line["found"] for line in lines]
    if not complete:
        verdict = NOT_RUN
    elif FAILS in words:
        verdict = NOT_REPRODUCED
    else:
        verdict = REPRODUCED if set(words) == {HOLDS} else NOT_DECIDED
    return {"verdict": verdict, "rules": lines}


def cell(rule: Rule, part: str, measured: Mapping[str, Measures]) -> dict[str, Any]:
    """A rule's numbers in one part: estimate and interval (null where there is none), values by seed, and what it finds."""
    values = paired(rule, part, measured)
    found, known = Interval(), False
    if rule.measure not in FACTORS:
        found, known = mean_interval(values), True
    elif values and not any(map(math.isnan, values)):
        ratio = measured[part].summary.ratio(rule.measure, rule.method)
        found, known = ratio.interval, ratio.waits_known
    sides = [rule.holds(end) for end in (found.low, found.high)]
    if math.isnan(found.low) or not known or any(sides) != all(sides):
        word = UNDECIDED
    else:
        word = HOLDS if all(sides) else FAILS
    numbers = {"estimate": found.estimate, "low": found.low, "high": found.high}
    return {
        **{key: plain(value) for key, value in numbers.items()},
        "values": [plain(v) for v in values],
        "found": word,
    }


def paired(rule: Rule, part: str, measured: Mapping[str, Measures]) -> tuple[float, ...]:
    """The rule's measure by seed, what is to be taken off taken off."""
    if part not in measured or (rule.minus_part and rule.minus_part not in measured):
        return ()
    own = np.array(measured[part].of(rule.method, rule.measure))
    if rule.minus:
        own = own - np.array(measured[rule.minus_part or part].of(rule.minus, rule.measure))
    return tuple(own.tolist())


def plain(value: float) -> float | str | None:
    """NaN as null, infinity as "inf", others rounded for a file that is read."""
    if not math.isfinite(value):
        return None if math.isnan(value) else "inf"
    return round(value, 5)
