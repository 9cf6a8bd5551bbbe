"""Settings small enough for tests."""

from edgewise.lab.model import ModelConfig
from edgewise.lab.pretrain import PretrainConfig

PRETRAINING = PretrainConfig(
    task="opgraph",
    difficulty={"op": [1, 3]},
    model=ModelConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, max_position_embeddings=48),
    steps=60,
    tokens=512,
    learning_rate=5e-3,
    save_every=30,
)
