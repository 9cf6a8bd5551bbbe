"""What the documentation of GSM-Infinite says can be run."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from edgewise.tasks import GsmInfinite
from edgewise.tasks.gsm_infinite.verify import verify

PAGE = (Path(__file__).parents[3] / "docs" / "tasks" / "gsm_infinite.md").read_text(encoding="utf-8")


def test_the_script_runs() -> None:
    script = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert script
    scope = {"completion": ""}
    exec(script[1].replace("1000", "20"), scope)
    assert scope["verdict"].reason == "no answer"  # type: ignore[attr-defined]


def test_the_mixture_is_one() -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert block
    problems = GsmInfinite().problems(300, 0, **yaml.safe_load(block[1])["difficulty"])
    assert {problem.meta["context"] for problem in problems} <= {"zoo", "school"}
    assert {problem.meta["op"] for problem in problems} == set(range(2, 21))


def test_the_example_is_a_problem() -> None:
    example = re.search(r"```\n<question>.*?(<solution>.*?)\n```", PAGE, re.DOTALL)
    assert example
    solution = " ".join(example[1].split())
    assert verify(solution, 3, solution).correct
