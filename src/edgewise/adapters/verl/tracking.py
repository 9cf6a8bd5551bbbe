"""Curriculum metrics in verl's own logger, for the trainers that have no place for them: the sampler of 0.7, the dataset of v0.

Both import `Tracking` when training begins, and log each step's metrics as one dict with `training/global_step` in it. A subclass
in its place adds those of the curriculum. verl 0.9's v0 trainer logs before it hands over the step's rewards: there they are the
metrics of the step before.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from verl.utils import tracking

_Base: Any = tracking.Tracking
_source: Callable[[], Any] = lambda: None  # noqa: E731
"""The selection of this process whose metrics are logged, the one made last; None once it is gone."""


class CurriculumTracking(_Base):  # type: ignore[misc]
    """verl's logger, which also logs the metrics of the curriculum with those of each training step."""

    def log(self, data: Any, step: int, backend: Any = None) -> None:
        selection = _source()
        if selection is not None and "training/global_step" in data:
            data = {**data, **selection.latest}
        super().log(data=data, step=step, backend=backend)


def log_metrics_of(selection: Any) -> None:
    """Let the trainer of this process log `selection.latest`, the metrics of its last step, as long as the selection lives."""
    global _source
    _source = weakref.ref(selection)
    tracking.Tracking = CurriculumTracking


__all__ = ["CurriculumTracking", "log_metrics_of"]
