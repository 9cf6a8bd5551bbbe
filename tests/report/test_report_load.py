"""Folders that are whole, unfinished, empty or broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgewise.errors import EdgewiseError
from edgewise.report import build_report
from edgewise.report.load import load_comparison, natural
from edgewise.report.pools import states

Make = Callable[..., Path]


def test_everything_is_read(make_folder: Make) -> None:
    comparison = load_comparison(make_folder(("edge", "uniform", "ds"), seeds=3))
    assert comparison.methods == ["uniform", "ds", "edge"]
    assert [run.seed for run in comparison.runs["edge"]] == ["0", "1", "2"]
    assert comparison.missing() == []
    run = comparison.runs["edge"][0]
    steps, rollouts = run.column("rollouts")
    np.testing.assert_array_equal(steps, np.arange(1, 61))
    assert rollouts[-1] == 60 * 16 * 8
    predicted, successes, trials = run.evals[2].predictions("probe")
    assert predicted.shape == successes.shape == trials.shape == (48,)


def test_missing_parts_are_named(make_folder: Make) -> None:
    folder = make_folder(("mopps", "edge"), seeds=2)
    run = folder / "edge" / "seed_1"
    (run / "summary.json").unlink()
    kept = (run / "metrics.jsonl").read_text().splitlines(keepends=True)[:7]
    (run / "metrics.jsonl").write_text("".join(kept) + '{"step": 8, "rew')
    (run / "evals.jsonl").write_text((run / "evals.jsonl").read_text().splitlines(keepends=True)[0])
    for name in ("metrics.jsonl", "evals.jsonl"):
        (folder / "mopps" / "seed_0" / name).unlink()
    notes = load_comparison(folder).missing()
    assert any("Uniform is not part" in note for note in notes)
    assert any("Dynamic sampling is not part" in note for note in notes)
    assert any(note == "Edge, seed 1 is unfinished: it stops at step 7." for note in notes)
    assert any(note == "MoPPS, seed 0: nothing has been recorded." for note in notes)


def test_runs_without_a_summary_are_drawn(make_folder: Make) -> None:
    folder = make_folder(("uniform", "edge"), seeds=2)
    for path in [folder / "summary.json", *folder.glob("edge/seed_*/summary.json")]:
        path.unlink()
    page = build_report(folder).read_text()
    assert "There is no summary.json yet" in page
    assert "Edge, seed 0, 1 is unfinished: it stops at step 60, 60." in page
    assert "At a glance" not in page


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("summary.json", "{", "summary.json is not JSON"),
        ("summary.json", "[1]", "must be a JSON object"),
        ("summary.json", '{"methods": {"edge": {"final_accuracy": {"mean": "high"}}}}', "must be a number, got 'high'"),
        ("summary.json", '{"methods": [1]}', "summary.json: methods must be a JSON object"),
        ("summary.json", '{"methods": {"edge": {}}, "seeds": 3}', "seeds must be a list"),
        ("summary.json", '{"methods": {"edge": {}}, "setting": {"pool_mix": {"a": "b"}}}', "must be a number"),
        ("edge/seed_0/metrics.jsonl", '{"step": 1}\nnonsense\n{"step": 3}\n', "metrics.jsonl, line 2 is damaged"),
        ("edge/seed_0/metrics.jsonl", '{"reward": 1}\n', "metrics.jsonl, line 1 has no step"),
        ("edge/seed_0/metrics.jsonl", '{"step": 1, "predicted": [1.5], "successes": [1], "trials": [2]}\n', "[0, 1]"),
        ("edge/seed_0/metrics.jsonl", '{"step": 1, "predicted": [0.5], "successes": [], "trials": [2]}\n', "length"),
        ("edge/seed_0/evals.jsonl", '{"step": 0, "believed": {"a": 1}}\n', "line 1: believed must be a list"),
        ("edge/seed_0/evals.jsonl", '{"step": 0, "by_category": {"a": []}}\n', "by_category: a must be a number"),
    ],
)
def test_malformed_files_are_named(make_folder: Make, file: str, text: str, said: str) -> None:
    folder = make_folder(("edge",), seeds=1)
    (folder / file).write_text(text)
    with pytest.raises(EdgewiseError) as caught:
        build_report(folder)
    assert said in str(caught.value)
    assert not (folder / "report.html").exists()


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EdgewiseError, match="neither a comparison nor an RL run"):
        build_report(tmp_path)
    with pytest.raises(EdgewiseError, match="is not a folder"):
        build_report(tmp_path / "nowhere")
    (tmp_path / "summary.json").write_text(json.dumps({"methods": {}}))
    with pytest.raises(EdgewiseError, match="neither a comparison nor an RL run"):
        build_report(tmp_path)


def test_line_separators_inside_a_completion_are_not_line_ends(make_folder: Make) -> None:
    folder = make_folder(("edge",), seeds=1)
    sample = {"step": 1, "completion": "a\u2028b\x85c", "correct": True}
    (folder / "edge/seed_0/samples.jsonl").write_text(json.dumps(sample, ensure_ascii=False) + "\n", encoding="utf-8")
    assert load_comparison(folder).runs["edge"][0].samples == [sample]


def test_a_seed_that_stopped_early_is_not_averaged_into_the_pool_at_other_steps(make_folder: Make) -> None:
    folder = make_folder(("edge",), seeds=2)
    for seed, steps in ((0, 90), (1, 120)):
        lines = ({"step": step, "ids": [step], "successes": [step % 3], "trials": [2]} for step in range(1, steps + 1))
        (folder / f"edge/seed_{seed}/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = states(load_comparison(folder), "edge")
    (folder / "edge/seed_0").rename(folder / "seed_0")
    assert found == states(load_comparison(folder), "edge")
    assert found is not None
    assert found["step"][-1] == 120


def test_natural_order() -> None:
    assert sorted(["seed_10", "seed_2", "seed_1"], key=natural) == ["seed_1", "seed_2", "seed_10"]
