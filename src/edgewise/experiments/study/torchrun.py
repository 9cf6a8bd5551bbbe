"""A stage of training on several GPUs: the command under torchrun, and progress from its journal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgewise.errors import EdgewiseError
from edgewise.lab.run.config import write_yaml
from edgewise.lab.run.journal import read

LOOK = 1.0
"""Seconds between looks at the journal."""
PATIENCE = 600
"""Seconds that a step in hand may take after a stop, before torchrun ends it."""


def run_processes(
    kind: str,
    config: Any,
    folder: Path,
    processes: int,
    report: Callable[[int], None],
    stopped: Callable[[], bool],
) -> bool:
    """Run a command of training in `processes` processes to its end (True), or to a stop that saved the step (False).

    Raises:
        EdgewiseError: it failed; the message ends with what it wrote last.
    """
    settings, output = folder / "stage.yaml", folder / "torchrun.log"
    write_yaml(settings, config)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *launcher, "-m", "edgewise.cli", kind, str(settings), str(folder)]
    environment = {**os.environ, "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(PATIENCE)}
    stopping = False
    with (
        output.open("w", encoding="utf-8") as log,
        # Of a signal to all processes it gets only what is passed on below: a second one would end it before the step does.
        subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        ) as process,
    ):
        while process.poll() is None:
            time.sleep(LOOK)
            journal = folder / "metrics.jsonl"
            lines = read(journal) if journal.exists() else []
            if lines:
                report(lines[-1]["step"])
            if stopped() and not stopping:
                # torchrun passes it on, and each process saves the step in hand.
                process.send_signal(signal.SIGTERM)
                stopping = True
    if process.returncode and not stopping:
        tail = " | ".join(output.read_text(errors="replace").split("\n")[-6:]).strip(" |")
        raise EdgewiseError(f"{kind} in {processes} processes failed, see {output}: {tail}")
    return process.returncode == 0
