"""The examples that need nothing but numpy run as they are and show what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

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
