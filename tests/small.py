"""Settings small enough for tests."""

from pathlib import Path
from typing import Any

from edgewise.lab.model import ModelConfig
from edgewise.lab.rl.trainer import EvalConfig, PoolConfig, RLConfig
from edgewise.lab.run.pretrain import PretrainConfig

PRETRAINING = PretrainConfig(
    task="opgraph",
    difficulty={"op": [1, 3]},
    model=ModelConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, max_position_embeddings=48),
    steps=60,
    tokens=512,
    learning_rate=5e-3,
    save_every=30,
)


def rl_config(base: Path, **changes: Any) -> RLConfig:
    """RL of a model pre-trained like that."""
    settings: dict[str, Any] = {
        "base": str(base),
        "pool": PoolConfig(size=60, difficulty={"op": [1, 3]}),
        "evaluation": EvalConfig(problems=20, samples=1, every=3, probe=10, probe_samples=2),
        "steps": 7,
        "prompts": 4,
        "rollouts": 4,
        "max_new_tokens": 6,
        "save_every": 3,
    }
    return RLConfig(**{**settings, **changes})


VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "image_size": 60,
    "patch_size": 10,
}
"""A decoder that reads pictures, as small as it can be."""
