"""The comparison as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewise.report.load import Comparison, Spread, title
from edgewise.report.words import number, ratios, times

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {"gain": "green", "loss": "red", "unclear": "yellow"}
COLUMNS = {
    "steps_to_target": "steps to\ntarget",
    "rollouts_to_target": "rollouts to\ntarget",
    "effective_ratio": "effective\nratio",
    "spearman": "Spearman\n(probe)",
    "final_accuracy": "final\naccuracy",
}


def table(summary: dict[str, Any]) -> Table:
    """A summary as a `rich` table, one row a method: means, and ratios to the baselines with 95% intervals."""
    from rich.table import Table
    from rich.text import Text

    comparison = Comparison("", summary, {})
    seeds = len(comparison.seeds)
    result = Table(
        title=Text(f"{summary.get('task', 'comparison')}: mean over {seeds} seed{'s' * (seeds != 1)}"),
        caption="× with 95% intervals; green: clear gain, red: clear loss, yellow: no clear difference",
    )
    result.add_column("method")
    for name in ("speed per step\nvs uniform", "rollouts\nvs ds", "rollouts\nvs uniform", *COLUMNS.values()):
        result.add_column(name, justify="right")
    for method in comparison.methods:
        known = {(ratio.of, ratio.other): ratio for ratio in ratios(comparison, method)}
        cells = [Text(title(method))]
        for kind in (("steps", "uniform"), ("rollouts", "ds"), ("rollouts", "uniform")):
            ratio = known.get(kind)
            text = _ratio(ratio.value) if ratio else "–"
            cells.append(Text(text, COLOURS.get(ratio.verdict, "") if ratio else "dim"))
        cells += [Text(_cell(comparison.measure(method, key), key, seeds)) for key in COLUMNS]
        result.add_row(*cells)
    return result


def _ratio(value: Spread) -> str:
    if not value.known:
        return "–"
    return times(value.mean) + (f"\n{value.low:.2f} to {value.high:.2f}" if value.has_interval else "")


def _cell(value: Spread, key: str, seeds: int) -> str:
    if key.endswith("_to_target") and value.reached < seeds:
        return f"reached by\n{value.reached} of {seeds}"
    return number(value.mean, key)
