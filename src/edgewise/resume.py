"""Resume of a saved curriculum: whether it was made the same way, and which prompts it has in common with the pool."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from edgewise.arrays import Rows
from edgewise.errors import CheckpointError, PoolError
from edgewise.pool import PromptPool

log = logging.getLogger("edgewise")


def require_same_method(state: dict[str, Any], method: str, gates: list[str]) -> None:
    """Raise `CheckpointError` where a state was saved with another selector or other gates; log other options."""
    saved = str(state["method"])
    if saved.split(":")[0] != method.split(":")[0]:
        raise CheckpointError(
            f"the checkpoint was saved with selector '{saved}', this curriculum has '{method}':"
            f" make it with selector='{saved}', or start without the checkpoint"
        )
    if saved != method:
        log.warning("the checkpoint was saved with '%s'; the run continues with '%s'", saved, method)
    if list(state["gates"]["names"]) != gates:
        raise CheckpointError(
            f"the checkpoint was saved with gates {list(state['gates']['names'])}, this curriculum has {gates}:"
            " make it the same way"
        )


def report_other_settings(saved: dict[str, float], now: dict[str, float]) -> None:
    """Log settings of the curriculum that differ from those that a state was saved with: what was learned rests on the former."""
    changed = [
        f"{name} {saved[name]:g} (now {value:g})" for name, value in now.items() if saved.get(name, value) != value
    ]
    if changed:
        log.warning(
            "the checkpoint was saved with %s: what was learned rests on the former value, new results on the present one",
            ", ".join(changed),
        )


def remapped(pool: PromptPool, ids: np.ndarray) -> tuple[Rows | None, dict[str, int]]:
    """Present row of each saved prompt (None if all are where they were), and how many were kept, added and removed.

    Raises:
        PoolError: none of the prompts is in the pool.
    """
    rows = pool.find(ids)
    kept = int((rows >= 0).sum())
    changes = {"kept": kept, "added": len(pool) - kept, "removed": len(ids) - kept}
    if kept == 0:
        raise PoolError(
            f"the checkpoint is for another dataset: none of its {len(ids)} prompts (such as {ids[0].item()!r})"
            f" is in the pool (such as {pool.ids[0].item()!r})"
        )
    if changes["added"] or changes["removed"]:
        log.warning(
            "the dataset has changed since the checkpoint: %(kept)d prompts kept, %(added)d added, %(removed)d removed",
            changes,
        )
    same = len(ids) == len(pool) and bool((rows == np.arange(len(ids))).all())
    return (None if same else rows), changes
