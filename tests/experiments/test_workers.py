"""Worker processes: they outlive nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgewise.experiments.claims import load
from edgewise.experiments.claims.plan import plan
from edgewise.experiments.workers import cores


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # A zombie has ended; in a container its new parent may never collect it.
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.1)


def test_cores_are_counted_where_a_process_has_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, where the default number of workers was a traceback."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores() == os.cpu_count()
    assert plan(load("C3"), {})[-1].endswith(f"on the {os.cpu_count()} cores here.")


def test_workers_leave_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = Path(__file__).parent / "orphaned_jobs.py"
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    wait_for(lambda: (tmp_path / "short").exists() and (tmp_path / "long").exists())
    time.sleep(0.2)
    workers = {int((tmp_path / name).read_text()) for name in ("short", "long")}
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not any(alive(worker) for worker in workers))
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize("whom", ["all", "parent", "worker"])
@pytest.mark.parametrize("jobs", ["queued", "few"])
def test_a_termination_signal_is_a_stop_that_saves(tmp_path: Path, jobs: str, whom: str) -> None:
    """Clusters and `timeout` signal all processes; a person may find one."""
    script = Path(__file__).parent / "orphaned_jobs.py"
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), jobs], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(lambda: (tmp_path / "short").exists() and (tmp_path / "long").exists())
    time.sleep(0.2)
    workers = {int((tmp_path / name).read_text()) for name in ("short", "long")}
    if whom == "all":
        os.killpg(parent.pid, signal.SIGTERM)
    else:
        os.kill(parent.pid if whom == "parent" else int((tmp_path / "long").read_text()), signal.SIGTERM)
    _, said = parent.communicate(timeout=60)
    wait_for(lambda: not any(alive(worker) for worker in workers))
    assert (tmp_path / "saved").exists()
    # The script leaves errors to Python; workers write none of their own.
    assert said.count("Traceback") == 1
    assert said.strip().splitlines()[-1].startswith("edgewise.experiments.workers.Interrupted: stopped")


def test_a_worker_whose_parent_is_gone_before_it_starts_leaves() -> None:
    code = (
        "import os, time; from edgewise.experiments import workers; workers._prepare(None, None, os.getppid() + 1);"
        " time.sleep(100)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=90).returncode == 1
