"""verl's v0 trainer: the dataset that `data.custom_cls` names."""

from __future__ import annotations

from typing import Any

from omegaconf import ListConfig
from verl.utils.dataset.rl_dataset import RLHFDataset

from edgewise.adapters.verl.dataproto import DataProtoSelection
from edgewise.errors import ConfigError


class CurriculumDataset(RLHFDataset):  # type: ignore[misc]
    """verl's dataset, whose training batches hold the rows that a curriculum selects, whatever rows are requested.

    verl makes its validation data of the same class: there, the rows are those requested.

    Raises:
        ConfigError: options, ids, workers or a batch size that do not fit.
    """

    def __init__(self, data_files: Any, tokenizer: Any, config: Any, processor: Any = None, max_samples: int = -1):
        super().__init__(
            data_files=data_files, tokenizer=tokenizer, config=config, processor=processor, max_samples=max_samples
        )
        self.selection = DataProtoSelection(self, config) if _trains(data_files, config) else None

    def __getitems__(self, items: list[int]) -> list[dict[str, Any]]:
        """A batch, which is how the dataloader asks."""
        rows = items if self.selection is None else self.selection.next_batch(len(items)).tolist()
        return [self[row] for row in rows]

    def on_batch_end(self, batch: Any) -> None:
        """Observe a step's `DataProto`; see `DataProtoSelection.update`."""
        if self.selection is not None:
            self.selection.update(batch)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.selection is None else self.selection.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.selection is not None:
            self.selection.load_state_dict(state)


def _trains(data_files: Any, config: Any) -> bool:
    train, val = _files(config.train_files), _files(config.get("val_files"))
    if set(train) & set(val):
        raise ConfigError(
            "data.train_files and data.val_files share a file, so that training and validation data cannot be told"
            " apart; validate on a copy of it"
        )
    return _files(data_files) == train


def _files(given: Any) -> list[str]:
    if given is None:
        return []
    return [str(path) for path in given] if isinstance(given, (list, tuple, ListConfig)) else [str(given)]
