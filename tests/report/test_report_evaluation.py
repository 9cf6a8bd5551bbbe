"""The table of an evaluation: whole intervals or none, however wide the terminal."""

import io
from typing import Any

import pytest
from rich.console import Console

from edgewise.report.evaluation import report

KS = (1, 4, 16)


def result() -> dict[str, Any]:
    curve = {"mean": [0.123] * 16, "low": [0.01] * 16, "high": [0.98] * 16}
    part = {"problems": 7, "strict": curve, "outcome": curve, "guessing_floor": 0.25, "nll": 1.5}
    part |= {"reasons": {"correct": 3, "wrong answer": 1}}
    text = {"prompt": "[bold]2 + 3 =", "completion": "6", "reason": "wrong answer", "gold": "5"}
    slices = {"all": {"all": part}, "op": {"2": part, "3": part}}
    return {"base": "runs/rl", "problems": 7, "samples": 16, "level": 0.95, "slices": slices, "texts": [text]}


@pytest.mark.parametrize("width", [80, 200])
def test_intervals_are_whole_or_left_out(width: int) -> None:
    file = io.StringIO()
    Console(file=file, width=width).print(report(result(), KS, width))
    text = file.getvalue()
    assert "…" not in text
    assert text.count("(0.01-0.98)") == (0 if width == 80 else 18)
    assert ("A wider terminal" in text) == (width == 80)
    assert text.count("0.123") == 18
    assert "correct 75.0%" in text
    assert "[bold]2 + 3 =" in text, "what a model or a problem says is no markup"
