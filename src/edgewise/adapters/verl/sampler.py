"""verl 0.7: the sampler that `data.sampler` names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from verl.experimental.dataset.sampler import AbstractCurriculumSampler

from edgewise.adapters.verl.dataproto import DataProtoSelection
from edgewise.errors import ConfigError


class CurriculumSampler(AbstractCurriculumSampler):  # type: ignore[misc]
    """Draws the batches that a curriculum selects; verl hands over the rewards of each before it draws the next.

    An epoch has as many steps as before, but does not visit every prompt once. The state travels in verl's `data.pt`.

    Args:
        data_source: verl's `RLHFDataset`, or one derived from it.
        data_config: the `data` section of verl's config; `edgewise` in it are the options.

    Raises:
        ConfigError: options, ids, workers or a batch size that do not fit.
    """

    def __init__(self, data_source: Any, data_config: Any):
        self.selection = DataProtoSelection(data_source, data_config)
        self.batch_size = int(data_config.get("gen_batch_size", None) or data_config.train_batch_size)
        if self.batch_size > len(data_source):
            raise ConfigError(f"each step takes {self.batch_size} prompts, but the dataset has {len(data_source)}")
        self._length = len(data_source)
        # Drawn in the epoch under way, and where the next iterator begins.
        self._drawn = self._begin = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        self._drawn, self._begin = self._begin, 0
        # The last rows would not fill a batch, which verl drops.
        while self._drawn + self.batch_size <= self._length:
            for row in self.selection.next_batch(self.batch_size).tolist():
                self._drawn += 1
                yield row

    def update(self, batch: Any) -> None:
        """Observe a step's `DataProto`; see `DataProtoSelection.update`."""
        self.selection.update(batch)

    def state_dict(self) -> dict[str, Any]:
        # After its last batch an epoch is over, although the loader has not asked for more: the resumed run begins the next.
        over = self._drawn + self.batch_size > self._length
        return {**self.selection.state_dict(), "drawn": 0 if over else self._drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.selection.load_state_dict(state)
        self._begin = int(state["drawn"])
