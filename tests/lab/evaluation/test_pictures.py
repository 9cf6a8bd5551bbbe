"""The check that pictures are used, and evaluations and RL runs on problems with pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.small import VISION as MODEL

from edgewise.lab.evaluation.evaluation import ExamConfig, examine
from edgewise.lab.evaluation.pictures import check_pictures
from edgewise.lab.model.policy import Policy
from edgewise.report.evaluation import report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "base"
    path.mkdir()
    Policy.fresh({"name": "geometry", "options": {}}, MODEL, 0).save(path)
    return path


def test_the_check_tells_a_reader_from_a_guesser(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that answers by the ink of its picture is right with it alone; one that ignores it does as well without."""
    policy = Policy.load(folder)
    problems = policy.task.problems(300, 0, split="eval")
    answers = {problem.answer for problem in problems}
    monkeypatch.setattr(policy, "decode", lambda tokens, lengths: [f"<answer> {text} </answer>" for text in decoded])
    encode = policy.encode
    decoded: list[str] = []

    def reader(chosen, *, without_pictures=False):  # type: ignore[no-untyped-def]
        decoded[:] = ["no idea" if without_pictures else problem.answer for problem in chosen]
        return encode(chosen, without_pictures=without_pictures)

    def guesser(chosen, *, without_pictures=False):  # type: ignore[no-untyped-def]
        decoded[:] = [min(answers)] * len(chosen)
        return encode(chosen, without_pictures=without_pictures)

    results = []
    for encoder in (reader, guesser):
        monkeypatch.setattr(policy, "encode", encoder)
        check = check_pictures(policy, problems, 2, 1.0, 1, torch.Generator().manual_seed(0))
        assert check is not None
        assert check.problems == 128
        results.append(check)
    # Rollouts come in the order of prompt length, so that only the reader's mean is known: all right or none.
    assert results[0].accuracy_without_pictures == 0
    assert results[0].accuracy > results[0].accuracy_without_pictures
    assert results[1].accuracy == results[1].accuracy_without_pictures


def test_problems_without_pictures_are_not_checked(folder: Path) -> None:
    policy = Policy.load(folder)
    assert check_pictures(policy, [], 2, 1.0, 1, torch.Generator()) is None


def test_an_evaluation_reports_the_accuracy_without_pictures(folder: Path, tmp_path: Path) -> None:
    config = ExamConfig(base=str(folder), difficulty={"op": [1, 2]}, problems=20, samples=2, k=(1, 2), max_new_tokens=4)
    result = examine(config, tmp_path / "out")
    check = json.loads((tmp_path / "out" / "evaluation.json").read_text())["pictures"]
    assert check == result["pictures"]
    assert check["problems"] == 20
    assert 0 <= check["accuracy_without_pictures"] <= 1
    assert all(text["images"][0].startswith("data:image/png;base64,") for text in result["texts"])
    words = " ".join(str(part) for part in report(result, [1], 200).renderables)
    assert "with blank pictures" in words
    assert np.isfinite(result["slices"]["all"]["all"]["nll"])
