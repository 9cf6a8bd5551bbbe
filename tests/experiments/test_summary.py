"""The summary of a comparison, worked out by hand on runs written by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import CheckpointError, ConfigError
from edgewise.experiments import target
from edgewise.experiments.summary import RATIOS, Ratio, Spread, Summary, arms, summarise

INF = math.inf


def write_run(folder: Path, accuracy: list[float], rollouts_per_step: int = 8, finished: bool = True) -> None:
    folder.mkdir(parents=True)
    evals = []
    for i, value in enumerate(accuracy):
        probe = {"predicted": [0.1, 0.5, 0.9], "successes": [0, 2, 4], "trials": [4, 4, 4]}
        evals.append({"step": 10 * i, "rollouts": 10 * i * rollouts_per_step, "accuracy": value, "probe": probe})
    fixed = {"effective_ratio": 0.5, "groups": 2, "select_seconds": 0.01}
    scored = {"predicted": [0.2, 0.8], "successes": [3, 1], "trials": [4, 4]}
    last = 10 * (len(accuracy) - 1)
    metrics = [
        {"step": step, "rollouts": step * rollouts_per_step, "seconds": step * 0.5, **fixed, **scored}
        for step in range(1, last + 1)
    ]
    (folder / "evals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in evals))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    if finished:
        (folder / "summary.json").write_text(json.dumps({"steps": last, "pool": {"1": 3}}))


def write_config(folder: Path, seeds: int = 2, **changes: object) -> Path:
    run = {
        "base": "x",
        "pool": {"size": 40, "difficulty": {}, "labels": "task"},
        "prompts": 2,
        "rollouts": 4,
        "steps": 50,
        "learning_rate": 1e-3,
        "evaluation": {"problems": 5, "samples": 1},
    }
    config = {"methods": ["uniform", "ds", "edge"], "seeds": list(range(seeds)), "run": run, **changes}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_config(tmp_path)


RISING = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
"""Smoothed: 0.1 (step 10), 0.2 (20), 0.3 (30), 0.4 (40)."""


def test_the_target_is_a_share_of_uniforms_mean_gain_above_each_seeds_own_start(folder: Path) -> None:
    # Gains of 0.4 and 0.2, mean 0.3, wanted 0.24: above 0 in seed 0, above 0.2 in seed 1.
    write_run(folder / "uniform/seed_0", RISING)
    write_run(folder / "uniform/seed_1", [0.2, 0.25, 0.3, 0.35, 0.4, 0.45])
    write_run(folder / "edge/seed_0", [0.0, 0.1, 0.2, 0.6, 0.7, 0.7])
    write_run(folder / "edge/seed_1", [0.2, 0.44, 0.44, 0.44, 0.44, 0.44])
    write_run(folder / "ds/seed_0", [0.0, 0.4, 0.8, 0.8, 0.8, 0.8], 32)
    write_run(folder / "ds/seed_1", [0.2, 0.4, 0.8, 0.8, 0.8, 0.8], 32)
    summary = summarise(folder)
    assert summary.target == pytest.approx(0.1 + 0.24)
    assert summary.measure("uniform", "steps_to_target").values == (pytest.approx(24.0), INF)
    # Smoothed: 0.1 at step 10, 0.3 at step 20; 0.36 at step 10, 0.44 at step 20.
    assert summary.measure("edge", "steps_to_target").values == pytest.approx((17.0, 20.0))
    assert summary.measure("edge", "rollouts_to_target").values == pytest.approx((17.0 * 8, 20.0 * 8))
    assert summary.measure("edge", "steps_to_target").reached == 2
    speed = summary.ratio("speedup_vs_uniform", "edge")
    assert speed.values == (pytest.approx(24 / 17), INF)
    assert (speed.reached, speed.other_reached, speed.evidence) == (2, 1, "few")
    assert summary.ratio("rollouts_vs_ds", "edge").values == pytest.approx((17 * 8 / (10 * 32), 20 * 8 / (10 * 32)))
    assert summary.measure("edge", "effective_ratio").mean == pytest.approx(0.5)
    assert summary.measure("edge", "spearman").mean == pytest.approx(1.0)
    assert summary.measure("edge", "spearman_selected").mean == pytest.approx(-1.0)
    assert summary.measure("edge", "wall_seconds").mean == pytest.approx(25.0)
    assert summary.setting["visits_per_prompt"] == pytest.approx(2.5)
    assert summary.setting["pool_mix"] == {"1": 3}


def test_a_target_that_is_not_reached_is_infinitely_far(tmp_path: Path) -> None:
    folder = write_config(tmp_path, seeds=5)
    for seed in range(5):
        write_run(folder / f"uniform/seed_{seed}", RISING)
        write_run(folder / f"edge/seed_{seed}", [0.0] * 6 if seed < 2 else [0.0, 0.4, 0.6, 0.6, 0.6, 0.6])
        write_run(folder / f"ds/seed_{seed}", [0.0] * 6)
    summary = summarise(folder)
    edge, ds = (summary.ratio("speedup_vs_uniform", name) for name in ("edge", "ds"))
    assert sorted(edge.values)[:2] == [0.0, 0.0]
    assert edge.median > 1
    assert (edge.reached, edge.evidence) == (3, "unclear")
    assert (ds.median, ds.high, ds.evidence) == (0.0, 0.0, "loss")
    steps = summary.measure("edge", "steps_to_target")
    assert steps.mean == INF
    assert math.isfinite(steps.median)
    assert math.isnan(summary.recovered_gain["edge"])


def test_where_uniform_does_not_gain_there_is_no_target(folder: Path) -> None:
    for seed in (0, 1):
        for method in ("uniform", "edge", "ds"):
            write_run(folder / f"{method}/seed_{seed}", [0.9] * 6 if method == "uniform" else RISING)
    summary = summarise(folder)
    assert math.isnan(summary.target)
    assert not summary.ratio("speedup_vs_uniform", "edge").known


def test_missing_and_unfinished_runs_are_unknown(folder: Path) -> None:
    write_run(folder / "uniform/seed_0", RISING)
    write_run(folder / "uniform/seed_1", RISING, finished=False)
    write_run(folder / "edge/seed_0", RISING)
    write_run(folder / "edge/seed_1", RISING)
    summary = summarise(folder)
    assert summary.measure("uniform", "final_accuracy").reached == 1
    assert math.isnan(summary.measure("uniform", "final_accuracy").mean)
    assert np.isnan(summary.measure("ds", "effective_ratio").values).all()
    assert summary.ratio("speedup_vs_uniform", "ds").evidence == "unknown"
    partial = summary.ratio("speedup_vs_uniform", "edge")
    assert (partial.median, partial.seeds, partial.reached, partial.other_reached) == (1.0, 1, 1, 1)
    assert math.isnan(partial.values[1])
    assert Summary.from_json(json.loads(json.dumps(summary.to_json()))).to_json() == summary.to_json()


@pytest.mark.parametrize(
    "text",
    [
        "steps: 3\n",
        "{methods: 3, seeds: [0], run: {}}",
        "{methods: [3], seeds: [0], run: {}}",
        "{methods: [edge], seeds: [0], run: 3}",
    ],
)
def test_a_folder_without_a_comparison_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match="does not hold a comparison"):
        summarise(tmp_path)


ODD_SIZES = (
    b"{methods: [uniform], seeds: [0], run: {base: x, pool: {size: 1, difficulty: {}, labels: task}, prompts: 20, rollouts: 4,"
    b" learning_rate: .nan, steps: %s}}"
)
"""Settings with a number of steps."""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"methods: [uniform]\nseeds: [0]\nrun: {base: x", "not valid YAML"),
        (b"methods: [uniform]\nseeds: [0]\nrun: {base: x}\n", r"incomplete \('pool'\)"),
        (b"\xff\x00", "not UTF-8"),
        (b"[1]\n", "must hold a mapping"),
        (b"methods: [uniform]\nseeds: [0]\nru\nsteps: 3\n", r"not valid YAML: [^\n]* \(line 4, column 1\)$"),
        (ODD_SIZES % (b"1" + b"0" * 400), "incomplete"),
    ],
)
def test_a_damaged_config_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"config\.yaml.*{said}"):
        summarise(tmp_path)


def test_settings_that_are_no_finite_numbers_are_left_out_of_a_summary(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(ODD_SIZES % b"1.0e+308")
    setting = json.loads(json.dumps(summarise(tmp_path).to_json(), allow_nan=False))["setting"]
    assert (setting["visits_per_prompt"], setting["learning_rate"]) == ("inf", None)


@pytest.mark.parametrize("name", ["metrics.jsonl", "evals.jsonl"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "binary", "line"])
def test_a_damaged_journal_of_a_finished_run_is_named(folder: Path, name: str, damage: str) -> None:
    for seed in (0, 1):
        write_run(folder / f"uniform/seed_{seed}", RISING)
    path = folder / "uniform/seed_1" / name
    lines = path.read_bytes().splitlines(keepends=True)
    said = name
    if damage == "missing":
        path.unlink()
    elif damage == "line":
        path.write_bytes(b"".join([lines[0], lines[1].replace(b"{", b"\xff", 1), *lines[2:]]))
        said = f"{name}, line 2 is damaged"
    else:
        path.write_bytes({"empty": b"", "cut": b"".join(lines[:2]), "binary": b"\x00\xff\n\x01\n"}[damage])
    with pytest.raises(CheckpointError, match=said):
        summarise(folder)


def test_a_half_written_last_line_is_dropped(folder: Path) -> None:
    for seed in (0, 1):
        write_run(folder / f"uniform/seed_{seed}", RISING)
    whole = summarise(folder).to_json()
    for path in folder.glob("uniform/*/*.jsonl"):
        with path.open("a") as file:
            file.write('{"step": 60, "accu')
    assert summarise(folder).to_json() == whole


@pytest.mark.parametrize("text", ["{", "[1]", "\x00"])
def test_a_damaged_summary_of_a_run_is_named(folder: Path, text: str) -> None:
    write_run(folder / "uniform/seed_0", RISING)
    (folder / "uniform/seed_0/summary.json").write_text(text)
    with pytest.raises(ConfigError, match=r"seed_0/summary\.json"):
        summarise(folder)


def test_a_run_that_ended_at_an_unknown_step_is_not_whole(folder: Path) -> None:
    write_run(folder / "uniform/seed_0", RISING)
    (folder / "uniform/seed_0/summary.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"summary\.json names no steps; restore it"):
        summarise(folder)


NUMBER = st.one_of(st.floats(-5, 5), st.just(math.nan), st.just(INF))
RATIO = st.builds(
    Ratio,
    st.just("edge"),
    st.just("uniform"),
    st.just("steps"),
    median=NUMBER,
    low=NUMBER,
    high=NUMBER,
    coverage=NUMBER,
    values=st.lists(NUMBER, max_size=4).map(tuple),
    reached=st.integers(0, 4),
    other_reached=st.integers(0, 4),
)


@settings(max_examples=50)
@given(st.lists(NUMBER, max_size=4), RATIO, NUMBER)
def test_a_summary_survives_its_file(values: list[float], ratio: Ratio, number: float) -> None:
    summary = Summary(
        "x", ("0", "1"), {"edge": {"steps_to_target": Spread.over(values, "steps_to_target")}}, target=number
    )
    summary.ratios["speedup_vs_uniform"] = {"edge": ratio}
    again = Summary.from_json(json.loads(json.dumps(summary.to_json(), allow_nan=False)))
    assert repr(again.methods) == repr(summary.methods)
    assert repr(again.ratios["speedup_vs_uniform"]) == repr(summary.ratios["speedup_vs_uniform"])
    assert set(again.ratios) == set(RATIOS)


@pytest.mark.parametrize("reached", ["inf", None, 1.5, "3"])
def test_a_count_of_a_summary_that_is_no_whole_number_is_named(reached: object) -> None:
    with pytest.raises(ConfigError, match=r"speedup_vs_uniform: edge: reached must be a (whole )?number"):
        Summary.from_json({"speedup_vs_uniform": {"edge": {"reached": reached}}})


def test_the_placebo_follows_uniform() -> None:
    assert arms(["uniform", "edge"], placebo=True) == ["uniform", "placebo", "edge"]
    assert arms(["uniform", "edge"], placebo=False) == ["uniform", "edge"]
    assert arms(["mopps", "edge"], placebo=True) == ["mopps", "edge"]
    assert arms(["placebo", "uniform"], placebo=True) == ["placebo", "uniform"]


@settings(max_examples=100)
@given(st.lists(st.floats(0, 1), min_size=3, max_size=14), st.floats(0, 1))
def test_a_target_is_reached_where_the_smoothed_accuracy_crosses_it(accuracy: list[float], wanted: float) -> None:
    smooth = [float(np.mean(accuracy[i - 1 : i + 2])) for i in range(1, len(accuracy) - 1)]
    position = target.reach(accuracy, wanted)
    if max(smooth) < wanted - 1e-9:
        assert position == INF
        assert target.at(position, accuracy) == INF
    elif math.isfinite(position):
        before = smooth[: max(math.ceil(position) - 1, 0)]
        assert all(value < wanted + 1e-9 for value in before)
        assert np.interp(position, np.arange(1, len(accuracy) - 1), smooth) >= wanted - 1e-9
