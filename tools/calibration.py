"""Calibration of predictions on recorded picks, each made one step ahead, by quarter of the runs.

    python -m tools.numbers record real/calibration calibration.json -- python -m tools.calibration docs/results/real/*.npz

Each method's belief watches the recorded picks of every run from its beginning. What a run chose is as it was: a method is not
judged by picks of its own, but for the one that recorded them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgewise.method import Method
from edgewise.replay import Trace
from edgewise.replay.replay import one_step_ahead
from edgewise.statistics import calibration_error

METHODS = ("edge", "mopps", "kgps", "dps")
QUARTERS = 4


Step = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Predictions of a step's groups, their successes and their rollouts, (n,) each."""


def errors(runs: Sequence[Sequence[Step]]) -> dict[str, float]:
    """Expected calibration error of all runs together, by quarter; of the first quarter also without the first step."""

    def error(begin: float, end: float, first: int = 0) -> float:
        parts = [run[max(int(begin * len(run)), first) : int(end * len(run))] for run in runs]
        predicted, successes, trials = map(np.concatenate, zip(*(step for part in parts for step in part), strict=True))
        return round(calibration_error(predicted, successes, trials), 4)

    quarters = {f"quarter_{q + 1}": error(q / QUARTERS, (q + 1) / QUARTERS) for q in range(QUARTERS)}
    return {**quarters, "quarter_1_without_first_step": error(0, 1 / QUARTERS, first=1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("calibration.json"))
    options = parser.parse_args()
    traces = [Trace.load(path) for path in options.traces]
    result = {
        method: errors([list(one_step_ahead(trace, Method.parse(method))) for trace in traces]) for method in METHODS
    }
    options.out.write_text(json.dumps({"runs": len(traces), "methods": result}, indent=1) + "\n")
    for method, values in result.items():
        print(method, *(f"{name} {value:.3f}" for name, value in values.items()))


if __name__ == "__main__":
    main()
