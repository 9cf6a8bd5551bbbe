"""Settings of the page are those that verl takes, and its success function works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("verl", reason="verl is not installed here: make test-verl")
import numpy as np
from hydra import compose, initialize_config_module
from tests.adapters.real_verl.entrances import IS_07

from edgewise.adapters.verl import Options

PAGE = (Path(__file__).parents[3] / "docs" / "adapters" / "verl.md").read_text()


def settings(heading: str) -> list[str]:
    """Overrides in the first bash block below a heading."""
    block = re.findall(r"```bash\n(.*?)```", PAGE.split(f"\n## {heading}")[1], re.DOTALL)[0]
    return [word.replace("$HOME", "/home") for word in block.split() if "=" in word and not word.startswith("#")]


@pytest.mark.parametrize("heading", ["verl 0.7"] if IS_07 else ["verl 0.9: two lines", "verl 0.9: the v0 trainer"])
def test_verl_takes_the_settings(heading):
    given = settings(heading)
    assert len(given) >= 3
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", given)
    assert Options.read(config.data) == Options()
    named = [config.data.get("sampler", {}).get("class_name")] if IS_07 else []
    named += [config.data.custom_cls.name] + ([] if IS_07 else [config.trainer.v1.trainer_mode])
    assert {"CurriculumSampler", "CurriculumDataset", "edgewise"} & set(named)


def test_every_option_is_on_the_page():
    section = PAGE.split("\n## Options")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(Options.__dataclass_fields__)


def test_the_success_function_of_the_page():
    names: dict = {}
    exec(compile(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0], "verl.md", "exec"), names)
    assert names["right"](np.zeros(3), {"acc": np.array([1, 0, 1])}).tolist() == [True, False, True]
