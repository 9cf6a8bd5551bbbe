"""verl: GRPO and its relatives on selected prompts. The curriculum lives in verl's driver process.

Each generation of verl's trainers has its own entrance, and its own module here:

- verl 0.7, `CurriculumSampler`: the sampler that `data.sampler` names;
- verl 0.9, `trainer.use_v1=False`, `CurriculumDataset`: the dataset that `data.custom_cls` names;
- verl 0.9, the default v1 trainer: the trainer modes `edgewise`, `edgewise_colocate_async` and `edgewise_separate_async`,
  which verl finds by itself (`edgewise.adapters.verl.modes`, an entry point of `verl.plugins`).

Options are in `data.edgewise`, see `Options`. Left out: gates, as the v1 trainer has dynamic sampling of its own
(`algorithm.filter_groups`), whose refills the curriculum then selects.
"""

from typing import Any

from edgewise.adapters.installed import require
from edgewise.errors import ConfigError

require("verl")

from edgewise.adapters.verl.dataset import CurriculumDataset  # noqa: E402
from edgewise.adapters.verl.options import Options  # noqa: E402


def __getattr__(name: str) -> Any:
    if name != "CurriculumSampler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    if not version("verl").startswith("0.7."):
        raise ConfigError(
            f"verl {version('verl')} has no curriculum samplers; they end with verl 0.7. Leave data.sampler as it is, and"
            " set trainer.v1.trainer_mode=edgewise, or data.custom_cls for the v0 trainer"
        )
    from edgewise.adapters.verl.sampler import CurriculumSampler

    return CurriculumSampler


__all__ = ["CurriculumDataset", "CurriculumSampler", "Options"]
