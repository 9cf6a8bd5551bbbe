"""A comparison as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewise.experiments.summary import RATIOS, Ratio, Summary
from edgewise.report.load import Comparison, title
from edgewise.report.words import number, times

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {"gain": "green", "loss": "red", "unclear": "yellow"}
HEADS = {
    "speedup_vs_uniform": "speed per\nstep vs\nuniform",
    "rollouts_vs_ds": "rollouts\nvs ds",
    "rollouts_vs_uniform": "rollouts\nvs\nuniform",
}
COLUMNS = {"effective_ratio": "effective\nratio", "spearman": "Spearman\n(probe)", "final_accuracy": "final\naccuracy"}


def table(summary: Summary) -> Table:
    """A summary as a `rich` table, one row a method: medians of ratios with intervals, how often the target was reached, means."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    comparison = Comparison("", summary)
    seeds = len(summary.seeds)
    result = Table(
        box=SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        pad_edge=False,
        title=Text(f"{summary.task or 'comparison'}: {seeds} seed{'s' * (seeds != 1)}"),
        caption="Ratios: median over seeds, with its interval. Green: clear gain, red: clear loss, yellow: neither.\n"
        "The placebo is uniform with another selection seed.",
    )
    result.add_column("method,\ntarget\nreached", overflow="fold")
    for name in (*HEADS.values(), *COLUMNS.values()):
        result.add_column(name, justify="right", no_wrap=True)
    for method in comparison.methods:
        reach = summary.measure(method, "steps_to_target")
        count = f"\n{reach.reached}/{len(reach.values)}" if reach.values else ""
        cells = [Text(title(method).replace(" ", "\n") + count)]
        for name in RATIOS:
            ratio = summary.ratio(name, method)
            cells.append(Text(_ratio(ratio), COLOURS.get(ratio.evidence, "") if ratio.known else "dim"))
        cells += [Text(number(summary.measure(method, key).mean, key)) for key in COLUMNS]
        result.add_row(*cells)
    return result


def _ratio(ratio: Ratio) -> str:
    if not ratio.known:
        return "–"
    limits = f"\n{times(ratio.low)[:-1]}–{times(ratio.high)[:-1]}" if ratio.has_interval else ""
    return times(ratio.median) + limits
