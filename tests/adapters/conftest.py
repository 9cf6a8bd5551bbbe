"""A tiny untrained model and a dataset whose prompts have known success rates, for the real TRL on a CPU."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import pytest

# Warnings of the trainer's own packages are not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")
PROMPTS = 40


def chance(completion: Any, rate: float) -> float:
    """1 with probability about `rate`: decided by the bits of a random completion, so that resumed runs repeat it."""
    return float(zlib.crc32(str(completion).encode()) % 1000 < 1000 * rate)


def reward(completions: list[Any], rate: list[float], **_: Any) -> list[float]:
    return [chance(completion, r) for completion, r in zip(completions, rate, strict=True)]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgewise.lab.checkpoints import Policy

    folder = tmp_path_factory.mktemp("model")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    Policy.fresh({"name": "countdown", "options": {}}, {**sizes, "num_key_value_heads": 1}, 0).save(folder)
    return folder


@pytest.fixture(scope="session")
def dataset() -> Any:
    """Success rates 0, 0.5 and 1 in turn, in three categories."""
    from datasets import Dataset

    rows = range(PROMPTS)
    return Dataset.from_dict(
        {
            "prompt": [f"{1 + row % 12} {1 + row // 12} -> {1 + row} :" for row in rows],
            "name": [f"p{row}" for row in rows],
            "kind": [str(row % 3) for row in rows],
            "rate": [(0.0, 0.5, 1.0)[row % 3] for row in rows],
        }
    )


@pytest.fixture
def make(model_folder: Path, dataset: Any, tmp_path: Path) -> Callable[..., Any]:
    """A trainer: 4 groups of 4 a step unless told otherwise; `settings` go to its config, the rest to the trainer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, RLOOConfig

    from edgewise.adapters.trl import EdgewiseGRPOTrainer, EdgewiseRLOOTrainer

    def build(settings: dict[str, Any] | None = None, rloo: bool = False, **arguments: Any) -> Any:
        config = RLOOConfig if rloo else GRPOConfig
        values = {
            "output_dir": str(tmp_path / "run"),
            "per_device_train_batch_size": 16,
            "num_generations": 4,
            "max_completion_length": 4,
            "max_steps": 3,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "disable_tqdm": True,
            "seed": 3,
        }
        arguments = {"reward_funcs": reward, "train_dataset": dataset, "id_column": "name", **arguments}
        cls = arguments.pop("cls", EdgewiseRLOOTrainer if rloo else EdgewiseGRPOTrainer)
        return cls(
            model=AutoModelForCausalLM.from_pretrained(model_folder),
            processing_class=AutoTokenizer.from_pretrained(model_folder, padding_side="left"),
            args=config(**{**values, **(settings or {})}),
            **arguments,
        )

    return build
