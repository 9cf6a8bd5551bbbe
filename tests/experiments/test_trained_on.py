"""Different prompts with a gradient: counts of written journals, finished runs alone, the first folder of a method."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tools.trained_on import breadth, counts, main


def write(run: Path, steps: list[list[tuple[str, int]]], accuracy: list[float], finished: bool = True) -> None:
    run.mkdir(parents=True)
    lines = [
        {
            "ids": [i for i, _ in step],
            "successes": [s for _, s in step],
            "trials": [8] * len(step),
            "categories": [i < "c" for i, _ in step],
            "surprisal": 2.0 - number,
        }
        for number, step in enumerate(steps)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run / "evals.jsonl").write_text(
        "".join(json.dumps({"accuracy": value, "by_category": {"sums": value}}) + "\n" for value in accuracy)
    )
    if finished:
        (run / "summary.json").write_text("{}")


def test_groups_with_a_gradient_and_their_different_prompts_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = tmp_path / "one" / "edge" / "seed_0"
    write(one, [[("a", 4), ("b", 0)], [("a", 1), ("c", 8)], [("c", 7), ("a", 8)]], [0.1, 0.3])
    assert counts(one) == (6, 3, 1, 2)
    share = np.array([4 / 6, 2 / 6])
    assert breadth(one) == pytest.approx((np.exp(-(share * np.log(share)).sum()), 0.0))
    write(tmp_path / "one" / "edge" / "seed_1", [[("a", 4)]], [0.2, 0.5])
    write(tmp_path / "one" / "edge" / "seed_2", [[("z", 4)]], [0.9, 0.9], finished=False)
    write(tmp_path / "two" / "edge" / "seed_0", [[("z", 4)]], [0.9, 0.9])
    write(tmp_path / "two" / "ds" / "seed_0", [[("y", 4), ("x", 2)]], [0.0, 0.6])
    out = tmp_path / "out.json"
    monkeypatch.setattr("sys.argv", ["trained_on", str(tmp_path / "one"), str(tmp_path / "two"), "--out", str(out)])
    main()
    found = json.loads(out.read_text())
    assert found["edge"]["seeds"] == 2
    assert (found["edge"]["groups"], found["edge"]["informative"], found["edge"]["different"]) == (3.5, 2.0, 1.5)
    assert found["edge"]["hard"] == 0.5
    assert found["edge"]["by_category"] == {"sums": 0.275}
    assert found["edge"]["accuracy"] == [0.15, 0.4]
    assert found["edge"]["last"]["mean"] == pytest.approx(0.4)
    assert found["ds"]["different"] == 2
