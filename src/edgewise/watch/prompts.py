"""Prompts of a run: search, history and completions of one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgewise.replay.logs import LogReader, RunLog
from edgewise.replay.logs.states import state_of

FOUND = 50
"""Prompts that a search shows at most."""
GROUPS = 200
"""Groups of a prompt that are shown, the newest."""
DECAY = 0.5
"""MoPPS' published decay of earlier groups."""
TEXT = 4000
"""Characters of a completion that are shown."""


def search(log: RunLog, text: str, most: int = FOUND) -> list[dict[str, Any]]:
    """Prompts whose id or category contains a text, those rolled out last first; all of them for an empty text."""
    if not log.named:
        return []
    _, first = np.unique(log.rows[::-1], return_index=True)
    order = log.rows[::-1][np.sort(first)]
    wanted = text.strip().lower()
    if wanted:
        ids = np.char.lower(log.ids[order].astype(str))
        hit = np.char.find(ids, wanted) >= 0
        names = [False, *(wanted in name.lower() for name in log.category_names)]
        hit |= np.array(names)[log.prompt_codes[order]]
        order = order[hit]
    rows = order[:most]
    # One pass over the groups of the rows that are shown.
    part = np.flatnonzero(np.isin(log.rows, rows))
    groups: dict[int, list[int]] = {}
    for i in part.tolist():
        groups.setdefault(int(log.rows[i]), []).append(i)
    return [_summary(log, int(row), np.array(groups[int(row)])) for row in rows]


def row_of(log: RunLog, identifier: str) -> int | None:
    """Row of a prompt by its id as text; None if there is none."""
    found = np.flatnonzero(log.ids.astype(str) == identifier)
    return int(found[0]) if len(found) else None


def history(reader: LogReader, row: int, completions: int = 6) -> dict[str, Any]:
    """A prompt with its groups, oldest first, as (step, successes, trials, predicted), and its newest completions."""
    log = reader.log
    part = np.flatnonzero(log.rows == row)
    entry = _summary(log, row, part)
    shown = part[-GROUPS:]
    entry["groups"] = [
        [
            int(log.steps[i]),
            int(log.successes[i]),
            int(log.trials[i]),
            None if math.isnan(p := log.predicted[i]) else round(float(p), 3),
        ]
        for i in shown.tolist()
    ]
    entry["belief"] = [round(float(x), 3) for x in belief(log.successes[part], log.trials[part])[-GROUPS:]]
    entry["completions"] = [_cut(group) for group in reader.completions(row, completions)]
    return entry


def belief(successes: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Mean of a prompt's success rate after each of its groups, (n,), by the Beta rule of MoPPS (Qu et al. 2025).

    Every group moves the two counts half way back to the uniform prior and adds its rollouts, so logs of any trainer have it.
    """
    a = b = 1.0
    found = np.empty(len(trials))
    for i, (s, k) in enumerate(zip(successes.tolist(), trials.tolist(), strict=True)):
        a, b = (1 - DECAY) + DECAY * a + s, (1 - DECAY) + DECAY * b + k - s
        found[i] = a / (a + b)
    return found


def _summary(log: RunLog, row: int, part: np.ndarray) -> dict[str, Any]:
    code = int(log.prompt_codes[row])
    successes, trials = log.successes[part], log.trials[part]
    return {
        "row": row,
        "id": str(log.ids[row]),
        "category": log.category_names[code - 1] if code else None,
        "state": state_of(successes, trials),
        "groups_count": len(part),
        "last_step": int(log.steps[part[-1]]) if len(part) else None,
        "rates": [round(float(s / k), 3) for s, k in zip(successes[-24:], trials[-24:], strict=True)],
    }


def _cut(group: dict[str, Any]) -> dict[str, Any]:
    def cut(text: str) -> str:
        left = len(text) - TEXT
        return text if left <= 0 else f"{text[:TEXT]} … ({left:,} more characters)"

    rollouts = [{**r, "prompt": cut(r["prompt"]), "completion": cut(r["completion"])} for r in group["rollouts"]]
    return {**group, "rollouts": rollouts}
