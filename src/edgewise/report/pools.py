"""Pool of each method over its run: prompts by the outcome of their last group, as in `edgewise watch`."""

from __future__ import annotations

import numpy as np

from edgewise.errors import ConfigError
from edgewise.experiments.folders import Run
from edgewise.replay.logs.journal import JournalReader
from edgewise.replay.logs.states import STATES, states_over_time
from edgewise.report.load import Comparison
from edgewise.report.plots import Figure, jsonable


def states(comparison: Comparison, method: str) -> Figure | None:
    """Prompts in each state over the steps that all seeds have, mean over seeds; None where the journals name no prompts."""
    found = [counted for run in comparison.runs.get(method, []) if (counted := _counted(run)) is not None]
    if not found:
        return None
    steps = max((steps for steps, _ in found), key=lambda steps: steps[-1:].tolist())
    # Seeds that stopped earlier have other steps, though perhaps as many.
    mean = np.mean([counts for own, counts in found if np.array_equal(own, steps)], axis=0)
    return {"step": steps.tolist(), "counts": {name: jsonable(mean[:, i]) for i, name in enumerate(STATES)}}


def _counted(run: Run) -> tuple[np.ndarray, np.ndarray] | None:
    reader = JournalReader(run.folder.name, run.folder / "metrics.jsonl")
    try:
        reader.poll()
    except ConfigError:
        return None
    return states_over_time(reader.log) if reader.log.named else None
