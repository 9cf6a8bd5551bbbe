"""The real commands, as a user types them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgewise import __version__
from edgewise.cli import main

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "COLUMNS": "160"}


def edgewise(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgewise.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=240, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("demo", "--task", "opgrap"), "Did you mean 'opgraph'"),
        (("demo", "--methods", "uniform", "moops"), "Did you mean 'mopps'"),
        (("demo", "--seeds", "0"), "at least one seed"),
        (("demo", "--base", "nowhere", "--out", "{tmp}/x"), "no shipped checkpoint 'nowhere'"),
        (("demo", "--out", "/dev/null/runs"), "cannot write"),
        (("demo", "--labels", "some", "--out", "{tmp}/x"), "labels must be"),
        (("report", "{tmp}"), "neither a comparison nor an RL run"),
        (("pretrain", "{tmp}/missing.yaml", "{tmp}/x"), "cannot read"),
        (("rl", "{tmp}/wrong.yaml", "{tmp}/x"), "Did you mean 'selector'"),
        (("eval", "opgraph", "--k", "100"), "every k must lie between 1 and samples"),
        (("replay", "nothing.npz"), "nothing.npz"),
        (("watch", "{tmp}", "--web", "--port", "65536"), "--port must be a whole number in [0, 65536), got 65536"),
        (
            ("replay", "simulator", "--selectors", "mopps:threshold=[0.7,0.3],edge"),
            "a band needs low <= high, got [0.7, 0.3]",
        ),
        (("demo", "--methods", "uniform,moops"), "Did you mean 'mopps'"),
        (("experiment", "critic"), "Did you mean 'critics'"),
        (("experiment", "C1", "--hours", "nan"), "hours must be above 0"),
        (("eval", "opgraph", "--out", ""), "the value of --out is empty"),
        (("replay", "{tmp}", "--steps", "3", "--baseline", "mopps"), "--steps, --baseline would change nothing: a log"),
        (("replay", "simulator", "--json"), "--json would change nothing: simulator is no log"),
        (("demo", "--out="), "the value of --out is empty"),
        (("watch", ""), "an argument is empty"),
        (("fit", "{tmp}", "--columns", "step=turn,step=epoch"), "--columns gives step twice: turn and epoch"),
        (("demo", "--methods"), "the value of --methods is missing"),
        (("demo", "--methods", "--no-show"), "the value of --methods is missing"),
        (("demo", "--methods", ","), "',' names no method"),
        (("replay", "simulator", "--selectors", ","), "',' names no method"),
        (("doctor", "--config"), "the value of --config is missing"),
        (("data", "countdown", "{tmp}/x", "--source", "--train", "1"), "the value of --source is missing"),
        (("features", "{tmp}", "opgraph", "{tmp}/x", "--stop"), "the value of --stop is missing"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "wrong.yaml").write_text("selctor: edge\n")
    monkeypatch.setattr(
        sys, "argv", ["edgewise", *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments)]
    )
    with pytest.raises(SystemExit) as stop:
        main()
    errors = capsys.readouterr().err
    assert stop.value.code == 2
    assert words in errors
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1


def test_debug_shows_the_traceback() -> None:
    result = edgewise("demo", "--seeds", "0", "--debug")
    assert result.returncode != 0
    assert "Traceback" in result.stderr


def test_a_view_is_printed_where_the_encoding_is_ascii(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"step": t // 8, "prompt": "é", "reward": t % 2}) + "\n" for t in range(32)))
    result = subprocess.run(
        [sys.executable, "-m", "edgewise.cli", "watch", str(log), "--once"],
        capture_output=True,
        env={**ENVIRONMENT, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        timeout=240,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"32 rollouts" in result.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_is_not_read_loses_no_file_and_needs_no_traceback(unbuffered: str, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(
        "".join(json.dumps({"step": t // 16, "prompt": f"q{t % 7}", "reward": t % 2}) + "\n" for t in range(320))
    )
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "edgewise.cli", "replay", str(log), "--out", str(tmp_path / "out.json")],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            env={**ENVIRONMENT, "PYTHONUNBUFFERED": unbuffered},
            timeout=240,
            check=False,
        )
    finally:
        os.close(writing)
    assert (result.returncode, result.stderr) == (141, "")
    assert json.loads((tmp_path / "out.json").read_text())["rollouts"] == 320


def test_a_name_that_no_file_can_have_is_one_sentence(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["edgewise", "model", "import", "x" * 300, str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "the name of a file is too long: 'xxx" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no device that is always full")
@pytest.mark.parametrize("arguments", [["--version"], ["replay", "--help"]])
def test_output_to_a_full_disk_is_one_sentence(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "edgewise.cli", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            timeout=240,
            check=False,
        )
    assert (result.returncode, result.stderr) == (2, "edgewise: cannot write: No space left on device\n")


def test_a_process_without_output_needs_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["edgewise", "--version"])
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    main()
    sys.stdout.close()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_output_in_an_encoding_that_lacks_its_characters_needs_no_traceback(encoding: str, tmp_path: Path) -> None:
    # Of a pipe on Windows, or of a terminal without UTF-8.
    log = tmp_path / "log.jsonl"
    log.write_text(
        "".join(json.dumps({"step": t // 16, "prompt": f"q{t % 7}", "reward": t % 2}) + "\n" for t in range(320))
    )
    result = subprocess.run(
        [sys.executable, "-m", "edgewise.cli", "watch", str(log), "--once"],
        capture_output=True,
        env={**ENVIRONMENT, "PYTHONIOENCODING": encoding},
        timeout=240,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"320 rollouts" in result.stdout


def test_the_process_itself_exits_with_2() -> None:
    result = edgewise("demo", "--task", "opgrap")
    assert result.returncode == 2
    assert result.stderr.startswith("edgewise: unknown demo task")


def test_a_damaged_base_is_named_before_anything_starts(tmp_path: Path) -> None:
    from edgewise.lab.model.checkpoints import shipped

    base = tmp_path / "base"
    base.mkdir()
    for path in shipped("opgraph").iterdir():
        (base / path.name).write_bytes(path.read_bytes()[:-40] if path.suffix == ".safetensors" else path.read_bytes())
    result = edgewise("demo", "--base", str(base), "--out", str(tmp_path / "out"))
    assert result.returncode == 2
    assert "model.safetensors is missing or damaged" in result.stderr
    assert not (tmp_path / "out").exists()


def test_evaluation_prints_unbiased_pass_at_k() -> None:
    result = edgewise(
        "eval", "opgraph", "--difficulty", "{op: [1, 4]}", "--problems", "20", "--samples", "4", "--k", "1", "4"
    )
    assert result.returncode == 0, result.stderr
    assert "pass@1" in result.stdout
    assert "pass@4" in result.stdout
    assert "all" in result.stdout


def test_a_configured_rl_run_writes_a_readable_folder(base: Path, tmp_path: Path) -> None:
    config = tmp_path / "rl.yaml"
    config.write_text(
        f"base: {base}\nselector: edge\nsteps: 2\nprompts: 4\nrollouts: 4\nmax_new_tokens: 6\n"
        "pool: {size: 30, difficulty: {op: [1, 3]}}\nevaluation: {problems: 8, samples: 1, probe: 8, probe_samples: 2}\n"
    )
    result = edgewise("rl", str(config), str(tmp_path / "run"))
    assert result.returncode == 0, result.stderr
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.yaml", "metrics.jsonl", "evals.jsonl", "samples.jsonl", "checkpoints"} <= names


def test_the_demo_survives_ctrl_c_and_the_same_command_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    arguments = (
        "demo",
        "--methods",
        "uniform",
        "edge",
        "--no-placebo",
        "--seeds",
        "1",
        "--steps",
        "20",
        "--out",
        str(out),
    )
    command = [sys.executable, "-m", "edgewise.cli", *arguments]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    metrics = out / "uniform/seed_0/metrics.jsonl"
    deadline = time.monotonic() + 100
    while not (metrics.exists() and metrics.read_text().count("\n") >= 3):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130, errors
    assert re.search(r"stopped after \d+ of 40 steps.*the same command goes on\n$", errors)
    done = metrics.read_text().count("\n")
    assert 3 <= done < 20
    result = edgewise(*arguments)
    assert result.returncode == 0, result.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert summary["methods"]["edge"]["final_accuracy"]["reached"] == 1
    assert "<svg" in (out / "report.html").read_text("utf-8")
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert steps == list(range(1, 21))
    other = edgewise(*arguments, "--pool", "500")
    assert other.returncode == 2
    assert "another configuration" in other.stderr


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["edgewise", "--version"])
    main()
    assert capsys.readouterr().out == f"edgewise {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rl", "config.yaml", "out"), "goes on from the last checkpoint"),
        (("eval", "opgraph", "--out=kept"), "goes on from the last checkpoint"),
        (("eval", "opgraph"), "begins anew"),
        (("replay", "simulator"), "begins anew"),
        ((), "begins anew"),
    ],
)
def test_a_stopped_command_promises_to_go_on_only_where_something_is_kept(arguments, words, monkeypatch, capsys):
    def stopped(given: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgewise.cli._run", stopped)
    monkeypatch.setattr(sys, "argv", ["edgewise", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 130
    assert capsys.readouterr().err == f"\nedgewise: stopped; the same command {words}\n"
