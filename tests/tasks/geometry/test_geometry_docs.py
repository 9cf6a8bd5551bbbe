"""What the page of the task says can be run."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from edgewise.lab.run.config import from_dict
from edgewise.lab.run.pretrain import PretrainConfig
from edgewise.tasks import make_task
from edgewise.tasks.geometry.task import FAMILIES

PAGE = (Path(__file__).parents[3] / "docs" / "tasks" / "geometry.md").read_text(encoding="utf-8")


def test_the_script_runs() -> None:
    script = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert script
    scope: dict[str, object] = {}
    exec(script[1], scope)
    assert scope["large"].shape == (480, 480)  # type: ignore[attr-defined]


def test_the_families_are_those_of_the_task() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d)-(\d) \|$", PAGE, re.MULTILINE)
    assert {name: (int(first), int(last)) for name, first, last in rows} == {
        name: (ops[0], ops[-1]) for name, (_, ops) in FAMILIES.items()
    }


def test_the_settings_are_accepted() -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert block
    assert from_dict(PretrainConfig, yaml.safe_load(block[1])).model.image_size == 60


def test_the_example_is_a_solution() -> None:
    example = re.search(r"```\n(<image> .*?)\n(see .*?)\n```", PAGE, re.DOTALL)
    assert example
    task = make_task("geometry")
    words = set(f"{example[1]} {example[2]}".split())
    assert words <= set(task.vocabulary())  # type: ignore[attr-defined]
