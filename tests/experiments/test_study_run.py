"""Studies end to end with real processes: stages once, stops, damage, pages."""

import contextlib
import dataclasses
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.experiments.test_workers import alive, wait_for
from tests.experiments.toy_study import TOY
from tests.experiments.toy_study import write as write_toy

import edgewise.lab.run.config as config_module
from edgewise.checkpoint import write_json
from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.experiments.study import load_study, run_study
from edgewise.experiments.study.cluster import resources
from edgewise.experiments.study.command import Monitor, configured
from edgewise.experiments.study.command import run as run_command
from edgewise.experiments.study.config import Study
from edgewise.experiments.study.plan import run_unit, units
from edgewise.experiments.study.power import plan, require_hours, seeds_needed
from edgewise.experiments.study.run import copy_to_docs, rebuild
from edgewise.experiments.study.stages import checkpoint_of, record_of, run_stage
from edgewise.experiments.workers import Event, Interrupted
from edgewise.lab.model.checkpoints import read_tensors
from edgewise.report import write
from edgewise.statistics import pass_at_k


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return load_study(write_toy(tmp_path_factory.mktemp("config")))


@pytest.fixture(scope="module")
def finished(study: Study, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[Event]]:
    """A folder in which the study was run, its summary and what was told."""
    folder = tmp_path_factory.mktemp("runs")
    events: list[Event] = []
    return folder, run_study(study, folder / "toy", workers=2, on_event=events.append), events


def numbers(summary: dict[str, Any]) -> dict[str, Any]:
    """Without clocks."""
    return {key: value for key, value in summary.items() if key != "work"}


def test_a_study_ends_in_numbers_that_follow_from_its_evaluations(
    study: Study, finished: tuple[Path, dict[str, Any], list[Event]]
) -> None:
    folder, summary, events = finished
    assert json.loads((folder / "toy/summary.json").read_text()) == json.loads(json.dumps(summary))
    assert [event.what for event in events if event.what != "step"] == ["finished"] * len(units(study))
    evaluation = study.chain("short", 0)[-1]
    lines = [
        json.loads(line) for line in (folder / "stages" / evaluation.name / "problems.jsonl").read_text().splitlines()
    ]
    easy = np.array([line["strict"] for line in lines if line["op"] <= 2])
    place = summary["k"].index(4)
    shown = summary["arms"]["short"]["regions"]["easy"]["strict"]
    assert shown["mean"][place] == pytest.approx(pass_at_k(easy, 4, 4).mean(), abs=1e-5)
    assert shown["low"][place] <= shown["mean"][place] <= shown["high"][place]
    assert summary["arms"]["long"]["training"]["picked"]["hard"]["mean"] == 1.0
    assert summary["arms"]["base"]["training"] is None
    assert summary["claims"][1]["values"] == [1.0]
    assert summary["claims"][1]["base"] == 0.0


def test_finished_stages_are_never_repeated_and_are_shared_by_studies(
    study: Study, finished: tuple[Path, dict[str, Any], list[Event]], tmp_path: Path
) -> None:
    folder, summary, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "stages").glob("*/done.json")}
    events: list[Event] = []
    again = run_study(study, folder / "toy", workers=1, on_event=events.append)
    assert again == summary
    assert {event.what for event in events} == {"kept"}
    other = load_study(
        write_toy(
            tmp_path,
            arms={"only": ["pretrain"], "base": ["pretrain"]},
            claims=[{"say": "equal", "metric": "pass@1", "where": "easy", "arm": "only", "at_most": 0.5}],
        )
    )
    run_study(other, folder / "other", workers=1, on_event=events.append)
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "stages").glob("*/done.json")}


