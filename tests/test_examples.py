"""The examples that need no trainer run as they are and show what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgewise.replay.logs import read_log

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_plain_loop():
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "plain_loop.py")], capture_output=True, text=True, check=True, timeout=120
    )
    ratios = [float(ratio) for ratio in re.findall(r"effective_ratio (\S+),", done.stdout)]
    assert len(ratios) == 5
    # With difficulties spread over five levels, few of uniform prompts would be within reach.
    assert min(ratios) > 0.7
    assert done.stdout.count("random_calibration_error") == 5


def test_logs_in_verls_format_are_read_as_whole_groups(tmp_path):
    pytest.importorskip("torch")
    command = [sys.executable, str(EXAMPLES / "verl_logs.py"), str(tmp_path / "rollouts"), "--steps", "2"]
    subprocess.run(command, capture_output=True, text=True, check=True, timeout=250)
    log = read_log(tmp_path / "rollouts")
    assert (log.source, len(log)) == ("verl", 32)
    assert set(log.trials.tolist()) == {8}
