"""slime: a data source with selected prompts, and a dynamic sampling filter that observes every finished group.

    --data-source-path edgewise.adapters.slime.CurriculumDataSource
    --dynamic-sampling-filter-path edgewise.adapters.slime.observe
    --custom-rollout-log-function-path edgewise.adapters.slime.log_rollout     # metrics; needed in fully asynchronous runs

For slime's own rollout functions, with or without partial rollouts, fully asynchronous ones included. Refill is slime's: it
selects until a rollout is full of groups that the filter keeps.
"""

from __future__ import annotations

from importlib.util import find_spec

from edgewise.adapters.data_source import CurriculumSource, make_hooks
from edgewise.adapters.installed import require

require("slime")

from slime.rollout.filter_hub.base_types import DynamicFilterOutput  # noqa: E402

if find_spec("slime.rollout.data_source"):
    from slime.rollout.data_source import RolloutDataSourceWithBuffer
else:
    from slime.data.data_source import RolloutDataSourceWithBuffer


class CurriculumDataSource(CurriculumSource, RolloutDataSourceWithBuffer):  # type: ignore[misc]
    """slime's data source with selected prompts; see `CurriculumSource` for its settings."""

    trainer = "slime"
    filters_asynchronously = False


observe, log_rollout = make_hooks(CurriculumDataSource, DynamicFilterOutput)

__all__ = ["CurriculumDataSource", "log_rollout", "observe"]
