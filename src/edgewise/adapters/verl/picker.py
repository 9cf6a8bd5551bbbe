"""Which rows of a dataset verl rolls out next, and what their groups brought."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.adapters.verl.dataset_pool import DatasetPool
from edgewise.adapters.verl.options import Options
from edgewise.curriculum import Batch
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import Rows

Floats = npt.NDArray[np.float64]
log = logging.getLogger("edgewise")


class Picker:
    """A curriculum over a dataset of verl's, with the batches that are being rolled out.

    Args:
        dataset: `RLHFDataset` or derived from it.
        data_config: the `data` section of verl's config, attached to the whole of it.

    Raises:
        ConfigError: options, ids or a batch size that do not fit.
    """

    def __init__(self, dataset: Any, data_config: Any):
        self.options = Options.read(data_config)
        self.prompts = DatasetPool(dataset, self.options)
        self.curriculum = self.options.curriculum(self.prompts.pool, data_config)
        self.recorder = self.options.recorder(self.curriculum)
        self.judge = self.options.judge()
        # Handed out and neither reported nor lost, oldest first; a prompt is in one of them at most.
        self._out: list[Batch] = []
        self._lost = 0
        self._recorded = False
        size = int(data_config.train_batch_size)
        if size > len(self.prompts.pool):
            raise ConfigError(f"each step takes {size} prompts, but the dataset has {len(self.prompts.pool)}")

    def pick(self, n: int) -> Rows:
        """The next n rows of the dataset, int64 (n,), distinct and none of them in flight: a policy step begins."""
        self._out.append(self.curriculum.select(n))
        return self._out[-1].rows

    def pick_more(self, n: int) -> Rows:
        """n more rows for the policy step under way."""
        self._out.append(self.curriculum.select_more(n))
        return self._out[-1].rows

    def tell(self, rows: Rows, rewards: Floats) -> None:
        """What rollouts brought, in any order: rows of their prompts (n,) and rewards in [0, 1], (n,).

        Groups that are not in flight, because they were told or given up before, change nothing.
        """
        order = np.argsort(rows, kind="stable")
        told, starts, counts = np.unique(rows[order], return_index=True, return_counts=True)
        late = np.setdiff1d(told, self.curriculum.in_flight)
        if late.size:
            log.warning("%d groups came back that were not in flight: they change no belief", late.size)
        groups = np.split(rewards[order], starts[1:])
        self._recorded |= len(told) > len(late)
        for batch in self._out:
            where = np.flatnonzero(np.isin(batch.rows, told))
            if where.size:
                place = np.searchsorted(told, batch.rows[where])
                self.curriculum.observe(
                    batch.take(where, counts[place]), np.concatenate([groups[index] for index in place])
                )
        self._drop(told)

    def lose(self, rows: Rows) -> None:
        """The groups of these rows will never come; their prompts may be picked again."""
        for batch in self._out:
            where = np.flatnonzero(np.isin(batch.rows, rows))
            if where.size:
                self.curriculum.forget(batch.take(where))
                self._lost += where.size
        self._drop(rows)

    def overdue(self, rows: Rows) -> Rows:
        """Rows still out that were picked with, or before, one of `rows`: where steps follow each other, they are lost."""
        last = max((batch.serial for batch in self._out if np.isin(batch.rows, rows).any()), default=0)
        older = [batch.rows for batch in self._out if batch.serial <= last]
        return np.setdiff1d(np.concatenate(older), rows) if older else np.empty(0, np.int64)

    def metrics(self) -> dict[str, float]:
        """`edgewise/...`: the curriculum's, and how many groups never came back."""
        values = {**self.curriculum.metrics(), "lost_groups": float(self._lost)}
        return {f"edgewise/{name}": value for name, value in values.items()}

    def state_dict(self) -> dict[str, Any]:
        """Nested dicts of arrays and plain values, prompt ids included. The trace is saved with every checkpoint."""
        if self.recorder is not None and self._recorded:
            self.recorder.save()
        out = {
            name: np.concatenate([getattr(batch, name) for batch in self._out]) if self._out else np.empty(0)
            for name in ("rows", "rollouts", "predicted", "probe")
        }
        serials = [np.full(len(batch), batch.serial, np.int64) for batch in self._out]
        return {
            "edgewise": 1,
            "selector": self.options.selector,
            "ids": self.prompts.pool.ids.copy(),
            "curriculum": self.curriculum.state_dict(),
            "out": {**out, "serials": np.concatenate(serials) if serials else np.empty(0)},
            "lost": self._lost,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`; the dataset may have been reordered or have grown, ids decide.

        Raises:
            CheckpointError: not such a state, or that of another selector. PoolError: that of another dataset.
        """
        if "edgewise" not in state:
            raise CheckpointError(
                "the checkpoint was saved without a curriculum: resume from another one, or start anew with its model"
            )
        if state["selector"] != self.options.selector:
            raise CheckpointError(
                f"the checkpoint was saved with the selector {state['selector']}, this run has {self.options.selector}"
            )
        ids = np.asarray(state["ids"])
        self.curriculum.restore(state["curriculum"], ids)
        out, pool = state["out"], self.prompts.pool
        rows = np.asarray(out["rows"], np.int64)
        now = pool.find(ids[rows])
        self._out = []
        for serial in np.unique(out["serials"]):
            mine = np.flatnonzero((out["serials"] == serial) & (now >= 0))
            if mine.size:
                values = (np.asarray(out[name])[mine] for name in ("rollouts", "predicted", "probe"))
                self._out.append(Batch(int(serial), now[mine], pool.ids[now[mine]], *values))
        self._lost = int(state["lost"])

    def _drop(self, rows: Rows) -> None:
        kept = [(batch, np.flatnonzero(~np.isin(batch.rows, rows))) for batch in self._out]
        self._out = [batch.take(where) for batch, where in kept if where.size]
