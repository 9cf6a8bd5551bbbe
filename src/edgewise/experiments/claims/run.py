"""Runs of a claim, resumed as often as needed, and its results as one JSON file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.checkpoint import write_json
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.experiments.claims.config import DIFFERENCES, QUARTERS, ClaimStudy
from edgewise.experiments.claims.measures import Measures, measure
from edgewise.experiments.claims.verdict import judged, plain
from edgewise.experiments.comparison import compare
from edgewise.experiments.folders import writing
from edgewise.experiments.runs import Event
from edgewise.experiments.summary import arms
from edgewise.statistics import mean_interval

RESULTS = "results.json"
SHOWN = tuple(name for name in DIFFERENCES if name not in QUARTERS)


def run(
    study: ClaimStudy,
    out: Path,
    workers: int | None = None,
    on_event: Callable[[str, Event], None] | None = None,
) -> dict[str, Any]:
    """Run what is not finished in `out`, a folder a part, and write and return the results.

    Runs that stand finished beside `out`, those of other claims or of a demo, are copied where their settings are the same.

    Raises:
        ConfigError: the model from which the runs start is not there; the commands that make it are named.
        Interrupted: stopped on request; the same call goes on.
    """
    for name, part in study.parts.items():
        handle = None if on_event is None else (lambda event, name=name: on_event(name, event))
        try:
            compare(part.comparison, out / name, workers, handle, among=out.parent)
        except EdgewiseError as error:
            base = part.comparison.run.base
            if study.prepare and not Path(base).exists():
                commands = "\n  ".join(study.prepare)
                raise ConfigError(f"there is no {base}; these commands make it:\n  {commands}") from error
            raise
    found = results(study, out)
    with writing(out):
        write_json(out / RESULTS, found)
    return found


def measured(study: ClaimStudy, out: Path) -> dict[str, Measures]:
    """The measures of every part that has begun."""
    found = {}
    for name, part in study.parts.items():
        own = part.comparison
        if (out / name / "config.yaml").exists():
            found[name] = measure(out / name, tuple(arms(own.methods, own.placebo)), own.seeds)
    return found


def results(study: ClaimStudy, out: Path) -> dict[str, Any]:
    """Verdict, rules and a table for each part, as JSON values; from finished and unfinished runs."""
    every = measured(study, out)
    return {
        "claim": study.name,
        "scale": study.scale,
        **judged(study, every),
        "parts": {name: _table(study, name, own) for name, own in every.items()},
    }


def _table(study: ClaimStudy, name: str, own: Measures) -> dict[str, Any]:
    config = study.parts[name].comparison.run
    methods = {}
    for method in own.spent:
        row: dict[str, Any] = {}
        for key in SHOWN:
            found = mean_interval(own.of(method, key))
            row[key] = [plain(found.estimate), plain(found.low), plain(found.high)]
        for key in ("speedup_vs_uniform", "rollouts_vs_ds"):
            ratio = own.summary.ratio(key, method)
            row[key] = [plain(ratio.median), plain(ratio.low), plain(ratio.high)]
        rollouts, tokens = np.mean(own.spent[method], axis=0).tolist()
        methods[method] = {**row, "rollouts": plain(rollouts), "tokens": plain(tokens)}
    return {
        "base": config.base,
        "steps": config.steps,
        "prompts": config.prompts,
        "rollouts": config.rollouts,
        "seeds": list(own.seeds),
        "finished": list(own.finished),
        "methods": methods,
    }
