"""Figures over several studies: a measure against a number that its arms differ by, a line for each study.

docs/experiments/figures.yaml lists them by the name of their file; they are drawn from the results in docs/experiments/results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewise.checkpoint import write_atomic
from edgewise.errors import ConfigError, unknown_name
from edgewise.experiments.study.svg import Line, Panel, panels
from edgewise.lab.run.config import from_dict, read_yaml

FIGURES = "figures.yaml"


@dataclass(frozen=True)
class Across:
    """One figure.

    Attributes:
        metric: pass@K, strict.
        where: regions, a panel each.
        x: title of the axis.
        arms: place on the axis by arm.
        lines: results by the name of their line, such as {without noise: E6-middle-exact}.
        bottom: smallest value of the measure that is shown, in [0, 1).
    """

    metric: str
    where: tuple[str, ...]
    x: str
    arms: dict[str, float]
    lines: dict[str, str]
    bottom: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.bottom < 1:
            raise ConfigError(f"bottom must lie in [0, 1), got {self.bottom}")

    def svg(self, summaries: Mapping[str, Mapping[str, Any]]) -> str:
        """The figure, from summaries by name.

        Raises:
            ConfigError: results, an arm, a region or a K that there is not.
        """
        shown = [
            Panel(
                f"{region} {self.metric}",
                self.x,
                [self._line(name, region, summaries) for name in self.lines],
                ticks=sorted(self.arms.values()),
                bottom=self.bottom,
            )
            for region in self.where
        ]
        return panels(shown, f"strict {self.metric}")

    def _line(self, name: str, region: str, summaries: Mapping[str, Mapping[str, Any]]) -> Line:
        own = self.lines[name]
        if own not in summaries:
            raise unknown_name("results", own, list(summaries))
        summary = summaries[own]
        metrics = [f"pass@{k}" for k in summary["k"]]
        if self.metric not in metrics:
            raise unknown_name(f"metric of {own}", self.metric, metrics)
        # Arms that a variant leaves out are left out of its line.
        arms = [arm for arm in self.arms if arm in summary["arms"]]
        if not arms:
            raise ConfigError(f"{own} has none of the arms {', '.join(self.arms)}")
        regions = [summary["arms"][arm]["regions"] for arm in arms]
        if region not in regions[0]:
            raise unknown_name(f"region of {own}", region, list(regions[0]))
        curves = [part[region]["strict"] for part in regions]
        place = metrics.index(self.metric)
        ends = {end: [curve[end][place] for curve in curves] for end in ("mean", "low", "high")}
        return Line(name, [self.arms[arm] for arm in arms], ends["mean"], ends["low"], ends["high"])


def draw(docs: Path, summaries: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """Write the figures that figures.yaml lists in a folder of documentation; none where it has no such file.

    Raises:
        ConfigError: a figure asks for what the results do not hold.
    """
    if not (docs / FIGURES).exists():
        return []
    drawn = []
    for name, settings in read_yaml(docs / FIGURES).items():
        figure = from_dict(Across, settings, f"{FIGURES}: {name}")
        write_atomic(docs / name, figure.svg(summaries).encode())
        drawn.append(docs / name)
    return drawn
