"""The comparison as a table for the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgewise.report.load import Comparison, title
from edgewise.report.words import Ratio, number, ratios, times

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {"gain": "green", "loss": "red", "unclear": "yellow"}
RATIOS = {
    ("steps", "uniform"): "speed per\nstep vs\nuniform",
    ("rollouts", "ds"): "rollouts\nvs ds",
    ("rollouts", "uniform"): "rollouts\nvs\nuniform",
}
COLUMNS = {"effective_ratio": "effective\nratio", "spearman": "Spearman\n(probe)", "final_accuracy": "final\naccuracy"}


def table(summary: dict[str, Any]) -> Table:
    """A summary as a `rich` table, one row a method: means, and ratios to the baselines with 95% intervals."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    comparison = Comparison("", summary, {})
    seeds = len(comparison.seeds)
    result = Table(
        box=SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        pad_edge=False,
        title=Text(f"{summary.get('task', 'comparison')}: mean over {seeds} seed{'s' * (seeds != 1)}"),
        caption="95% intervals over seeds. Green: clear gain, red: clear loss, yellow: neither.",
    )
    result.add_column("method", overflow="fold")
    for name in (*RATIOS.values(), *COLUMNS.values()):
        result.add_column(name, justify="right", no_wrap=True)
    for method in comparison.methods:
        known = {(ratio.of, ratio.other): ratio for ratio in ratios(comparison, method)}
        cells = [Text(title(method).replace(" ", "\n"))]
        for kind in RATIOS:
            ratio = known.get(kind)
            text = _ratio(ratio) if ratio else "–"
            cells.append(Text(text, COLOURS.get(ratio.verdict, "") if ratio else "dim"))
        cells += [Text(number(comparison.measure(method, key).mean, key)) for key in COLUMNS]
        result.add_row(*cells)
    return result


def _ratio(ratio: Ratio) -> str:
    value = ratio.value
    if value.known:
        return times(value.mean) + (f"\n{value.low:.2f}–{value.high:.2f}" if value.has_interval else "")
    middle = f"\nmed. {value.median:.2f}×" if math.isfinite(value.median) else ""
    return f"in {value.reached} of {ratio.seeds}{middle}"
