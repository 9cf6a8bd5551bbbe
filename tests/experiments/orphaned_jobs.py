"""Two worker processes: one does steps until it is stopped, one is idle. Run by test_workers.py, which ends it."""

import os
import sys
import time
from pathlib import Path

from edgewise.experiments.workers import Job, run_jobs, stopped


def note(folder: str, name: str) -> None:
    (Path(folder) / name).write_text(str(os.getpid()))


def short(name: str, folder: str) -> bool:
    note(folder, "short")
    return True


def long(name: str, folder: str) -> bool:
    note(folder, "long")
    while not stopped():
        time.sleep(0.05)
    time.sleep(0.5)
    note(folder, "saved")
    return False


if __name__ == "__main__":
    jobs = [Job("a", short, (sys.argv[1],)), Job("b", long, (sys.argv[1],))]
    # More than there are workers, and one that waits for another.
    jobs += [Job(f"b{number}", long, (sys.argv[1],)) for number in range(6)] + [Job("c", short, (sys.argv[1],), ("b",))]
    run_jobs(jobs if "queued" in sys.argv else jobs[:2], 2, lambda event: None)
