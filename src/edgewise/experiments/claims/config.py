"""A claim as data: comparisons of selection methods, called parts, and rules on their paired differences.

src/edgewise/experiments/claims/sets/C1.yaml: title, question, what was published, rules, and what is run at each scale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewise.errors import ConfigError, unknown_name
from edgewise.experiments.comparison import ComparisonConfig, preset
from edgewise.experiments.study.claims import Bound
from edgewise.experiments.study.config import Paper
from edgewise.lab.run.config import from_dict, read_yaml, to_dict

SETS = Path(__file__).parent / "sets"
QUARTERS = ("accuracy_quarter_1", "accuracy_quarter_2", "accuracy_quarter_3", "accuracy_quarter_4")
"""Mean accuracy over each quarter of the steps: area under the curve between evaluations joined by lines."""
DIFFERENCES = (
    "effective_ratio",
    "spearman",
    "final_accuracy",
    "mean_accuracy",
    *QUARTERS,
    "accuracy_at_rollouts",
    "accuracy_at_tokens",
    "accuracy_at_seconds",
)
"""Measures of one run; their mean over seeds has a Student-t interval."""
FACTORS = ("speedup_vs_uniform", "rollouts_vs_ds", "rollouts_vs_uniform")
"""Ratios to another method, whose median over seeds has the sign test's interval from five seeds on."""


@dataclass(frozen=True)
class Rule(Bound):
    """`measure` of `method`, [minus that of another,] is `at_least`, `above`, `at_most` or `below` a threshold in every part.

    A rule holds where the whole interval over seeds lies on the claimed side in each of its parts, fails where it lies on the
    other side in one of them, and is undecided otherwise, as a ratio is where each of its two methods missed
    the target in half of the seeds or more.
    """

    say: str
    """In words."""
    method: str
    measure: str
    """One of `DIFFERENCES`: mean over seeds; or of `FACTORS`: median over seeds."""
    parts: tuple[str, ...] = ()
    """Empty: every part of the scale that has the methods."""
    minus: str = ""
    """Method that is taken off, seed by seed."""
    minus_part: str = ""
    """Part of `minus`, where it is another one with the same seeds."""

    def __post_init__(self) -> None:
        self.check_bound(f"rule '{self.say}'", self.minus)
        if self.measure not in (*DIFFERENCES, *FACTORS):
            raise unknown_name("measure", self.measure, [*DIFFERENCES, *FACTORS])
        if self.measure in FACTORS and self.minus:
            raise ConfigError(f"the rule '{self.say}' compares by itself: leave `minus` out")

    @property
    def other(self) -> str:
        """What is taken off, and the part it is of where that is another one."""
        return self.minus + (f" ({self.minus_part})" if self.minus_part else "")

    def words(self) -> str:
        """The rule, for tables."""
        minus = f" minus {self.other}" if self.minus else ""
        where = f" [{', '.join(self.parts)}]" if self.parts else ""
        return f"{self.measure} of {self.method}{minus}, {self.bound_words()}{where}"


@dataclass(frozen=True)
class Part:
    """One comparison of a claim, and what a step of it costs."""

    comparison: ComparisonConfig
    core_seconds: float
    """Seconds of one core a step, measured or estimated, for the plan."""

    @property
    def runs(self) -> int:
        return len(self.comparison.runs())

    @property
    def core_hours(self) -> float:
        return self.runs * self.comparison.run.steps * self.core_seconds / 3600


@dataclass(frozen=True)
class ClaimStudy:
    """One claim at one scale."""

    name: str
    scale: str
    title: str
    question: str
    paper: Paper
    parts: dict[str, Part]
    rules: tuple[Rule, ...]
    differs: str = ""
    """How this scale differs from what was published."""
    prepare: tuple[str, ...] = ()
    """Commands that make the model from which the runs start."""

    def __post_init__(self) -> None:
        if not self.parts or not self.rules:
            raise ConfigError(f"{self.name} needs parts and at least one rule at scale {self.scale}")
        for name in self.parts:
            if not re.fullmatch(r"[\w+. =-]+", name):
                raise ConfigError(f"a part names the folder of its runs and cannot be called '{name}'")
        for rule in self.rules:
            if not self.parts_of(rule):
                raise ConfigError(f"the rule '{rule.say}' has no part with its methods at scale {self.scale}")

    def parts_of(self, rule: Rule) -> list[str]:
        """Parts that a rule is judged in."""
        wanted = rule.parts or tuple(self.parts)
        return [name for name in wanted if name in self.parts and self._has(rule, name)]

    def _has(self, rule: Rule, part: str) -> bool:
        other = {"rollouts_vs_ds": "ds"}.get(rule.measure, "uniform" if rule.measure in FACTORS else rule.minus)
        own = self.parts[part].comparison.methods
        if rule.minus_part and rule.minus_part not in self.parts:
            return False
        others = self.parts[rule.minus_part or part].comparison.methods
        return rule.method in own and (not other or other in others)


def names() -> list[str]:
    """Claims that come with the package."""
    return sorted(path.stem for path in SETS.glob("*.yaml"))


def scales(name: str) -> list[str]:
    """Scales of a claim."""
    return list(_read(name)["scales"])


def load(name: str, scale: str = "laptop", seeds: int | None = None, first: int | None = None) -> ClaimStudy:
    """A claim at one of its scales.

    Args:
        name: one of `names()`.
        scale: one of `scales(name)`.
        seeds: how many; None: as the claim says.
        first: the first seed; None: as the claim says.

    Raises:
        ConfigError: no such claim, scale or setting; the nearest known one is suggested.

    Example:
        >>> from edgewise.experiments.claims import load
        >>> sorted(load("C3").parts)
        ['countdown', 'opgraph']
    """
    values = _read(name)
    own = values.pop("scales")
    if scale not in own:
        raise unknown_name(f"scale of {name}", scale, own)
    values |= {key: value for key, value in own[scale].items() if key != "seeds"}
    count = own[scale]["seeds"] if seeds is None else seeds
    if count < 1:
        raise ConfigError(f"an experiment needs at least one seed, got {count}")
    start = first if first is not None else 0
    shared = {"methods": values.pop("methods", None), "seeds": list(range(start, start + count))}
    parts = {part: _part(given or {}, shared) for part, given in values.pop("parts").items()}
    rules = tuple(from_dict(Rule, rule, f"rules[{i}]") for i, rule in enumerate(values.pop("rules")))
    paper = from_dict(Paper, values.pop("paper"), "paper")
    prepare = tuple(values.pop("prepare", ()))
    return ClaimStudy(name=name, scale=scale, paper=paper, parts=parts, rules=rules, prepare=prepare, **values)


def _read(name: str) -> dict[str, Any]:
    if name not in names():
        raise unknown_name("claim", name, names())
    return dict(read_yaml(SETS / f"{name}.yaml"))


def _part(given: Mapping[str, Any], shared: Mapping[str, Any]) -> Part:
    """A part from {like: a demo preset, core_seconds, methods, run: what differs}."""
    base = to_dict(preset(given["like"]))
    run = dict(base["run"])
    for key, value in given.get("run", {}).items():
        nested = key in ("pool", "evaluation") and isinstance(run.get(key), dict)
        run[key] = {**run[key], **value} if nested else value
    methods = given.get("methods") or shared["methods"] or base["methods"]
    values = {**base, "run": run, "methods": methods, "seeds": shared["seeds"], "placebo": given.get("placebo", True)}
    return Part(from_dict(ComparisonConfig, values), float(given["core_seconds"]))
