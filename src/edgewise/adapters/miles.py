"""miles: a data source with selected prompts, and a dynamic sampling filter that observes every finished group.

    --data-source-path edgewise.adapters.miles.CurriculumDataSource
    --dynamic-sampling-filter-path edgewise.adapters.miles.observe
    --custom-rollout-log-function-path edgewise.adapters.miles.log_rollout     # optional: metrics

For miles's own rollout functions, with or without partial rollouts, fully asynchronous ones included. Refill is miles's: it
selects until a rollout is full of groups that the filter keeps.
"""

from __future__ import annotations

from edgewise.adapters.data_source import CurriculumSource, make_hooks
from edgewise.adapters.installed import require

require("miles")

from miles.rollout.data_source import RolloutDataSourceWithBuffer  # noqa: E402
from miles.rollout.filter_hub.base_types import DynamicFilterOutput  # noqa: E402


class CurriculumDataSource(CurriculumSource, RolloutDataSourceWithBuffer):  # type: ignore[misc]
    """miles's data source with selected prompts; see `CurriculumSource` for its settings."""

    trainer = "miles"
    filters_asynchronously = True


observe, log_rollout = make_hooks(CurriculumDataSource, DynamicFilterOutput)

__all__ = ["CurriculumDataSource", "log_rollout", "observe"]
