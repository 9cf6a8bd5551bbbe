"""A study from its config to its verdict: unfinished stages, then summary and page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgewise.checkpoint import no_empty_folder, write_atomic, write_json
from edgewise.errors import ConfigError, unknown_name
from edgewise.experiments.folders import read_json, writing
from edgewise.experiments.study import tables
from edgewise.experiments.study.across import draw
from edgewise.experiments.study.cluster import run_on_ray
from edgewise.experiments.study.config import Study, study_of
from edgewise.experiments.study.figures import dose_figure, op_figure, pass_figure
from edgewise.experiments.study.plan import Unit, run_unit, unfinished, units
from edgewise.experiments.study.preflight import check
from edgewise.experiments.study.results import StudyResults
from edgewise.experiments.workers import Event, EventHandler, Job, run_jobs, send, stopped
from edgewise.lab.run.config import claimed, to_dict

ENGINES = ("local", "ray")


def run_study(
    study: Study,
    out: Path,
    stages: Path | None = None,
    engine: str = "local",
    workers: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> dict[str, Any]:
    """Do what is left of a study, write summary.json, report.md and its figures to `out`, and return the summary.

    Args:
        study: as `load_study` gives it.
        out: folder of this study; it keeps the config, verdict rule included, and refuses another one.
        stages: folder of all stages, shared by studies; default: `stages` beside `out`.
        engine: "local", or "ray" for a cluster whose machines all see these folders.
        workers: units at a time on this machine; default: one a core.
        on_event: receives steps, and finished and kept units.

    Raises:
        ConfigError: settings that cannot work, another configuration in `out`, budgets that differ.
        CheckpointError: a finished stage is damaged; the message names the file and what to delete.
        Interrupted: stopped on request; the same call goes on.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    check(study)
    root = stages_of(out, stages)
    plan = units(study)
    waiting = unfinished(plan, root)
    handle = on_event or (lambda event: None)
    with no_empty_folder(root), claimed(out, study, lambda: any(_begun(unit, root) for unit in plan)):
        for unit in plan:
            if unit not in waiting:
                handle(Event(unit.name, "kept", {}))
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot write to {root}: {error.strerror}; choose another --stages") from error
        if engine == "ray":
            run_on_ray(waiting, root, out, handle)
        else:
            run_here(waiting, root, workers, handle)
    summary = StudyResults(study, root).summary()
    with writing(out):
        write_json(out / "summary.json", summary)
        # From the file: the page can be made again from it alone.
        write_page(study, read_json(out / "summary.json"), out)
    return summary


def _begun(unit: Unit, root: Path) -> bool:
    return any((root / stage.name).exists() for stage in unit.stages)


def run_here(units: list[Unit], root: Path, workers: int | None, on_event: EventHandler) -> None:
    """Do these units, `workers` at a time (default: one a core); raises as `run_jobs` does."""
    run_jobs(
        [Job(unit.name, _run, (unit, str(root)), (unit.after,) if unit.after else ()) for unit in units],
        workers,
        on_event,
    )


def _run(name: str, unit: Unit, root: str) -> bool:
    """In a worker process."""
    return run_unit(unit, Path(root), lambda line: send(name, line), stopped)


def stages_of(out: Path, stages: Path | None) -> Path:
    return stages if stages is not None else out.parent / "stages"


def write_page(study: Study, summary: dict[str, Any], folder: Path, name: str = "report.md") -> Path:
    """The page and its figures; remarks below an older page stay."""
    page = folder / name
    passes, ops = tables.figure_names(study)
    write_atomic(folder / passes, pass_figure(study, summary).encode())
    write_atomic(folder / ops, op_figure(study, summary).encode())
    if study.dose is not None:
        write_atomic(folder / tables.dose_name(study), dose_figure(study, summary).encode())
    _, found, remarks = (page.read_text("utf-8") if page.exists() else "").partition(tables.REMARKS)
    text = tables.report(study, summary) + (f"\n{found}{remarks}" if found else "")
    write_atomic(page, text.encode())
    return page


def copy_to_docs(study: Study, out: Path, docs: Path) -> Path:
    """Write a finished study's results, page and figures into a folder of documentation, and its line into index.md there.

    Raises:
        ConfigError: the study is not finished.
    """
    if not (out / "summary.json").exists():
        raise ConfigError(f"{out} holds no finished study: run it first")
    own = study.name if study.scale == "laptop" else f"{study.name}-{study.scale}"
    (docs / RESULTS).mkdir(parents=True, exist_ok=True)
    write_json(docs / RESULTS / f"{own}.json", {"study": to_dict(study), "summary": read_json(out / "summary.json")})
    rebuild(docs, own)
    return docs / f"{own}.md"


def rebuild(docs: Path, only: str = "") -> Path:
    """Write pages and figures from the results kept in a folder of documentation, those of figures.yaml and index.md; nothing is run.

    Args:
        docs: the folder; results are in its `results`.
        only: name of one page; empty: all.
    """
    effects: list[list[str]] = []
    summaries = {}
    for path in sorted((docs / RESULTS).glob("*.json")):
        kept = read_json(path)
        if not all(isinstance(kept.get(part), dict) for part in ("study", "summary")):
            raise ConfigError(f"{path} does not hold the results of a study")
        study = study_of(kept["study"])
        effects += tables.effect_rows(study, kept["summary"], f"{path.stem}.md")
        summaries[path.stem] = kept["summary"]
        if only in ("", path.stem):
            write_page(study, kept["summary"], docs, f"{path.stem}.md")
    draw(docs, summaries)
    rows = [row for row in map(tables.index_row, sorted(docs.glob("*.md"))) if row]
    listed = tables.table(["study", "question", "scale", "verdict", "why"], rows)
    index = docs / "index.md"
    text = index.read_text("utf-8") if index.exists() else f"# Experiments\n\n{BEGIN}\n{END}\n"
    text = _between(text, BEGIN, END, listed)
    if effects and EFFECTS in text:
        text = _between(text, EFFECTS, END_EFFECTS, tables.table(tables.EFFECTS, effects))
    write_atomic(index, text.encode())
    return index


def _between(text: str, begin: str, end: str, content: str) -> str:
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.partition(end)[2]}"


RESULTS = "results"
"""Folder of the results within one of documentation."""
BEGIN, END = "<!-- verdicts -->", "<!-- end of verdicts -->"
EFFECTS, END_EFFECTS = "<!-- effects -->", "<!-- end of effects -->"
"""Marks in index.md: between them the tables are written anew. The second table is written where its mark stands."""
