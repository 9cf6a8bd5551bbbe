"""View of runs in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgewise.errors import printable
from edgewise.replay.logs.states import STATES
from edgewise.watch.pairs import paired

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

BARS = "▁▂▃▄▅▆▇█"
STYLE = {"unseen": "bright_black", "hopeless": "red", "edge": "green", "mastered": "blue", "forgotten": "magenta"}
KINDS = {"gain": "green", "loss": "red", "unclear": "yellow", "uniform": "cyan", "alone": "cyan"}
DETAILED = 3
"""Runs that are shown in full; more are compared in one table."""


def plain(text: Any, most: int = 200) -> str:
    """The beginning of a text from a log, without what a terminal would obey."""
    clean = printable(str(text)[: most + 1])
    return clean if len(clean) <= most else clean[:most] + "…"


def sparkline(values: Sequence[float | None], width: int, high: float | None = None) -> str:
    """Values as `width` bars from 0 to `high` (their largest if None); a gap where there is none, empty without values."""
    known = [value for value in values if value is not None]
    top = high if high is not None else max(known, default=0.0)
    count, text = len(values), ""
    for i in range(width if count else 0):
        begin = i * count // width
        found = [value for value in values[begin : max((i + 1) * count // width, begin + 1)] if value is not None]
        share = sum(found) / len(found) / top if found and top else 0.0
        text += BARS[min(int(share * len(BARS)), len(BARS) - 1)] if found else " "
    return text


def render(views: Sequence[dict[str, Any]], width: int, height: int | None = None) -> RenderableType:
    """Everything, in the order of importance; cut to `height` lines by leaving out categories and notes.

    Args:
        views: see `edgewise.watch.view.view`.
        width: columns of the terminal.
        height: lines of the terminal; None: no limit.
    """
    from rich.console import Group

    parts: list[RenderableType] = []
    if len(views) > 1:
        parts.append(_overview(views, width))
        if (pairs := paired(views)) is not None:
            parts.append(_pairs(pairs))
    if len(views) <= DETAILED:
        room = None if height is None else max(4, height // len(views) - 24)
        for view in views:
            parts += _run(view, width, room)
    else:
        parts += _notes([note for note in views[0]["notes"] if all(note in view["notes"] for view in views)])
    return Group(*parts)


def _run(view: dict[str, Any], width: int, room: int | None) -> list[RenderableType]:
    from rich.panel import Panel
    from rich.text import Text

    parts: list[RenderableType] = [_title(view)]
    headline = view["headline"]
    parts.append(
        Panel(Text(headline["text"]), border_style=KINDS[headline["kind"]], padding=(0, 1), width=min(width, 118))
    )
    parts += [_finding(entry) for entry in view["findings"]]
    span = max(8, min(60, width - 44))
    if view["pool"]:
        parts += _pool(view["pool"], span)
    parts += _curves(view["curves"], span)
    if view["categories"]:
        parts.append(_categories(view["categories"], width, room))
    if view["calibration"]:
        parts.append(_calibration(view["calibration"]))
    return parts + _notes(view["notes"])


def _notes(notes: Sequence[str]) -> list[RenderableType]:
    from rich.text import Text

    return [Text(f"  {plain(note, 400)}", style="dim") for note in notes]


def _title(view: dict[str, Any]) -> Text:
    from rich.text import Text

    facts = [plain(view["source"], 40)]
    if view["steps"]:
        facts.append(f"steps {view['steps'][0]:,}–{view['steps'][1]:,}")
    if view["rollouts"]:
        facts.append(f"{view['rollouts']:,} rollouts in groups of {view['rollouts_per_group']}")
    if view["prompts"]:
        whole = view["pool_size"]
        facts.append(
            f"{view['prompts']:,} of {whole:,} prompts"
            if whole and whole != view["prompts"]
            else f"{view['prompts']:,} prompts"
        )
    if view["idle"] is not None:
        facts.append(f"last written {ago(view['idle'])} ago")
    return Text.assemble("\n", (plain(view["name"], 60), "bold"), "  ", (" · ".join(facts), "dim"))


def _finding(entry: dict[str, str]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    alarm = entry["level"] == "alarm"
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(max_width=104)
    table.add_row(
        Text("▲ alarm" if alarm else "● hint ", "bold red" if alarm else "bold yellow"), Text(plain(entry["text"], 600))
    )
    return table


def _pool(pool: dict[str, Any], span: int) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    total = max(sum(pool["counts"][name][-1] for name in STATES), 1)
    table = Table(box=None, padding=(0, 1), show_header=True, header_style="dim", title_justify="left")
    table.add_column("pool", width=11)
    table.add_column("over the steps", width=span)
    table.add_column("prompts", justify="right")
    table.add_column("share", justify="right")
    for name in STATES:
        counts = pool["counts"][name]
        if name == "unseen" and not pool["whole"]:
            name_shown, note = "not yet seen", counts
        else:
            name_shown, note = name, counts
        table.add_row(
            Text(name_shown, STYLE[name]),
            Text(sparkline(note, span, total), STYLE[name]),
            f"{counts[-1]:,}",
            f"{counts[-1] / total:.0%}",
        )
    bar = Text("  ")
    cells = span + 24  # as wide as the table
    for name, size in zip(STATES, _parts([pool["counts"][name][-1] for name in STATES], cells), strict=True):
        bar.append("█" * size, STYLE[name])
    return [Text(""), table, bar]


def _parts(counts: Sequence[int], cells: int) -> list[int]:
    """Whole cells for each count, `cells` in all."""
    total, result, before = max(sum(counts), 1), [], 0.0
    for count in counts:
        after = before + count * cells / total
        result.append(round(after) - round(before))
        before = after
    return result


def _curves(curves: dict[str, Any], span: int) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1), show_header=True, header_style="dim")
    table.add_column("curves", width=11)
    table.add_column("over the steps", width=span)
    table.add_column("now", justify="right", width=7)
    rows = [
        ("effective", curves.get("effective"), 1.0, "green"),
        ("at random", curves.get("random_effective"), 1.0, "bright_black"),
        ("success", curves.get("success"), 1.0, "blue"),
        ("length", curves.get("length"), None, "cyan"),
        ("truncated", curves.get("truncated"), 1.0, "red"),
    ]
    for name, label in (("accuracy", "accuracy"), ("mean_effective_ratio", "effective")):
        if name in curves.get("numbers", {}):
            rows.append((label, curves["numbers"][name]["value"], 1.0, "magenta"))
    shown = False
    for label, values, high, style in rows:
        known = [value for value in values or [] if value is not None]
        if known:
            now = f"{known[-1]:.0%}" if high else f"{known[-1]:,.0f}"
            table.add_row(label, Text(sparkline(values or [], span, high), style), now)
            shown = True
    return [Text(""), table] if shown else []


def _categories(categories: list[dict[str, Any]], width: int, room: int | None) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1), header_style="dim")
    narrow = width < 92
    table.add_column("\ncategory", max_width=24, no_wrap=True)
    for name in ("prompts\nseen", "share of\npicks", "\npredicted", "\nobserved", "with a\ngradient")[narrow:]:
        table.add_column(name, justify="right", min_width=max(map(len, name.split("\n"))))
    trend = max(8, min(23, width - 58))
    table.add_column("\nobserved over the steps"[: trend + 1], width=trend, no_wrap=True)
    shown = categories if room is None else categories[:room]
    for entry in shown:
        table.add_row(
            plain(entry["name"], 24),
            *([] if narrow else [_count(entry["prompts"])]),
            f"{entry['picks_share']:.0%}",
            _rate(entry["predicted"]),
            _rate(entry["observed"]),
            _share(entry["effective"]),
            Text(sparkline(entry["observed_trend"], trend, 1.0), "blue"),
        )
    if len(shown) < len(categories):
        table.add_row(Text(f"and {len(categories) - len(shown)} more", "dim"))
    return table


def _calibration(calibration: dict[str, Any]) -> Text:
    from rich.text import Text

    parts = []
    for name, entry in calibration.items():
        rank = f", rank correlation {entry['spearman']:.2f}" if entry["spearman"] is not None else ""
        parts.append(f"{name}: mean error {entry['error']:.3f}{rank} over {entry['groups']:,} groups")
    return Text.assemble("\n  ", ("predictions  ", "dim"), "\n               ".join(parts))


def _overview(views: Sequence[dict[str, Any]], width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1), header_style="dim")
    names = max(12, min(32, width - 72))
    trend = min(24, width - 72 - min(names, max(len(view["name"]) for view in views)))
    table.add_column("\nrun", max_width=names, no_wrap=True)
    heads = ("\nstep", "\nrollouts", "\neffective", "at\nrandom", "rollouts\nsaved", "\nsuccess", "\nalarms")
    first = 0 if width >= 80 else 2  # steps and rollouts stand in the title of each run, too
    for name in heads[first:]:
        table.add_column(name, justify="right", min_width=max(map(len, name.split("\n"))))
    if trend >= 8:
        table.add_column("\neffective over the steps"[: trend + 1], width=trend, no_wrap=True)
    for view in views:
        comparison, curves = view["comparison"] or {}, view["curves"]
        success = [value for value in curves.get("success") or [] if value is not None]
        alarms = sum(entry["level"] == "alarm" for entry in view["findings"])
        saved = (comparison.get("saved_rollouts") or {}).get("estimate")
        cells = (
            f"{view['steps'][1]:,}" if view["steps"] else "–",
            f"{view['rollouts']:,}",
            _share((comparison.get("effective") or {}).get("estimate")),
            _share((comparison.get("uniform") or {}).get("estimate")),
            _count(saved),
            _rate(success[-1] if success else None),
            Text(str(alarms), "bold red" if alarms else "dim"),
        )
        line = Text(sparkline(curves.get("effective") or [], max(trend, 0), 1.0), "green")
        table.add_row(plain(view["name"], 32), *cells[first:], *([line] if trend >= 8 else []))
    return table


def _pairs(pairs: dict[str, Any]) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column(f"minus {plain(pairs['baseline'], 24)}, paired by seed", max_width=44, no_wrap=True)
    for name in ("seeds", "groups with a gradient", "success rate"):
        table.add_column(name, justify="right")
    for row in pairs["rows"]:
        table.add_row(plain(row["method"], 44), str(row["seeds"]), _points(row["effective"]), _points(row["success"]))
    return table


def _points(interval: dict[str, float | None]) -> str:
    """A difference of shares in percentage points, with its interval."""
    estimate, low, high = (interval[name] for name in ("estimate", "low", "high"))
    if estimate is None:
        return "–"
    limits = f" ({100 * low:+.0f} to {100 * high:+.0f})" if low is not None and high is not None else ""
    return f"{100 * estimate:+.0f} points{limits}"


def prompt_text(entry: dict[str, Any]) -> RenderableType:
    """One prompt: its groups over time and the completions that the log keeps."""
    from rich.console import Group
    from rich.text import Text

    head = Text.assemble(("prompt ", "dim"), (plain(entry["id"], 200), "bold"), f"  {entry['state']}")
    if entry["category"] is not None:
        head.append(f"  {plain(entry['category'], 60)}", "dim")
    parts: list[RenderableType] = [head]
    for (step, s, k, predicted), belief in zip(entry["groups"], entry["belief"], strict=True):
        line = Text.assemble(f"  step {step:>6,}  ", ("█" * s, "green"), ("░" * (k - s), "red"), f"  {s} of {k}")
        line.append(f"   belief {belief:.2f}" if predicted is None else f"   predicted {predicted:.2f}", "dim")
        parts.append(line)
    for group in entry["completions"]:
        parts.append(Text(f"\nstep {group['step']}: {group['successes']} of {group['trials']} correct", "bold"))
        for rollout in group["rollouts"]:
            reward = "–" if rollout["reward"] is None else f"{rollout['reward']:g}"
            parts.append(Text(f"\n[reward {reward}]", "dim"))
            parts.append(Text("\n".join(plain(line, 500) for line in rollout["completion"].splitlines()[:40])))
    return Group(*parts)


def ago(seconds: float) -> str:
    """A duration as people say it."""
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
