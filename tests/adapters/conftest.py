"""A tiny untrained model and trainers on it: the real TRL on a CPU."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import pytest
from tests.adapters.known_rates import by_completion, table

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgewise.lab.model.policy import Policy

    folder = tmp_path_factory.mktemp("model")
    Policy.fresh({"name": "countdown", "options": {}}, {**SIZES, "num_key_value_heads": 1}, 0).save(folder)
    return folder


@pytest.fixture(scope="session")
def local_ray() -> Iterator[Any]:
    """Ray on this machine, two workers, nothing shown."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'edgewise[ray]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error", configure_logging=False
        )
        yield ray
        ray.shutdown()


@pytest.fixture(scope="session")
def dataset() -> Any:
    return table()


@pytest.fixture
def make(model_folder: Path, dataset: Any, tmp_path: Path) -> Callable[..., Any]:
    """A trainer of 4 groups of 4 a step by default; `settings` go to its config, the rest to the trainer."""
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import GRPOConfig, RLOOConfig

    from edgewise.adapters.trl import EdgewiseGRPOTrainer, EdgewiseRLOOTrainer

    def build(settings: dict[str, Any] | None = None, rloo: bool = False, **arguments: Any) -> Any:
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
            "learning_rate": 1e-3,
            "seed": 3,
        }
        arguments = {"reward_funcs": by_completion, "train_dataset": dataset, "id_column": "name", **arguments}
        cls = arguments.pop("cls", EdgewiseRLOOTrainer if rloo else EdgewiseGRPOTrainer)
        if "model" not in arguments:
            tokenizer = PreTrainedTokenizerFast.from_pretrained(model_folder, padding_side="left")
            tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
            arguments.update(model=AutoModelForCausalLM.from_pretrained(model_folder), processing_class=tokenizer)
        return cls(args=(RLOOConfig if rloo else GRPOConfig)(**{**values, **(settings or {})}), **arguments)

    return build
