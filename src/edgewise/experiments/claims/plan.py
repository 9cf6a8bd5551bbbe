"""Plan of a claim: runs, core hours, and the seeds that each rule needs, from the spread of finished ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgewise.errors import ConfigError
from edgewise.experiments.claims.config import FACTORS, ClaimStudy, Rule
from edgewise.experiments.claims.measures import Measures
from edgewise.experiments.claims.verdict import paired
from edgewise.experiments.study.power import FEWEST_PILOT, seeds_needed
from edgewise.experiments.workers import cores


def plan(study: ClaimStudy, measured: Mapping[str, Measures], limit: float | None = None) -> list[str]:
    """The plan in words: a line a part, a line a rule, and the sum.

    Args:
        study: at the scale to be run.
        measured: of parts that have begun.
        limit: hours that the claim may take on this machine; None: any.

    Raises:
        ConfigError: it takes longer than the limit.
    """
    here = cores()
    lines, left = [], 0.0
    for name, part in study.parts.items():
        run = part.comparison.run
        done = len(measured[name].finished) if name in measured else 0
        seeds = len(part.comparison.seeds)
        mine = part.core_hours * (seeds - done) / seeds
        left += mine
        lines.append(
            f"{name}: {part.runs} runs of {run.steps} steps of {run.prompts} x {run.rollouts}, about {part.core_seconds:g}"
            f" core seconds a step; {done} of {seeds} seeds finished, {mine:.2f} core hours left"
        )
    lines += [
        f"{rule.say} [{part}]: {_needed(rule, part, measured)}" for rule in study.rules for part in study.parts_of(rule)
    ]
    hours = left / here
    lines.append(f"All: {left:.2f} core hours left, {hours:.2f} hours on the {here} cores here.")
    if limit is not None and hours > limit:
        raise ConfigError(f"{study.name} at scale {study.scale} takes {hours:.2f} hours here; the limit is {limit:g}")
    return lines


def _needed(rule: Rule, part: str, measured: Mapping[str, Measures]) -> str:
    values = np.array(paired(rule, part, measured))
    values = values[~np.isnan(values)]
    if len(values) < FEWEST_PILOT:
        return f"no estimate before {FEWEST_PILOT} seeds are finished ({rule.words()})"
    # A ratio is infinite, or 0, where one of the two waited in vain: it has no mean.
    missed = int((np.isinf(values) | (values == 0)).sum())
    if rule.measure in FACTORS and missed:
        return f"no estimate: in {missed} of {len(values)} seeds one of the methods missed the target ({rule.words()})"
    effect, spread = float(values.mean()), float(values.std(ddof=1))
    found = seeds_needed(abs(effect - rule.threshold), spread)
    # The sign test of five seeds decides only where all agree.
    count = None if found is None else max(found, 5) if rule.measure in FACTORS else found
    words = "more seeds than can be run" if count is None else f"{count} seeds"
    return f"{words} (effect {effect:+.3f}, spread over seeds {spread:.3f}; {rule.words()})"
