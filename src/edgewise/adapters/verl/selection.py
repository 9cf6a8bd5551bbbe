"""Selection of a dataset's rows for verl, and the observation of their rollouts, as `data.edgewise` describes it."""

from __future__ import annotations

from typing import Any

from edgewise.adapters.in_flight import InFlight
from edgewise.adapters.success import Floats, missing_score
from edgewise.adapters.verl.dataset_pool import DatasetPool
from edgewise.adapters.verl.options import Options
from edgewise.arrays import Counts, Rows
from edgewise.errors import ConfigError


class Selection(InFlight):
    """Curriculum over one of verl's datasets; row of the pool = index into the dataset.

    Args:
        dataset: `RLHFDataset` or derived from it.
        data_config: the `data` section of verl's config, attached to the whole of it.
        varied: whether the trainer takes different numbers of rollouts.

    Raises:
        ConfigError: options, ids or a batch size that do not fit.
    """

    def __init__(self, dataset: Any, data_config: Any, *, varied: bool = False):
        self.options = Options.read(data_config)
        self.prompts = DatasetPool(dataset, self.options)
        rollouts = self.options.rollouts(data_config)
        made = self.options.curriculum(self.prompts.pool, data_config)
        super().__init__(self.prompts.pool, lambda pool: made, rollouts, varied=varied)
        self.success = self.options.judge()
        self.recorder = self.options.recorder(self.curriculum)
        size = int(data_config.train_batch_size)
        if size > len(self.pool):
            raise ConfigError(f"each step takes {size} prompts, but the dataset has {len(self.pool)}")

    def observe_scores(self, rows: Rows, scores: Floats, info: dict[str, Any], lengths: Counts | None = None) -> None:
        """Take in rollouts in any order: rows of their prompts, scores and tokens (n,), and what else is known, by name."""
        self.observe(rows, scores, self.correct(rows, scores, info), lengths)

    def correct(self, rows: Rows, scores: Floats, info: dict[str, Any]) -> Floats | None:
        """Correctness of rollouts by `data.edgewise.success`; see `Success.read`."""

        def score(name: str) -> Any:
            if name not in info:
                raise missing_score(name, info)
            return info[name]

        return self.success.read(
            scores, self.pool.ids[rows], evaluate=lambda rule: rule(scores.copy(), info), score=score
        )

    def metrics(self) -> dict[str, float]:
        """`edgewise/...`"""
        return {f"edgewise/{name}": value for name, value in super().metrics().items()}

    def state_dict(self) -> dict[str, Any]:
        """The trace is saved with every checkpoint."""
        if self.recorder is not None:
            self.recorder.save_at_checkpoint()
        return {"edgewise": super().state_dict()}

    def load_state_dict(self, state: dict[str, Any], *, waiting: Rows | None = None) -> None:
        super().load_state_dict(state.get("edgewise", {}), waiting=waiting)
