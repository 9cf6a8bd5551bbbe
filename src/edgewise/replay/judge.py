"""Judges every registered selector on the shipped traces and in the simulator; writes the tables of docs/selectors.md.

    python -m edgewise.replay.judge docs/selectors.md [PLACE...]

replaces what stands between <!-- PLACE --> and <!-- end of PLACE --> in that file, for the places given or for all. Minutes on
one core. Seeds are fixed, so the numbers are too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgewise.checkpoint import write_atomic
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.method import Method
from edgewise.replay.command import find_trace
from edgewise.replay.comparison import Comparison, interval
from edgewise.replay.methods import applicable, known_pool
from edgewise.replay.replay import replay
from edgewise.replay.simulator import Policy, regime, simulate

Floats = npt.NDArray[np.float64]
SEEDS = list(range(200, 205))
"""Other seeds than those on which the settings of `edge` were chosen."""
PLACES = (
    "opgraph",
    "countdown",
    "school",
    "gsm8k",
    "simulator:default",
    "simulator:useful",
    "simulator:hard",
    "simulator:fast",
)
KNOWLEDGE = {
    "labels": ("labels", 0.0),
    "labels, half of them wrong": ("labels", 0.5),
    "features": ("features", 0.0),
    "labels and features": ("all", 0.0),
    "nothing": ("nothing", 0.0),
}
SIMULATED_STEPS = 200
COMPARED = {
    "effective_ratio": "effective ratio",
    "selected_spearman": "Spearman, picks",
    "probe_spearman": "Spearman",
    "probe_somers_d": "Somers' D",
    "probe_brier": "Brier",
    "accuracy": "final accuracy",
}
ANY = "any"
"""Rules that choose alike whatever is known."""


@dataclass(frozen=True)
class Job:
    """One method, with what it knows, at one place."""

    place: str
    method: str
    knows: str


def jobs(place: str) -> Iterator[Job]:
    """Every selector that works here without options, those that need labels with labels, edge with everything."""
    kind, _, name = place.partition(":")
    trace = None if kind == "simulator" else find_trace(place)
    pool = Policy(regime(name)).pool if trace is None else trace.pool
    steps = SIMULATED_STEPS if trace is None else int(trace.steps[-1] - trace.steps[0])
    blind = applicable(known_pool(pool, "nothing"))
    labelled = known_pool(pool, "labels")
    informed = [name for name in [*applicable(labelled), f"e2h:steps={steps}"] if name not in blind]
    for name in blind:
        if name != "edge":
            yield Job(place, name, ANY)
    if trace is None:
        yield Job(place, "ds", ANY)
    for name in informed:
        try:
            Method.parse(name).make(labelled)
        except EdgewiseError:  # a rule that needs the order of levels, which these names do not tell
            continue
        yield Job(place, name, "labels")
    for knows in KNOWLEDGE:
        yield Job(place, "edge", knows)


def judged(job: Job) -> Comparison:
    """All seeds of one job."""
    knows, wrong = KNOWLEDGE["nothing" if job.knows == ANY else job.knows]
    kind, _, name = job.place.partition(":")
    if kind == "simulator":
        world = regime(name)
        return simulate([job.method], world, SEEDS, job.method, SIMULATED_STEPS, knows=knows, wrong=wrong)
    trace = find_trace(job.place)
    batch = trace.about["config"]["run"]["prompts"]
    return replay(trace, [job.method], SEEDS, None, batch=batch, knows=knows, wrong=wrong)


def tables(place: str, results: dict[Job, Comparison]) -> str:
    """Markdown: every selector, then edge against mopps."""
    usual = results[Job(place, "mopps", ANY)]
    lines = [
        *_everyone(place, results),
        "",
        "`edge` minus `mopps`, same rollouts, paired by seed; bold where the 95% interval excludes 0:",
        "",
    ]
    heads = {name: head for name, head in COMPARED.items() if name in usual.values}
    lines += [f"| `edge` knows | {' | '.join(heads.values())} |", "|---" * (1 + len(heads)) + "|"]
    for knows in KNOWLEDGE:
        ours = results[Job(place, "edge", knows)]
        row = [_cell(ours.values[name][0] - usual.values[name][0], True) for name in heads]
        lines.append(f"| {knows} | {' | '.join(row)} |")
    return "\n".join(lines)


def _everyone(place: str, results: dict[Job, Comparison]) -> Iterator[str]:
    trained = place.startswith("simulator")
    columns = {name: head for name, head in COMPARED.items() if name != "accuracy"} | {"tried": "prompts tried"}
    heads = ["selector", "knows", *columns.values()]
    heads += ["final accuracy", "steps to uniform's end", "rollouts to it"] if trained else []
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    aim = results[Job(place, "uniform", ANY)].curves["accuracy"][0, :, -1] if trained else np.empty(0)
    for job, result in results.items():
        cells = [_cell(result.values[name][0]) for name in columns]
        if trained:
            steps, rollouts = _reached(result, aim)
            cells += [_cell(result.values["accuracy"][0]), _cell(steps, digits=0), _cell(rollouts, digits=0)]
        yield f"| `{job.method.partition(':')[0]}` | {job.knows} | {' | '.join(cells)} |"


def _reached(result: Comparison, aim: Floats) -> tuple[Floats, Floats]:
    """Steps and rollouts of each seed until the mean success rate reaches its aim, NaN where it does not."""
    accuracy, rollouts = result.curves["accuracy"][0], result.curves["rollouts"][0]
    there = accuracy >= aim[:, None]
    first = there.argmax(axis=1)
    spent = rollouts[np.arange(len(aim)), first]
    return np.where(there.any(1), first + 1.0, np.nan), np.where(there.any(1), spent, np.nan)


def _cell(values: Floats, signed: bool = False, digits: int = 3) -> str:
    mean, half = interval(values)
    if np.isnan(mean):
        return "-"
    text = f"{mean:{'+' if signed else ''}.{digits}f} ± {half:.{digits}f}"
    return f"**{text}**" if signed and abs(mean) > half else text


def replaced(page: str, place: str, text: str) -> str:
    """The page with `text` between the markers of `place`."""
    begin, end = f"<!-- {place} -->", f"<!-- end of {place} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ConfigError(f"the page needs the markers {begin} and {end}, once each")
    head, tail = page[: page.index(begin)], page[page.index(end) :]
    return f"{head}{begin}\n\n{text}\n\n{tail}"


def main(arguments: list[str]) -> None:
    """The command."""
    file, places = (Path(arguments[0]), arguments[1:] or PLACES) if arguments else (Path(), ())
    unknown = [place for place in places if place not in PLACES]
    if not places or unknown:
        raise ConfigError(f"usage: python -m edgewise.replay.judge PAGE.md [PLACE...]; places: {', '.join(PLACES)}")
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        for place in places:
            replaced(file.read_text("utf-8"), place, "")
            todo, results = list(jobs(place)), {}
            for job, result in zip(todo, workers.map(judged, todo), strict=True):
                results[job] = result
                print(f"{place}: {len(results)} of {len(todo)}, {job.method}, {job.knows}", file=sys.stderr)
            write_atomic(file, replaced(file.read_text("utf-8"), place, tables(place, results)).encode())


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except EdgewiseError as error:
        print(f"edgewise: {error}", file=sys.stderr)
        sys.exit(2)
