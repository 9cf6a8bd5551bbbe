"""Units of work of a study: stages that the same arms need, each done once, after the unit it builds on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgewise.experiments.study.config import Study, arms_and_seeds
from edgewise.experiments.study.stages import Report, Stage, is_done, run_stage


@dataclass(frozen=True)
class Unit:
    """Consecutive stages that share their users: one arm with one seed, or what several arms begin with."""

    name: str
    stages: tuple[Stage, ...]
    after: str = ""
    """The unit that the first stage starts from."""
    resources: dict[str, dict[str, float]] = field(default_factory=dict)
    """CPUs and GPUs by kind of stage."""

    def processes(self, stage: Stage) -> int:
        """How many share a stage: one a GPU."""
        return max(int(self.resources.get(stage.kind, {}).get("gpus", 1)), 1)


def units(study: Study) -> list[Unit]:
    """All work of a study; every unit stands behind the one it builds on, those that others wait for come first."""
    users: dict[str, list[str]] = defaultdict(list)
    stages: dict[str, Stage] = {}
    for arm, seed in arms_and_seeds(study):
        for stage in study.chain(arm, seed):
            users[stage.name].append(f"{arm} seed {seed}")
            stages[stage.name] = stage
    groups: dict[tuple[str, ...], list[Stage]] = defaultdict(list)
    for key, stage in stages.items():
        groups[tuple(users[key])].append(stage)
    names = {stage.name: _name(own, group) for own, group in groups.items() for stage in group}
    found = []
    for group in groups.values():
        parent = group[0].parent
        found.append(Unit(names[group[0].name], tuple(group), names[parent.name] if parent else "", study.resources))
    # Stable: within a depth, the order of seeds and arms stays.
    return sorted(found, key=lambda unit: len(_ancestors(unit.stages[0])))


def unfinished(all_units: list[Unit], root: Path) -> list[Unit]:
    return [unit for unit in all_units if not all(is_done(stage, root) for stage in unit.stages)]


def run_unit(unit: Unit, root: Path, report: Report, stopped: Callable[[], bool]) -> bool:
    """Do what is left of a unit; False if it was stopped."""
    return all(
        not stopped() and run_stage(stage, root, report, stopped, unit.processes(stage)) for stage in unit.stages
    )


def _name(users: tuple[str, ...], group: list[Stage]) -> str:
    if len(users) == 1:
        return users[0]
    seed = users[0].rpartition(" seed ")[2]
    return f"{group[-1].kind} of {len(users)} arms, seed {seed} ({group[-1].name[-4:]})"


def _ancestors(stage: Stage) -> list[Stage]:
    return [] if stage.parent is None else [*_ancestors(stage.parent), stage.parent]
