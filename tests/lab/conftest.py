from pathlib import Path

import pytest
import torch

from edgewise.lab.model import ModelConfig
from edgewise.lab.pretrain import PretrainConfig, pretrain

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small_pretraining() -> PretrainConfig:
    return PretrainConfig(
        task="opgraph",
        difficulty={"op": [1, 3]},
        model=ModelConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, max_position_embeddings=48),
        demonstrations=2000,
        steps=60,
        batch=64,
        learning_rate=5e-3,
        save_every=30,
    )


@pytest.fixture(scope="session")
def base(small_pretraining: PretrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A barely trained checkpoint: enough to roll out and to learn from."""
    return pretrain(small_pretraining, tmp_path_factory.mktemp("base"))
