"""Comparisons of selection methods under several algorithms: what selection gains with each of them (`edgewise experiment C2`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewise.checkpoint import write_atomic
from edgewise.errors import ConfigError
from edgewise.experiments.comparison import ComparisonConfig, compare, configured
from edgewise.experiments.folders import writing
from edgewise.experiments.pools import HEAD, line
from edgewise.experiments.runs import Event
from edgewise.experiments.summary import arms
from edgewise.lab.rl.algorithms import Algorithm
from edgewise.lab.run.config import claim, from_dict, read_yaml, validate

SETS = Path(__file__).parent / "sets"


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
    return sorted(path.stem for path in SETS.glob("*.yaml"))


def load(name: str) -> AlgorithmStudy:
    """A study of `names()`."""
    return from_dict(AlgorithmStudy, read_yaml(SETS / f"{name}.yaml"))


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
    """Compare under each algorithm; returns the table as Markdown and writes it to out/algorithms.md. Finished runs are kept."""
    claim(out, study)
    lines = list(HEAD)
    for algorithm in study.algorithms:
        name = _folder(algorithm)
        handle = None if on_event is None else (lambda event, name=name: on_event(name, event))
        run = dataclasses.replace(study.comparison.run, algorithm=algorithm)
        config = dataclasses.replace(study.comparison, run=run)
        summary = compare(config, out / name, workers, handle)
        lines += [line(name, method, summary) for method in arms(config.methods, config.placebo)]
    table = "\n".join(lines).replace("| pool |", "| algorithm |", 1) + "\n"
    with writing(out):
        write_atomic(out / "algorithms.md", table.encode())
    return table


def _folder(algorithm: Algorithm) -> str:
    """The name of an algorithm's folder, with what differs from the published one."""
    plain: Any = algorithm.to_plain()
    if isinstance(plain, str):
        return plain
    return " ".join([plain["like"], *(f"{name}={value}" for name, value in plain.items() if name != "like")]).replace(
        "/", "-"
    )
