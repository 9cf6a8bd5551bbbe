"""`edgewise experiment C1`: runs of a claim with their events, its plan, and its verdict."""

from __future__ import annotations

import sys
from pathlib import Path

from edgewise.checkpoint import write_json
from edgewise.errors import ConfigError
from edgewise.experiments.claims.config import load
from edgewise.experiments.claims.page import place, write
from edgewise.experiments.claims.plan import plan
from edgewise.experiments.claims.run import measured, run
from edgewise.experiments.provenance import stamped
from edgewise.experiments.runs import Event, Interrupted


def main(
    name: str,
    scale: str = "laptop",
    *,
    seeds: int | None = None,
    first: int | None = None,
    out: Path | None = None,
    workers: int | None = None,
    docs: Path | None = None,
    only_plan: bool = False,
    hours: float | None = None,
) -> None:
    """Run the unfinished part of a claim and print its rules and verdict; None keeps the claim's own setting.

    Args:
        name: one of `config.names()`.
        scale: one of `config.scales(name)`.
        seeds, first: number of seeds, and the first of them.
        out: folder of the runs, by default runs/NAME-SCALE.
        workers: runs at the same time; default: one a core.
        docs: folder of documentation, whose page of claims and results are written again.
        only_plan: print what it takes instead.
        hours: most hours that the claim may take on this machine.
    """
    study = load(name, scale, seeds, first)
    folder = out if out is not None else Path("runs") / f"{name}-{scale}"
    words = plan(study, measured(study, folder), hours if only_plan or hours is not None else None)
    if only_plan:
        print("\n".join(words))
        return
    if docs is not None and (seeds is not None or first is not None):
        raise ConfigError(
            "the page of claims shows the seeds that each claim names: leave --seeds and --first-seed out"
        )

    def show(part: str, event: Event) -> None:
        if event.what != "step":
            print(f"{part} {event.run} {event.what}", file=sys.stderr, flush=True)

    try:
        found = run(study, folder, workers, show)
    except Interrupted:
        raise KeyboardInterrupt(f"stopped; all steps are kept in {folder}, and the same command goes on") from None
    page = None
    if docs is not None:
        path = place(docs, name, scale)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, stamped(found, f"edgewise experiment {name} --scale {scale}"))
        page = write(docs)
    for rule in found["rules"]:
        print(f"{rule['found']}: {rule['say']} ({rule['rule']})")
        for part, cell in rule["parts"].items():
            limits = "" if cell["low"] is None else f" ({cell['low']} to {cell['high']})"
            print(f"    {part}: {cell['estimate']}{limits}: {cell['found']}")
    print(f"\nVerdict of {name}, {scale}: {found['verdict']}. Results: {folder / 'results.json'}")
    if page is not None:
        print(f"Page: {page}")
