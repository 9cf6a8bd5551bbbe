"""verl's v0 trainer: the dataset that `data.custom_cls` names."""

from __future__ import annotations

from typing import Any

from omegaconf import ListConfig
from verl.utils.dataset.rl_dataset import RLHFDataset

from edgewise.adapters.verl.reported import ReportedPicker
from edgewise.errors import ConfigError


class CurriculumDataset(RLHFDataset):  # type: ignore[misc]
    """verl's dataset, which answers a request for a batch with the rows that a curriculum picks, whatever was asked for.

    verl makes its validation data of the same class: there, rows are what was asked for.

    Raises:
        ConfigError: options, ids, workers or a batch size that do not fit.
    """

    def __init__(self, data_files: Any, tokenizer: Any, config: Any, processor: Any = None, max_samples: int = -1):
        super().__init__(
            data_files=data_files, tokenizer=tokenizer, config=config, processor=processor, max_samples=max_samples
        )
        self.picker = ReportedPicker(self, config) if _trains(data_files, config) else None

    def __getitems__(self, items: list[int]) -> list[dict[str, Any]]:
        """A batch, which is how the dataloader asks."""
        rows = items if self.picker is None else self.picker.pick(len(items)).tolist()
        return [self[row] for row in rows]

    def on_batch_end(self, batch: Any) -> None:
        """Learn from a step's `DataProto`; see `ReportedPicker.update`."""
        if self.picker is not None:
            self.picker.update(batch)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.picker is None else self.picker.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.picker is not None:
            self.picker.load_state_dict(state)


def _trains(data_files: Any, config: Any) -> bool:
    train, val = _files(config.train_files), _files(config.get("val_files"))
    if set(train) & set(val):
        raise ConfigError(
            "data.train_files and data.val_files share a file, so that the dataset cannot tell whether it is asked to train"
            " or to validate; validate on a copy of it"
        )
    return _files(data_files) == train


def _files(given: Any) -> list[str]:
    if given is None:
        return []
    return [str(path) for path in given] if isinstance(given, (list, tuple, ListConfig)) else [str(given)]
