"""Trinity-RFT: a data selector that follows a curriculum, named in the configuration by its path.

    buffer:
      explorer_input:
        tasksets:
          - data_selector:
              selector_type: edgewise.adapters.trinity.CurriculumSelector
              kwargs: {rollouts: 8, curriculum: edge, category_column: level}     # rollouts = algorithm.repeat_times

Trinity reports the mean reward of each task through its operator `pass_rate_calculator`, not the rewards of single rollouts, so
that rewards have to be 0 and 1 (or whole shares of the rollouts). Left out: gates, as Trinity filters in its own pipelines.
"""

from __future__ import annotations

import base64
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.adapters.in_flight import InFlight
from edgewise.adapters.installed import require
from edgewise.adapters.prompts import make_pool
from edgewise.adapters.success import number
from edgewise.arrays import NOISE, whole_number, whole_numbers
from edgewise.checkpoint import load_state, save_state
from edgewise.errors import CheckpointError, ConfigError, RewardError, unknown_name

require("trinity-rft")

from trinity.buffer.selector.selector import BaseSelector  # noqa: E402

log = logging.getLogger("edgewise")
PATIENCE = 16
AHEAD = 32
"""Batches that are read at least before a run without any reward is a fault."""
POOL = ("id_column", "category_column", "priors", "prior_strength", "features")
"""Options of `make_pool`."""
OPTIONS = ("rollouts", "curriculum", *POOL, "patience")


class CurriculumSelector(BaseSelector):  # type: ignore[misc]
    """Selects tasks and observes their mean rewards.

    Args:
        data_source: Trinity's reader of the taskset, with `dataset`.
        config: Trinity's `DataSelectorConfig`: `seed`, and in `kwargs` `rollouts` (`algorithm.repeat_times`), `curriculum` (a
            method in a word), `id_column` (None: a hash of the whole row), `category_column`, `priors`, `prior_strength` and
            `features` (see `make_pool`), and `patience` (steps after which a task without a reward is forgotten; 16). None is
            the default of each but `rollouts`.

    Raises:
        ConfigError: options or a dataset that do not fit.
    """

    def __init__(self, data_source: Any, config: Any):
        super().__init__(data_source, config)
        given = config.kwargs or {}
        for name in given:
            if name not in OPTIONS:
                raise unknown_name("option of the data selector", name, OPTIONS)
        options = {name: value for name, value in given.items() if value is not None}
        if "rollouts" not in options:
            raise ConfigError("give the data selector kwargs with rollouts: the value of algorithm.repeat_times")
        described = {name: options[name] for name in POOL if name in options}
        pool = make_pool(data_source.dataset, **described, whole_row=True)
        self.rollouts, self._step = whole_number("rollouts", options["rollouts"], 1, ConfigError), 0
        self.in_flight = InFlight(
            pool,
            options.get("curriculum", "edge"),
            self.rollouts,
            seed=config.seed,
            patience=options.get("patience", PATIENCE),
        )
        # Batches read while no rewards had come; None once some have.
        self._unanswered: int | None = 0
        if self.in_flight.curriculum.gates.parts:
            raise ConfigError("Trinity filters groups in its pipelines: give a curriculum without gates")

    def get_indices(self, batch_size: int, return_extra_info: bool = False) -> Any:
        """Indices of the next tasks; Trinity reads once a step, which moves the clock."""
        if self._unanswered is not None:
            self._unanswered += 1
            if self._unanswered > max(AHEAD, 2 * (self.in_flight.patience or 0)):
                raise ConfigError(
                    f"{self._unanswered - 1} batches of tasks were read and no mean reward came: add the operator"
                    " pass_rate_calculator to data_processor.experience_pipeline.operators; if it is there, rewards come at"
                    " each synchronisation: set patience to more steps than lie between two"
                )
        self._step += 1
        rows = self.in_flight.select(batch_size, self._step)
        if not return_extra_info:
            return rows.tolist()
        return rows.tolist(), {"predicted": self.in_flight.curriculum.predict(rows).tolist()}

    def feedback(self, indices: Sequence[int], values: Sequence[float]) -> None:
        """Observe the mean rewards of tasks, in any order."""
        self._unanswered = None
        rows = whole_numbers("indices of tasks", indices, len(values), RewardError)
        means = np.array([number(value, row) for value, row in zip(values, rows.tolist(), strict=True)])
        present = (rows >= 0) & (rows < len(self.in_flight.pool))
        if not present.all():
            log.warning("%d tasks are not in the dataset any more: they change no belief", (~present).sum())
            rows, means = rows[present], means[present]
        # Runs that failed are left out of the mean: the largest group that can have it is taken.
        sizes = np.arange(self.rollouts, 0, -1)
        correct = np.rint(means[:, None] * sizes)
        fits = (np.abs(correct / sizes - means[:, None]) <= NOISE) & (correct >= 0) & (correct <= sizes)
        bad = np.flatnonzero(~fits.any(axis=1))
        if bad.size:
            raise RewardError(
                f"task {rows[bad[0]]} has the mean reward {means[bad[0]]}, which up to {self.rollouts} rewards of 0 or 1 cannot"
                " have: use rewards of 0 and 1, rollouts = algorithm.repeat_times, and workflows with one experience a run, as Trinity"
                " takes the mean over experiences"
            )
        if len(rows):
            place = fits.argmax(axis=1)[:, None]
            trials, right = sizes[place], np.take_along_axis(correct, place, axis=1)
            nth = np.arange(self.rollouts)
            self.in_flight.observe(np.repeat(rows, trials.ravel()), (nth < right)[nth < trials].astype(np.float64))

    def metrics(self) -> dict[str, float]:
        return self.in_flight.metrics()

    def state_dict(self) -> dict[str, Any]:
        """Plain values, as Trinity writes JSON: the checksummed file as text."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state.npz"
            save_state(path, "trinity", {"in_flight": self.in_flight.state_dict(), "step": self._step})
            return {"edgewise": base64.b64encode(path.read_bytes()).decode(), "current_index": 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "edgewise" not in state_dict:
            if state_dict.get("current_index", 0) > 0:
                self.in_flight.load_state_dict({})  # refused: saved without a curriculum
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state.npz"
            try:
                path.write_bytes(base64.b64decode(state_dict["edgewise"], validate=True))
            except (ValueError, TypeError) as error:
                raise CheckpointError(
                    f"the state of the curriculum is damaged ({error}); resume from another checkpoint"
                ) from error
            state = load_state(path, "trinity")
        self.in_flight.load_state_dict(state["in_flight"])
        self._step = int(state["step"])


__all__ = ["CurriculumSelector"]
