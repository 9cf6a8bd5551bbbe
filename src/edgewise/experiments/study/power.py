"""Power analysis of a study: seeds that each claim needs to be decided, and the hours that they take.

The spread over seeds comes from a pilot, the seeds of the study that are finished. A claim is decided when its interval lies on
one side of the threshold; the seeds needed are the fewest for which that happens in four of five studies (power 0.8), if the
true effect is the pilot's: t(0.975, n - 1) s / sqrt(n) + z(0.8) s / sqrt(n) <= |effect - threshold|, with s the standard
deviation over seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.errors import ConfigError
from edgewise.experiments.folders import read_json
from edgewise.experiments.study.claims import Claim
from edgewise.experiments.study.config import Study
from edgewise.experiments.study.results import StudyResults
from edgewise.experiments.study.stages import DONE, is_done
from edgewise.experiments.workers import cores
from edgewise.statistics import t_quantile

POWER = 0.8416
"""z(0.8): normal quantile of the power."""
FEWEST_PILOT = 3
MOST = 1000
"""Seeds beyond which no number is given."""


@dataclass(frozen=True)
class Needed:
    """Seeds that one claim needs.

    Attributes:
        claim: the rule.
        effect, spread: mean and standard deviation of its measure over the pilot's seeds.
        seeds: fewest that decide it; None: more than `MOST`.
    """

    claim: Claim
    effect: float
    spread: float
    seeds: int | None


@dataclass(frozen=True)
class Plan:
    """Seeds that a study needs, and their price.

    Attributes:
        pilot: seeds that are finished.
        needed: one entry a claim.
        core_hours: of one seed.
        cores: of this machine.
    """

    pilot: tuple[int, ...]
    needed: tuple[Needed, ...]
    core_hours: float
    cores: int

    @property
    def seeds(self) -> int | None:
        """Seeds that decide every claim; None: one needs more than `MOST`."""
        counts = [entry.seeds for entry in self.needed]
        return None if None in counts else max(count for count in counts if count is not None)

    def hours(self, seeds: int) -> float:
        """Hours on this machine for the seeds that are not finished."""
        return max(seeds - len(self.pilot), 0) * self.core_hours / self.cores

    def lines(self) -> list[str]:
        """The plan in words, a line a claim and the sum."""
        lines = [
            f"{entry.claim.say}: {_count(entry.seeds)} (effect {entry.effect:+.3f}, spread over seeds {entry.spread:.3f};"
            f" {entry.claim.words()})"
            for entry in self.needed
        ]
        pilot = f"Pilot: {len(self.pilot)} seeds; one seed takes {self.core_hours:.2f} core hours."
        if self.seeds is None:
            return [
                *lines,
                f"{pilot} At least one claim cannot be decided by more seeds: its effect is at the threshold.",
            ]
        more = self.hours(self.seeds)
        return [
            *lines,
            f"{pilot} All claims: {self.seeds} seeds, {more:.1f} more hours on the {self.cores} cores here.",
        ]


def plan(study: Study, root: Path, limit: float | None = None) -> Plan:
    """Seeds that every claim of a study needs, from those of its seeds that are finished among the stages in `root`.

    Args:
        study: at the scale to be run.
        root: folder of all stages.
        limit: hours that the study may take on this machine; None: any.

    Raises:
        ConfigError: fewer than three seeds are finished, or the seeds needed, or `MOST` where no number decides a claim, take
            longer than the limit.
    """
    finished = tuple(
        seed
        for seed in study.seeds
        if all(is_done(stage, root) for arm in study.arms for stage in study.chain(arm, seed))
    )
    if len(finished) < FEWEST_PILOT:
        raise ConfigError(
            f"a plan needs a pilot of at least {FEWEST_PILOT} finished seeds, found {len(finished)} of"
            f" {', '.join(map(str, study.seeds))}; run them first, with --seeds and --first-seed as here"
        )
    results = StudyResults(replace(study, seeds=finished), root)
    needed = tuple(_needed(claim, results.measure(claim)) for claim in study.claims)
    core_hours = sum(record["cpu_seconds"] for record in results.records.values()) / 3600 / len(finished)
    found = Plan(finished, needed, core_hours, cores())
    if limit is not None and found.hours(found.seeds or MOST + 1) > limit:
        needs = f"more than {MOST} seeds, over" if found.seeds is None else f"{found.seeds} seeds,"
        raise ConfigError(
            f"{study.name} needs {needs} {_words(found.hours(found.seeds or MOST + 1))} more here; the limit is {_words(limit)}"
        )
    return found


def require_hours(study: Study, root: Path, limit: float) -> None:
    """Refuse a study whose unfinished stages take longer than a limit.

    The time of a stage is that of the study's finished ones of its kind, by their steps; where there are none, that of all finished
    ones of its kind in `root`, such as a pilot's.

    Args:
        study: with the seeds to be run.
        root: folder of all stages.
        limit: hours on this machine.

    Raises:
        ConfigError: it takes longer, or no stage of a kind is finished, so that its time is not known.
    """
    stages = {stage.name: stage for arm in study.arms for seed in study.seeds for stage in study.chain(arm, seed)}
    done = {name for name, stage in stages.items() if is_done(stage, root)}
    seconds = 0.0
    for kind in dict.fromkeys(stage.kind for stage in stages.values()):
        left = sum(stage.steps for name, stage in stages.items() if stage.kind == kind and name not in done)
        if not left:
            continue
        own = [root / name for name in sorted(done) if stages[name].kind == kind]
        known = [read_json(folder / DONE) for folder in own or [path.parent for path in root.glob(f"{kind}-*/{DONE}")]]
        if not known:
            raise ConfigError(
                f"{study.name}: the time of {kind} is not known, so that it cannot be kept below {_words(limit)}; finish one seed"
                " first, with --seeds 1 and without --hours"
            )
        seconds += left * sum(line["cpu_seconds"] for line in known) / sum(line["steps"] for line in known)
    hours = seconds / 3600 / cores()
    if hours > limit:
        raise ConfigError(
            f"{study.name} with seeds {', '.join(map(str, study.seeds))} takes {_words(hours)} more here; the limit is {_words(limit)}"
        )


def _words(hours: float) -> str:
    return f"{hours:.1f} hours" if abs(hours) >= 1 else f"{60 * hours:.1f} minutes"


def _needed(claim: Claim, value: dict[str, Any]) -> Needed:
    values = np.array([math.nan if item is None else item for item in value["values"]])
    effect, spread = float(values.mean()), float(values.std(ddof=1))
    return Needed(claim, effect, spread, seeds_needed(abs(effect - claim.threshold), spread))


def seeds_needed(distance: float, spread: float) -> int | None:
    """Fewest seeds, at least 2, that decide a claim whose effect is `distance` from its threshold; None: more than `MOST`.

    Args:
        distance: at least 0; NaN: unknown.
        spread: standard deviation over seeds.

    Example:
        >>> seeds_needed(distance=0.1, spread=0.1)
        10
    """
    for n in range(2, MOST + 1):
        if distance > 0 and (t_quantile(n - 1) + POWER) * spread / math.sqrt(n) <= distance:
            return n
    return None


def _count(seeds: int | None) -> str:
    return f"more than {MOST} seeds" if seeds is None else f"{seeds} seeds"
