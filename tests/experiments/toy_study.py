"""A study that takes seconds."""

from pathlib import Path
from typing import Any

import yaml

TOY: dict[str, Any] = {
    "title": "A toy",
    "question": "Does it run?",
    "seeds": [0],
    "show": [1, 4],
    "stages": {
        "pretrain": {
            "task": "opgraph",
            "difficulty": {"op": [1, 3]},
            "model": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "max_position_embeddings": 48,
            },
            "steps": 40,
            "tokens": 512,
            "learning_rate": 5e-3,
            "save_every": 20,
        },
        "rl": {
            "selector": "uniform",
            "pool": {"size": 30},
            "evaluation": {"problems": 4, "samples": 1, "every": 100, "probe": 4, "probe_samples": 1},
            "steps": 40,
            "prompts": 4,
            "rollouts": 4,
            "max_new_tokens": 6,
            "save_every": 20,
        },
    },
    "arms": {
        "base": ["pretrain"],
        "short": ["pretrain", {"rl": {"pool": {"difficulty": {"op": [1, 2]}}}}],
        "long": ["pretrain", {"rl": {"pool": {"difficulty": {"op": [3, 4]}}}}],
    },
    "evaluation": {"problems": 16, "samples": 4, "max_new_tokens": 6, "difficulty": {"op": [1, 4]}},
    "regions": {"easy": {"op": [1, 2]}, "hard": {"op": [3, 4]}},
    "claims": [
        {"say": "RL helps", "metric": "pass@4", "where": "easy", "arm": "short", "minus": "base", "above": 0.0},
        {
            "say": "long RL picks more hard prompts",
            "metric": "picked",
            "where": "hard",
            "arm": "long",
            "minus": "short",
            "at_least": 0.5,
        },
    ],
    "scales": {"laptop": {}},
}


def write(folder: Path, **changes: Any) -> str:
    """The toy with other settings, as the path of its YAML file."""
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump({**TOY, **changes}))
    return str(path)
