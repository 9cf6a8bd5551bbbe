"""The page of all claims, written from their definitions and from the results that are kept: `docs/claims.md`.

python -m edgewise.experiments.claims.page docs

Other pages quote rules between <!-- rules of CLAIM at SCALE: METHOD MEASURE ... --> and <!-- end of rules -->; those of `QUOTING` are
written again too.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgewise.checkpoint import write_atomic
from edgewise.errors import CheckpointError, EdgewiseError
from edgewise.experiments.claims.config import ClaimStudy, load, names, scales
from edgewise.experiments.claims.verdict import NOT_RUN

PAGE, KEPT = "claims.md", Path("results") / "claims"
QUOTING = ("critics.md", "likelihood.md")
QUOTE = re.compile(r"(<!-- rules of (\S+) at (\S+): (\S+) ([^>]+?) -->\n).*?(<!-- end of rules -->)", re.S)
HEAD = """# Claims

Published claims about prompt selection, as experiments whose rules were written down before their runs
(`src/edgewise/experiments/claims/sets`). This page is generated from those files and from `docs/results/claims`: `edgewise experiment C1
--scale laptop --docs docs` runs what is missing and writes it again; `--plan` says what that takes.

A rule holds where the whole interval over seeds lies on the claimed side, in every part it is judged in; it fails where the interval lies
on the other side in one of them. Differences are paired by seed (mean, Student's t, 95%), ratios are medians with the sign test's
interval, which needs five seeds; a ratio decides nothing where each of its two methods missed the target in half of the seeds or more. "reproduced":
every rule holds; "not reproduced": one fails; "not decided": the intervals are too wide. Published figures are those that articles about the paper quote.

`accuracy_at_rollouts`, `accuracy_at_tokens`, `accuracy_at_seconds`: accuracy when as much was spent as the most frugal method of the comparison spends in all;
`final_accuracy`: after equal steps; `mean_accuracy`: mean over the evaluations after the first.
"""


def page(docs: Path) -> str:
    """The page from the results in docs/results/claims."""
    studies = [load(name, scale) for name in names() for scale in scales(name)]
    kept = {(study.name, study.scale): read(docs, study) for study in studies}
    lines = [HEAD, *_overview(studies, kept)]
    for name in names():
        lines += _claim([study for study in studies if study.name == name], kept)
    return "\n".join(lines).rstrip() + "\n"


def write(docs: Path) -> Path:
    """Write the page below `docs`, and the rules that other pages quote; returns its path."""
    path = docs / PAGE
    write_atomic(path, page(docs).encode())
    for name in QUOTING:
        if (docs / name).exists():
            write_atomic(docs / name, quoted(docs, (docs / name).read_text("utf-8")).encode())
    return path


def quoted(docs: Path, text: str) -> str:
    """A page with the rules that it quotes as the kept results have them."""

    def table(match: re.Match[str]) -> str:
        begin, name, scale, method, measures, end = match.groups()
        study = load(name, scale)
        found = read(docs, study)
        quotes = {i: r for i, r in enumerate(study.rules) if r.method == method and r.measure in measures.split()}
        others = " or ".join(dict.fromkeys(rule.other for rule in quotes.values()))
        lines = [
            f"{found['made']}\n" if found else "Not yet run.\n",
            f"| rule, fixed before the runs | task | `{method}` minus {others}, 95% interval | |",
            "|---|---|---|---|",
        ]
        for index, rule in quotes.items():
            for part in study.parts_of(rule):
                kept = found["rules"][index]["parts"].get(part) if found and found["rules"][index] else None
                lines.append(f"| {rule.say} | {part} | {_number(kept)} | {_found(kept)} |")
        return begin + "\n" + "\n".join(lines) + "\n\n" + end

    return QUOTE.sub(table, text)


def place(docs: Path, name: str, scale: str) -> Path:
    """Where the results of a claim are kept."""
    return docs / KEPT / f"{name}-{scale}.json"


def read(docs: Path, study: ClaimStudy) -> dict[str, Any] | None:
    """The kept results of a claim; None if there are none.

    `rules` are in the order of the study's own, None for those that were not judged as they are written today; the verdict is then that
    of a claim that is not yet run.
    """
    path = place(docs, study.name, study.scale)
    if not path.exists():
        return None
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        found = {
            **entry["values"],
            "made": f"Commit {entry['commit']}, {entry['date']}, {entry['machine']['processor']}.",
        }
        if found["rules"] is None or found["parts"] is None:
            return None
        judged = {entry["rule"]: entry for entry in found["rules"]}
        rules = [judged.pop(rule.words(), None) for rule in study.rules]
        return {**found, "rules": rules, "verdict": NOT_RUN if judged or None in rules else found["verdict"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}; restore it, or run the claim again with --docs") from error


def _overview(studies: list[ClaimStudy], kept: dict[tuple[str, str], Any]) -> Iterator[str]:
    columns = list(dict.fromkeys(study.scale for study in studies))
    yield "| claim | " + " | ".join(columns) + " |"
    yield "|---|" + "---|" * len(columns)
    for name in dict.fromkeys(study.name for study in studies):
        own = {study.scale: study for study in studies if study.name == name}
        cells = [_verdict(kept[name, scale]) if scale in own else "" for scale in columns]
        yield f"| [{name}](#{name.lower()}): {next(iter(own.values())).title} | " + " | ".join(cells) + " |"
    yield ""


def _verdict(found: Any) -> str:
    return NOT_RUN if found is None else str(found["verdict"])


def _claim(studies: list[ClaimStudy], kept: dict[tuple[str, str], Any]) -> Iterator[str]:
    first = studies[0]
    yield f"## {first.name}\n\n{first.question}\n"
    yield f"Published ({first.paper.source}; {first.paper.setting}): {first.paper.finding}\n"
    for study in studies:
        found = kept[study.name, study.scale]
        seeds = len(next(iter(study.parts.values())).comparison.seeds)
        yield f"### {study.name}, {study.scale}: {_verdict(found)}\n"
        if study.differs:
            yield f"{study.differs}\n"
        if found is not None:
            yield f"{found['made']}\n"
        sizes = ", ".join(
            f"{name} ({part.comparison.run.steps} steps of {part.comparison.run.prompts} x {part.comparison.run.rollouts})"
            for name, part in study.parts.items()
        )
        hours = sum(part.core_hours for part in study.parts.values())
        yield f"{seeds} seeds; {sizes}; about {hours:.1f} core hours.\n"
        yield "| rule | published | part | ours | |"
        yield "|---|---|---|---|---|"
        for index, rule in enumerate(study.rules):
            head = f"| {rule.say}: {rule.words()} | {study.paper.numbers.get(rule.say, '')} |"
            parts = study.parts_of(rule)
            if found is None or found["rules"][index] is None:
                yield f"{head} {', '.join(parts)} | - | {NOT_RUN} |"
                continue
            for part in parts:
                cell = found["rules"][index]["parts"].get(part)
                yield f"{head} {part} | {_number(cell)} | {_found(cell)} |"
        yield ""
        if found is not None:
            for name, table in found["parts"].items():
                yield from _table(name, table)


def _found(cell: Any) -> str:
    return NOT_RUN if cell is None or cell["estimate"] is None else str(cell["found"])


def _number(cell: Any) -> str:
    if cell is None or cell["estimate"] is None:
        return "-"
    limits = "" if cell["low"] is None else f" ({_text(cell['low'])} to {_text(cell['high'])})"
    return _text(cell["estimate"]) + limits


def _text(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.3f}"


COLUMNS = {
    "speedup_vs_uniform": "steps of uniform / its own",
    "rollouts_vs_ds": "rollouts / those of ds",
    "effective_ratio": "effective ratio",
    "spearman": "Spearman",
    "final_accuracy": "accuracy, equal steps",
    "accuracy_at_rollouts": "equal rollouts",
    "accuracy_at_tokens": "equal tokens",
}


def _table(name: str, table: dict[str, Any]) -> Iterator[str]:
    yield f"{name}, base `{table['base']}`, seeds finished: {len(table['finished'])} of {len(table['seeds'])}\n"
    yield "| method | " + " | ".join(COLUMNS.values()) + " | rollouts | tokens |"
    yield "|---|" + "---|" * (len(COLUMNS) + 2)
    for method, row in table["methods"].items():
        cells = [_text(row[key][0]) for key in COLUMNS]
        whole = ["-" if row[key] is None else f"{row[key]:,.0f}" for key in ("rollouts", "tokens")]
        yield "| " + " | ".join([method, *cells, *whole]) + " |"
    yield ""


if __name__ == "__main__":
    try:
        print(write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs")))
    except EdgewiseError as error:
        print(f"edgewise: {error}", file=sys.stderr)
        sys.exit(2)