@pytest.mark.parametrize("kind", ["pretrain", "rl"])
def test_a_stopped_study_goes_on_to_the_same_numbers(
    study: Study, finished: tuple[Path, dict[str, Any], list[Event]], tmp_path: Path, kind: str
) -> None:
    def interrupt(event: Event) -> None:
        if event.what == "step" and event.line["kind"] == kind and event.line["step"] < event.line["steps"]:
            os.kill(os.getpid(), signal.SIGINT)

    if kind == "rl":
        trained = study.chain("base", 0)[0].name
        shutil.copytree(finished[0] / "stages" / trained, tmp_path / "stages" / trained)
    with pytest.raises(Interrupted):
        run_study(study, tmp_path / "toy", workers=1, on_event=interrupt)
    assert not (tmp_path / "toy/summary.json").exists()
    halves = [path.parent for path in (tmp_path / "stages").glob(f"{kind}-*/config.yaml")]
    assert any(not (folder / "done.json").exists() and list(folder.glob("checkpoints/step_*")) for folder in halves)
    assert numbers(run_study(study, tmp_path / "toy", workers=1)) == numbers(finished[1])


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, "stages/rl-*/metrics.jsonl"),
        pytest.param(signal.SIGINT, "stages/pretrain-*/metrics.jsonl", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, "stages", marks=pytest.mark.slow),  # the worker processes load
    ],
)
def test_the_command_is_stopped_with_all_its_processes_and_goes_on(
    finished: tuple[Path, dict[str, Any], list[Event]], tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    out = tmp_path / "toy"
    command = [sys.executable, "-m", "edgewise.cli", "experiment", write_toy(tmp_path), "--out", str(out)]
    command += ["--workers", "2"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # under nohup it is ignored
    )
    deadline = time.monotonic() + 100
    while not any(tmp_path.glob(moment)):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    workers = processes_of(process.pid)
    process.send_signal(number)  # twice, as `timeout` does it
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 130, said
    assert re.search(
        r"\nedgewise: stopped with \d of 4 units done; all steps are kept, and the same command goes on\n$", said
    )
    assert "Traceback" not in said
    wait_for(lambda: not any(alive(worker) for worker in workers))
    assert not processes_of(process.pid)
    again = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert again.returncode == 0, again.stderr
    assert numbers(json.loads((out / "summary.json").read_text())) == json.loads(json.dumps(numbers(finished[1])))


def processes_of(session: int) -> list[int]:
    """Processes of a session that have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(state[3]) == session and state[0] != "Z":
                found.append(int(folder.name))
    return found


def test_a_damaged_stage_is_named_and_only_it_is_done_again(
    study: Study, finished: tuple[Path, dict[str, Any], list[Event]], tmp_path: Path
) -> None:
    root, chain = tmp_path / "stages", study.chain("short", 0)
    shutil.copytree(finished[0] / "stages" / chain[0].name, root / chain[0].name)
    weights = checkpoint_of(chain[0], root) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"model.safetensors is damaged; delete .*{chain[0].name}"):
        run_stage(chain[1], root, lambda line: None, lambda: False)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        record_of(chain[0], root)
    (root / chain[0].name / "done.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"done\.json is missing or damaged"):
        record_of(chain[0], root)


def test_a_folder_keeps_its_study_and_its_rule(
    study: Study, finished: tuple[Path, dict[str, Any], list[Event]], tmp_path: Path
) -> None:
    easier = [
        {"say": "RL helps", "metric": "pass@4", "where": "easy", "arm": "short", "minus": "base", "at_least": -0.9}
    ]
    with pytest.raises(ConfigError, match="another configuration \\(claims"):
        run_study(load_study(write_toy(tmp_path, claims=easier)), finished[0] / "toy")
    with pytest.raises(ConfigError, match="Did you mean 'local'"):
        run_study(study, tmp_path / "x", engine="locl")
    with pytest.raises(ConfigError, match="workers must be at least 1"):
        run_study(study, tmp_path / "y", workers=0)


def test_a_page_holds_everything_and_keeps_remarks(
    study: Study, finished: tuple[Path, dict[str, Any], list[Event]], tmp_path: Path
) -> None:
    folder, summary, _ = finished
    page = copy_to_docs(study, folder / "toy", tmp_path)
    text = page.read_text()
    assert f"**Verdict (laptop scale): {summary['verdict']}.**" in text
    for words in (
        "| base |",
        "| short |",
        "| long |",
        "RL helps",
        "steps: 40",
        "95% intervals over problems (one seed)",
    ):
        assert words in text
    for name in ("toy-laptop-passes.svg", "toy-laptop-ops.svg"):
        assert name in text
        assert (tmp_path / name).read_text().startswith("<svg")
    page.write_text(text + "\n## Remarks\n\nMine.\n")
    copy_to_docs(study, folder / "toy", tmp_path)
    assert page.read_text() == text + "\n## Remarks\n\nMine.\n"
    for path in [page, *tmp_path.glob("*.svg")]:
        path.unlink()
    assert write(tmp_path) == tmp_path / "index.md"
    assert page.read_text() == text
    assert len(list(tmp_path.glob("*.svg"))) == 2
    index = (tmp_path / "index.md").read_text()
    assert f"| [toy](toy.md) | A toy | laptop | {summary['verdict']} |" in index
    with pytest.raises(ConfigError, match="no finished study"):
        copy_to_docs(study, tmp_path / "nothing", tmp_path)
    write_json(tmp_path / "results" / "other.json", {"study": 3, "summary": {}})
    with pytest.raises(ConfigError, match=r"other\.json does not hold the results of a study"):
        rebuild(tmp_path)


def test_intervals_over_seeds_are_students(tmp_path: Path) -> None:
    two = load_study(
        write_toy(
            tmp_path,
            seeds=[0, 1],
            arms={"base": ["pretrain"]},
            claims=[{"say": "x", "metric": "pass@1", "where": "easy", "arm": "base", "at_least": 0.01}],
        )
    )
    summary = run_study(two, tmp_path / "toy", workers=2)
    values = summary["claims"][0]["values"]
    low, high = stats.t.interval(0.95, 1, np.mean(values), stats.sem(values))
    found = summary["claims"][0]
    assert (found["low"], found["high"]) == pytest.approx((max(low, 0.0), min(high, 1.0)))
    assert "Student intervals over 2 seeds" in (tmp_path / "toy/report.md").read_text()


def test_the_monitor_counts_units_and_estimates_the_time_left(study: Study, tmp_path: Path) -> None:
    from rich.console import Console

    monitor = Monitor(study, tmp_path, Console(quiet=True))
    plan = units(study)
    assert monitor.seconds_left() is None
    stage = plan[0].stages[0]
    for step in (1, 20):
        line = {"kind": "pretrain", "stage": stage.name, "step": step, "steps": 40}
        monitor.update(Event(plan[0].name, "step", line))
    first = monitor.seconds_left()
    assert first is not None
    monitor.update(Event(plan[0].name, "finished", {}))
    for unit in plan[1:]:
        monitor.update(Event(unit.name, "kept", {}))
    assert monitor.finished == monitor.total == len(plan)
    assert monitor.seconds_left() == 0


def test_the_time_left_is_that_of_the_stages_that_are_not_finished(
    study: Study, finished: tuple[Path, dict[str, Any], list[Event]], tmp_path: Path
) -> None:
    from rich.console import Console

    shutil.copytree(finished[0] / "stages", tmp_path / "stages")
    unit = next(unit for unit in units(study) if len(unit.stages) > 1)
    (tmp_path / "stages" / unit.stages[-1].name / "done.json").unlink()
    monitor = Monitor(study, tmp_path / "stages", Console(quiet=True))
    assert list(monitor.left) == [unit.stages[-1].name]


def test_seeds_and_tolerance_can_be_changed_from_the_command(study: Study) -> None:
    changed = configured(study, 2, 5, 0.5)
    assert changed.seeds == (5, 6)
    assert changed.budgets.tolerance == 0.5
    assert configured(study, None, None, None) == study
    with pytest.raises(ConfigError, match="at least one seed"):
        configured(study, 0, None, None)


@pytest.mark.slow
def test_ray_reaches_the_same_numbers_after_a_stop(
    study: Study, finished: tuple[Path, dict[str, Any], list[Event]], tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="Ray is an extra: pip install 'edgewise[ray]'")

    def interrupt(event: Event) -> None:
        if event.what == "step":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run_study(study, tmp_path / "toy", engine="ray", on_event=interrupt)
    assert not list((tmp_path / "stages").glob("rl-*"))
    events: list[Event] = []
    assert numbers(run_study(study, tmp_path / "toy", engine="ray", on_event=events.append)) == numbers(finished[1])
    assert [event.what for event in events if event.what != "step"] == ["finished"] * len(units(study))


def test_actors_request_the_resources_of_their_stages() -> None:
    study = load_study("E1", "paper")
    asked = {unit.name: resources(unit) for unit in units(study)}
    assert [wanted["num_gpus"] for wanted in asked.values()] == [8, 1, 1, 1, 1, 1]
    small = load_study("E1")
    assert {tuple(resources(unit).values()) for unit in units(small)} == {(1.0, 0.0)}


def test_rl_runs_in_as_many_processes_as_it_has_gpus(
    finished: tuple[Path, dict[str, Any], list[Event]], tmp_path: Path
) -> None:
    two = load_study(write_toy(tmp_path, resources={"rl": {"gpus": 2}}))
    unit = next(unit for unit in units(two) if unit.name == "short seed 0")
    begun = unit.stages[0].parent
    assert begun is not None
    shutil.copytree(finished[0] / "stages" / begun.name, tmp_path / begun.name)
    told: list[dict[str, Any]] = []
    assert run_unit(unit, tmp_path, told.append, lambda: False)
    assert [stage.kind for stage in unit.stages] == ["rl", "evaluation"]
    stage = unit.stages[0]
    assert (tmp_path / stage.name / "torchrun.log").exists()
    assert record_of(stage, tmp_path)["steps"] == 40
    assert {"kind": "rl", "stage": stage.name, "step": 40, "steps": 40} in told
    # Twice as many generators: other rollouts than those of one process.
    one, both = (
        read_tensors(checkpoint_of(stage, root) / "model.safetensors") for root in (finished[0] / "stages", tmp_path)
    )
    assert any(not one[name].equal(both[name]) for name in one)


@pytest.mark.slow
def test_rl_in_several_processes_is_stopped_and_goes_on(
    finished: tuple[Path, dict[str, Any], list[Event]], tmp_path: Path
) -> None:
    study = load_study(write_toy(tmp_path, stages={**TOY["stages"], "rl": {**TOY["stages"]["rl"], "steps": 400}}))
    before, stage, _ = study.chain("short", 0)
    roots = tmp_path / "whole", tmp_path / "stopped"
    for root in roots:
        shutil.copytree(finished[0] / "stages" / before.name, root / before.name)
    steps: list[int] = []

    def note(line: dict[str, Any]) -> None:
        steps.append(line["step"])

    assert not run_stage(stage, roots[1], note, lambda: bool(steps), processes=2)
    kept = max(checkpoint_of(stage, roots[1]).parent.iterdir())
    assert steps[-1] <= int(kept.name[5:]) < 400
    for root in roots:
        assert run_stage(stage, root, note, lambda: False, processes=2)
    whole, again = (read_tensors(checkpoint_of(stage, root) / "model.safetensors") for root in roots)
    assert all(whole[name].equal(again[name]) for name in whole)


@pytest.mark.slow
def test_several_processes_train_the_same_stage(
    study: Study, finished: tuple[Path, dict[str, Any], list[Event]], tmp_path: Path
) -> None:
    alone = load_study(
        write_toy(tmp_path, stages={"pretrain": {**TOY["stages"]["pretrain"], "accumulate": 2, "steps": 80}})
    )
    stage = alone.chain("base", 0)[0]
    told: list[int] = []
    stops = iter([True])

    def note(line: dict[str, Any]) -> None:
        told.append(line["step"])

    def stopped() -> bool:
        return bool(told) and told[-1] >= 10 and next(stops, False)

    assert run_stage(stage, tmp_path / "one", note, lambda: False)
    told.clear()
    while not run_stage(stage, tmp_path / "two", note, stopped, processes=2):
        assert checkpoint_of(stage, tmp_path / "two").parent.exists()
    one, two = (read_tensors(checkpoint_of(stage, tmp_path / name) / "model.safetensors") for name in ("one", "two"))
    assert all((one[name] - two[name]).abs().max() < 1e-3 for name in one)
    broken = load_study(write_toy(tmp_path, stages={"pretrain": {**TOY["stages"]["pretrain"], "accumulate": 3}}))
    with pytest.raises(EdgewiseError, match=r"pretrain in 2 processes failed.*torchrun\.log"):
        run_stage(broken.chain("base", 0)[0], tmp_path / "three", note, lambda: False, processes=2)


def test_a_plan_counts_the_seeds_that_each_claim_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arms = {"base": ["pretrain"], "more": [{"pretrain": {"steps": 41}}]}
    claims = [
        {"say": "clear", "metric": "pass@1", "where": "easy", "arm": "base", "below": 0.99},
        {"say": "hard to tell", "metric": "pass@1", "where": "easy", "arm": "more", "minus": "base", "above": 0},
    ]
    path = write_toy(tmp_path, arms=arms, claims=claims, seeds=[0, 1, 2], budgets={"tolerance": 0.1})
    study, root = load_study(path), tmp_path / "stages"
    with pytest.raises(ConfigError, match="pilot of at least 3 finished seeds, found 0 of 0, 1, 2"):
        plan(study, root)
    run_study(study, tmp_path / "toy", workers=1)
    found = plan(study, root)
    assert found.pilot == (0, 1, 2)
    first, second = found.needed
    assert first.seeds is not None
    assert second.seeds is None or second.seeds > first.seeds
    assert found.core_hours > 0
    run_command(path, "laptop", None, None, None, tmp_path / "toy", root, "local", 1, None, only_plan=True)
    printed = capsys.readouterr().out.replace("\n", " ")
    assert "hard to tell: " in printed
    assert "Pilot: 3 seeds" in printed
    with pytest.raises(ConfigError, match=r"toy needs .* seeds, .* more here; the limit is -1.0 hours"):
        plan(study, root, limit=-1)
    wide = dataclasses.replace(found, needed=(first,), core_hours=100.0)
    assert wide.hours(5) == pytest.approx(200 / found.cores)


def test_seeds_that_take_longer_than_the_limit_are_refused_before_the_run(study: Study, tmp_path: Path) -> None:
    root = tmp_path / "stages"
    with pytest.raises(ConfigError, match=r"the time of pretrain is not known.*finish one seed first, with --seeds 1"):
        require_hours(study, root, 1.0)
    run_study(study, tmp_path / "one", stages=root, workers=1)
    require_hours(study, root, 0.0)
    more = dataclasses.replace(study, seeds=(0, 1, 2))
    require_hours(more, root, 100.0)
    with pytest.raises(
        ConfigError, match=r"toy with seeds 0, 1, 2 takes \d+\.\d minutes more here; the limit is 0.0 minutes"
    ):
        require_hours(more, root, 0.0)
    others = dataclasses.replace(study, seeds=(5, 6))
    require_hours(others, root, 100.0)
    with pytest.raises(ConfigError, match="toy with seeds 5, 6 takes"):
        require_hours(others, root, 0.0)
    assert not (tmp_path / "more").exists()


def test_more_spread_needs_more_seeds() -> None:
    assert [seeds_needed(0.1, spread) for spread in (0.0, 0.1, 0.2)] == [2, 10, 34]
    assert seeds_needed(0.0, 0.1) is None


def fail(path: Path, *_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_is_full_before_anything_has_begun_leaves_nothing(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_module, "write_atomic", fail)
    with pytest.raises(ConfigError, match=r"cannot write to .*toy: No space left on device"):
        run_study(study, tmp_path / "runs/toy", workers=1)
    assert not list(tmp_path.iterdir())


def test_a_stage_that_fails_before_it_has_begun_leaves_nothing(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = study.chain("base", 0)[0]
    monkeypatch.setattr(config_module, "write_atomic", fail)
    with pytest.raises(ConfigError, match=r"cannot write to .*pretrain-.*: No space left on device"):
        run_stage(stage, tmp_path / "runs/stages", lambda line: None, lambda: False)
    assert not list(tmp_path.iterdir())


def test_stages_that_cannot_be_written_are_one_sentence(study: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write to .*file/stages: .*; choose another --stages"):
        run_study(study, tmp_path / "toy", stages=tmp_path / "file/stages")
    # A claim without a stage is not binding: the study may be corrected.
    assert not (tmp_path / "toy").exists()


def test_a_model_that_solves_nothing_decides_nothing(tmp_path: Path) -> None:
    stages = {
        "pretrain": {**TOY["stages"]["pretrain"], "steps": 1},
        "rl": {**TOY["stages"]["rl"], "steps": 1},
    }
    arms = {"base": ["pretrain"], "short": ["pretrain", {"rl": {"pool": {"difficulty": {"op": [1, 2]}}}}]}
    claims = [{"say": "beats", "metric": "pass@4", "where": "easy", "arm": "short", "minus": "base", "above": 0}]
    study = load_study(write_toy(tmp_path, stages=stages, arms=arms, claims=claims))
    summary = run_study(study, tmp_path / "toy", workers=1)
    assert summary["claims"][0]["mean"] == 0.0
    assert summary["verdict"] == "not testable at this scale"
    assert "no arm solves the problems of: beats (+0.000" in summary["why"]
