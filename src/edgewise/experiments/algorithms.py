"""Comparisons of selection methods under several algorithms: what selection gains with each of them (`edgewise experiment C2`)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewise.checkpoint import write_atomic, write_json
from edgewise.errors import ConfigError
from edgewise.experiments.claims import config as claims
from edgewise.experiments.comparison import ComparisonConfig, compare, configured
from edgewise.experiments.folders import read_json, writing
from edgewise.experiments.pools import HEAD, line
from edgewise.experiments.runs import Event, finished
from edgewise.experiments.summary import PLACEBO, Summary
from edgewise.lab.rl.algorithms import Algorithm
from edgewise.lab.rl.config import RLConfig
from edgewise.lab.run.config import claim, from_dict, read_yaml, validate
from edgewise.statistics import Interval, mean_interval

SETS = Path(__file__).parent / "sets"
CLAIM = "C2"
"""The claim whose parts differ in the algorithm alone: its runs serve both."""


@dataclass(frozen=True)
class AlgorithmStudy:
    """One comparison for each algorithm, from the same bases, pools and evaluations."""

    algorithms: tuple[Algorithm, ...] = ()
    """Names, or {like: NAME, ...}; an algorithm may stand here once."""
    comparison: ComparisonConfig = field(default_factory=ComparisonConfig)

    def __post_init__(self) -> None:
        validate(self)
        names = [_folder(algorithm) for algorithm in self.algorithms]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"algorithms must name at least one, and none twice, got {', '.join(names) or 'none'}")


def names() -> list[str]:
    """Studies that come with the package."""
    return sorted([CLAIM, *(path.stem for path in SETS.glob("*.yaml"))])


def load(name: str) -> AlgorithmStudy:
    """A study of `names()`."""
    if name != CLAIM:
        return from_dict(AlgorithmStudy, read_yaml(SETS / f"{name}.yaml"))
    parts = [part.comparison for part in claims.load(CLAIM).parts.values()]
    shared = dataclasses.replace(parts[0].run, algorithm=RLConfig().algorithm)
    return AlgorithmStudy(tuple(own.run.algorithm for own in parts), dataclasses.replace(parts[0], run=shared))


def changed(study: AlgorithmStudy, seeds: int | None, first: int | None) -> AlgorithmStudy:
    """The study with another number of seeds, or another first one; None keeps what is there."""
    own = study.comparison
    return dataclasses.replace(study, comparison=configured(own, None, seeds, first, own.placebo, {}))


def algorithm_study(
    study: AlgorithmStudy,
    out: Path,
    workers: int | None = None,
    on_event: Callable[[str, Event], None] | None = None,
) -> str:
    """Compare under each algorithm; returns the table as Markdown. Finished runs are kept.

    After each algorithm out/algorithms.md has the table and out/summary.json the numbers of those that are finished.
    """
    claim(out, study)
    found: dict[str, Summary] = {}
    for name, config in _comparisons(study).items():
        handle = None if on_event is None else (lambda event, name=name: on_event(name, event))
        found[name] = compare(config, out / name, workers, handle)
        with writing(out):
            write_atomic(out / "algorithms.md", table(found).encode())
            write_json(out / "summary.json", {key: _numbers(summary) for key, summary in found.items()})
    return table(found)


def table(found: Mapping[str, Summary]) -> str:
    """Markdown of the comparisons by algorithm, first those in which a method loses most against uniform."""
    order = sorted(
        found, key=lambda name: min((_gain(found[name], m).estimate for m in _rivals(found[name])), default=0.0)
    )
    lines = list(HEAD)
    for name in order:
        lines += [line(name, method, found[name]) for method in found[name].methods]
    return "\n".join(lines).replace("| pool |", "| algorithm |", 1) + "\n"


def plan(study: AlgorithmStudy, out: Path) -> str:
    """What is left of a study, in one sentence, with hours from the runs that are finished."""
    folders = [out / name / run for name, config in _comparisons(study).items() for run in config.runs()]
    done = [folder for folder in folders if finished(folder)]
    seconds = [float(read_json(folder / "summary.json")["seconds"]) for folder in done]
    steps = study.comparison.run.steps
    text = f"{len(folders)} runs of {steps} steps, {len(done)} finished"
    if done:
        hours = sum(seconds) / len(done) * (len(folders) - len(done)) / 3600
        text += f"; the others take {hours:.1f} hours of one worker, without evaluation"
    return text


def _comparisons(study: AlgorithmStudy) -> dict[str, ComparisonConfig]:
    own = study.comparison
    return {
        _folder(algorithm): dataclasses.replace(own, run=dataclasses.replace(own.run, algorithm=algorithm))
        for algorithm in study.algorithms
    }


def _rivals(summary: Summary) -> list[str]:
    return [method for method in summary.methods if method not in ("uniform", PLACEBO)]


def _gain(summary: Summary, method: str) -> Interval:
    """Final accuracy minus uniform's, paired by seed."""
    own, base = (summary.measure(name, "final_accuracy").values for name in (method, "uniform"))
    return mean_interval([a - b for a, b in zip(own, base, strict=False)])


def _numbers(summary: Summary) -> dict[str, Any]:
    gains = {method: _gain(summary, method) for method in _rivals(summary)} if "uniform" in summary.methods else {}
    return {
        **summary.to_json(),
        "gain_vs_uniform": {
            method: {
                name: value if math.isfinite(value) else None
                for name, value in (("mean", gain.estimate), ("low", gain.low), ("high", gain.high))
            }
            for method, gain in gains.items()
        },
    }


def _folder(algorithm: Algorithm) -> str:
    """The name of an algorithm's folder, with what differs from the published one."""
    plain: Any = algorithm.to_plain()
    if isinstance(plain, str):
        return plain
    return " ".join([plain["like"], *(f"{name}={value}" for name, value in plain.items() if name != "like")]).replace(
        "/", "-"
    )
