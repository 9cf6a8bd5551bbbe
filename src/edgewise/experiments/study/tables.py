"""A study in Markdown: question, results, published finding, and the verdict with its rule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from edgewise.experiments.study.claims import spread
from edgewise.experiments.study.config import Study

VERDICT = "**Verdict"
REMARKS = "## Remarks"


def report(study: Study, summary: dict[str, Any]) -> str:
    """The page of a study; pictures are beside it."""
    passes, ops = figure_names(study)
    parts = [
        f"# {study.name}: {study.title}",
        study.question,
        f"{VERDICT} ({study.scale} scale): {summary['verdict']}.** {_sentence(summary['why'])}",
        "## Results",
        results(study, summary),
        f"Strict means every step and the answer right. In brackets: {_intervals(study)}.",
        f"![Strict pass@k by region]({passes})",
        f"![Strict pass rate by op]({ops})",
        dose(study, summary),
        training(study, summary),
        "## The rule, written before the run",
        claims(summary),
        _paper(study),
        "## Setting",
        setting(study, summary),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def figure_names(study: Study) -> tuple[str, str]:
    return f"{study.name}-{study.scale}-passes.svg", f"{study.name}-{study.scale}-ops.svg"


def dose_name(study: Study) -> str:
    return f"{study.name}-{study.scale}-dose.svg"


def dose(study: Study, summary: dict[str, Any]) -> str:
    """The figure over doses and its numbers; nothing where the study has none."""
    if study.dose is None:
        return ""
    rows = []
    for name, points in summary["dose"].items():
        for place, arm in enumerate(points["arms"]):
            value = {end: points[end][place] for end in ("mean", "low", "high")}
            rows.append([name, arm, f"{points['problems'][place]:,.0f}", _cell(value)])
    context, measure = study.dose.context, f"{study.dose.where} {study.dose.metric}"
    head = ["", "arm", f"problems of {context} in pre-training", measure]
    return f"![{measure} against problems of {context} in pre-training]({dose_name(study)})\n\n{table(head, rows)}"


def results(study: Study, summary: dict[str, Any]) -> str:
    """Arms down, regions and k across."""
    columns = [(region, k) for region in study.regions for k in study.show]
    head = ["arm", *(f"{region} pass@{k}" for region, k in columns)]
    rows = []
    for arm, part in summary["arms"].items():
        cells = [arm]
        for region, k in columns:
            curve = part["regions"][region]["strict"]
            place = summary["k"].index(k)
            cells.append(_cell({name: curve[name][place] for name in ("mean", "low", "high")}))
        rows.append(cells)
    return table(head, rows)


def training(study: Study, summary: dict[str, Any]) -> str:
    """What RL saw: nothing where no arm has RL."""
    regions = [name for name, region in study.regions.items() if not region.context]
    rows = []
    for arm, part in summary["arms"].items():
        own = part["training"]
        if own is None:
            continue
        picked = [_cell(own["picked"][name]) for name in regions]
        rows.append([arm, _cell(own["success_rate"]), _cell(own["effective_ratio"]), *picked])
    if not rows:
        return ""
    head = ["RL", "success rate at its end", "effective ratio", *(f"picked from {name}" for name in regions)]
    words = (
        "Success rate: of the last quarter of the steps. Effective ratio: share of groups that are neither all right nor all"
        " wrong."
    )
    words += " Picked: share of the prompts of the last half of the steps." if regions else ""
    return f"{table(head, rows)}\n\n{words}"


def claims(summary: dict[str, Any]) -> str:
    """Conditions and claims with what was found."""
    rows = [
        [line["say"], line["rule"], spread(line), "met" if line["met"] else "not met", _published(line)]
        for line in summary["needs"]
    ]
    rows += [[line["say"], line["rule"], spread(line), line["found"], _published(line)] for line in summary["claims"]]
    words = (
        "A claim holds when its whole interval is on the claimed side, fails when all of it is on the other side, and is"
        " undecided otherwise. It is out of reach where no arm solves the problems, and has no room where all do or where the"
        " other arm's share leaves less than the threshold. Reproduced: all hold. Not reproduced: one fails. Not testable: a"
        " condition is not met, or none fails but one is not decided. For conditions (met or not) the mean decides."
    )
    return f"{table(['claim', 'rule', 'found', '', 'published'], rows)}\n\n{words}"


def setting(study: Study, summary: dict[str, Any]) -> str:
    """What the arms are made of, what they cost."""
    rows = []
    for arm, part in summary["arms"].items():
        cost = part["cost"]
        rows.append([arm, _chain(study, arm), f"{cost['pretrain_tokens']:,.0f}", f"{cost['later_tokens']:,.0f}"])
    work = summary["work"]
    kinds = ", ".join(
        f"{own['stages']:.0f} x {kind} {own['cpu_seconds'] / 60:.1f}" for kind, own in work["kinds"].items()
    )
    words = (
        f"Seeds {', '.join(map(str, study.seeds))}; the seed decides weights, texts, pools, rollouts and evaluations, and is shared by"
        f" all arms. Tokens: 6PT accounting, a token of RL counts 5/3, {study.budgets.length} tokens a rollout."
        f" {work['cpu_seconds'] / 60:.1f} core minutes in all ({kinds})."
    )
    shared = {"stages": {kind: study.stages[kind] for kind in _kinds(study)}, "evaluation": study.evaluation}
    block = f"```yaml\n{yaml.safe_dump(shared, sort_keys=False, width=110, default_flow_style=None)}```"
    head = ["arm", "stages, with what differs", "pre-training tokens", "later tokens"]
    return "\n\n".join([table(head, rows), words, "What all arms share:", block])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def index_row(page: Path) -> list[str] | None:
    """Study and verdict as its page says them; None for other pages."""
    lines = page.read_text("utf-8").splitlines()
    found = [line for line in lines if line.startswith(VERDICT)]
    if not found or not lines[0].startswith("# "):
        return None
    name, _, title = lines[0][2:].partition(": ")
    scale, _, rest = found[0].removeprefix(f"{VERDICT} (").partition(" scale): ")
    verdict, _, why = rest.partition(".** ")
    return [f"[{name}]({page.name})", title, scale, verdict, why]


def effect_rows(study: Study, summary: dict[str, Any], page: str) -> list[list[str]]:
    """Claims of a study for a table over studies: what was published, what was found, seeds, and the verdict."""
    name = f"[{study.name}]({page})"
    seeds = str(len(study.seeds))
    rows = [
        [name, study.scale, line["say"], _published(line), spread(line), seeds, line["found"]]
        for line in summary["claims"]
    ]
    whole = [name, study.scale, f"**{study.title}**", "", "", seeds, f"**{summary['verdict']}**"]
    return [whole, *rows]


EFFECTS = ("study", "scale", "claim", "published", "here (95% interval)", "seeds", "verdict")
"""Head of the table that `effect_rows` fill."""


def _published(line: dict[str, Any]) -> str:
    return str(line.get("published", ""))


def _paper(study: Study) -> str:
    paper = study.paper
    if paper is None:
        return ""
    numbers = table(["published", ""], [[name, value] for name, value in paper.numbers.items()])
    parts = ["## What was published", f"{paper.source}. {paper.setting}", paper.finding]
    parts += [numbers] if paper.numbers else []
    parts += [f"What differs here: {study.differs}"] if study.differs else []
    return "\n\n".join(parts)


def _chain(study: Study, arm: str) -> str:
    words = []
    for item in study.arms[arm]:
        kind, changes = next(iter(item.items())) if isinstance(item, dict) else (item, {})
        text = (
            yaml.safe_dump(changes, default_flow_style=True, width=10_000, sort_keys=False).strip() if changes else ""
        )
        words.append(f"{kind} `{text}`" if text else kind)
    return " → ".join(words)


def _kinds(study: Study) -> list[str]:
    used = {stage.kind for arm in study.arms for stage in study.chain(arm, study.seeds[0])}
    return [kind for kind in study.stages if kind in used]


def _intervals(study: Study) -> str:
    seeds = len(study.seeds)
    return f"95% Student intervals over {seeds} seeds" if seeds > 1 else "95% intervals over problems (one seed)"


def _cell(value: dict[str, Any]) -> str:
    if value["mean"] is None:
        return "-"
    limits = "" if value["low"] is None else f" ({max(value['low'], 0):.2f}-{min(value['high'], 1):.2f})"
    return f"{value['mean']:.3f}{limits}"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."
