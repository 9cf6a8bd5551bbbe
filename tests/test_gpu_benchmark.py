"""The benchmark of GPU shapes, on a CPU with a decoder as small as can be."""

from __future__ import annotations

import pytest
import torch
from benchmarks.gpu import SHAPES, Sizes, shape_rows

from edgewise.lab.model import ModelConfig
from edgewise.lab.model.memory import parameters_count


def test_every_row_is_a_rate_of_the_small_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu.find_spec", lambda name: name == "transformers" or None)
    small = ModelConfig(vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2)
    rows = list(shape_rows("tiny", small, torch.device("cpu"), Sizes(2, 6, 4, 64), peak=1e12))
    assert [row.name.split(",")[0] for row in rows] == [
        "GRPO's update",
        "MFU of it",
        "generation",
        "generation by transformers",
    ]
    assert all(row.ours > 0 for row in rows)


@pytest.mark.parametrize(("label", "low", "high"), [("0.5B", 0.45e9, 0.55e9), ("1.5B", 1.4e9, 1.6e9)])
def test_the_shapes_have_the_sizes_that_their_names_say(label: str, low: float, high: float) -> None:
    assert low < parameters_count(ModelConfig(**SHAPES[label])) < high
